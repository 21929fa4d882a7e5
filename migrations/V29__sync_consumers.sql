-- On a full table: only creates a table, so it takes no lock that anyone waits for.

-- Durable consumers on the stream. `consumer_id` tells a consumer from an earlier one of the same name. It was made to
-- begin after `start_seq`; events up to `acked_seq` are acknowledged, and there it begins again where the stream lost it.
create table sync_consumer (
    account_id  uuid        not null,
    name        text        not null,
    consumer_id uuid        not null,
    entity      text,
    start_seq   bigint      not null,
    acked_seq   bigint      not null,
    created_at  timestamptz not null,
    primary key (account_id, name)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
