-- On a full table: only creates tables, so it takes no lock that anyone waits for.

-- How far each account's log is in JetStream. A table of its own: in the head row it would queue on the writers' lock.
create table relay_cursor (
    account_id  uuid        not null primary key,
    seq         bigint      not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);

-- Where webhooks go. Settings only: what moves with every delivery is in push_cursor.
create table push_endpoint (
    account_id      uuid        not null,
    endpoint_id     uuid        not null,
    url             text        not null,
    description     text        not null default '',
    secret          text        not null,
    events          text[]      not null,
    exclude_own     text,
    delivery_order  text        not null,
    timeout_s       integer     not null,
    state           text        not null,
    created_at      timestamptz not null,
    primary key (account_id, endpoint_id)
);

-- Every event up to `seq` is delivered, filtered out, or stands in push_waiting.
create table push_cursor (
    account_id      uuid        not null,
    endpoint_id     uuid        not null,
    seq             bigint      not null,
    failing_since   timestamptz,
    failures        integer     not null default 0,
    next_at         timestamptz,
    primary key (account_id, endpoint_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);

-- The exceptions above: events that failed while others passed, and those of the same record behind them.
create table push_waiting (
    account_id      uuid        not null,
    endpoint_id     uuid        not null,
    seq             bigint      not null,
    uid             uuid        not null,
    attempts        integer     not null,
    next_at         timestamptz not null,
    parked          boolean     not null,
    primary key (account_id, endpoint_id, seq)
);

-- Calls of a calendar month (UTC), counted per account.
create table quota_month (
    account_id  uuid        not null,
    month       date        not null,
    used        bigint      not null,
    primary key (account_id, month)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
