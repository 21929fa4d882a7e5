-- On a full table: adds columns whose defaults are constants, which rewrites nothing, and locks each table for a moment.

-- `revision` is raised in the transaction of every change of the account, its settings or its keys, so that whoever
-- remembers them sees with one number whether they still hold. With `show_once` no secret key is kept.
alter table account
    add column show_once boolean not null default false,
    add column revision  bigint  not null default 0;

-- `sealed` is the key's text, sealed under a master key; null where it is shown once only.
alter table account_key
    add column sealed       bytea,
    add column expires_at   timestamptz,
    add column read_only    boolean not null default false,
    add column last_used_at timestamptz;

-- The month's calls by day, of which `used` is the sum; calls from before this migration are in no day. In the row that
-- is locked and written for each count anyway: a table of days would double the writes.
alter table quota_month
    add column days bigint[] not null default array_fill(0::bigint, array[31]);
