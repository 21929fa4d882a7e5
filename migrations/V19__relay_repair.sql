-- On a full table: the columns come without rewriting the table. Replicas of the version before pass over them.

-- `stream` is the stream in which the events up to `seq` were published, by the nanosecond of its making; null where it
-- was not noted. Where the stream is another one by now, nothing of the account is published.
-- `repair` is what the owner of the account's shard is to do about the stream before it publishes on: 'refill' takes
-- the account's messages out and publishes again what the retention would have kept, 'truncate' takes those out at the
-- end that the log does not have. `repair_id` tells one such request from the next.
alter table relay_cursor
    add column stream    bigint,
    add column repair    text,
    add column repair_id uuid;
