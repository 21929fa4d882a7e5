-- On a full table: creates a function and an empty table, so it takes no lock that anyone waits for. A replica of the
-- version before goes on counting without leases beside it.

-- Now, for what is counted by day and for keys that expire: the database's clock decides, since replicas' clocks differ.
-- A test of another day replaces this function in its own database.
create function stored_now() returns timestamptz language sql stable parallel safe as 'select now()';

-- Calls that a replica was granted and has not answered. `granted` and `returned` count from the lease's beginning, so
-- that a booking whose answer was lost is seen by the next one and neither repeated nor forgotten. `unanswered` is what
-- the account gets back when the lease expires: the calls that the replica cannot have answered without booking again.
-- One row per account and replica, written by each booking: half of a page is left free for updates in place.
create table quota_lease (
    account_id  uuid        not null,
    lease_id    uuid        not null,
    day         date        not null,
    granted     bigint      not null,
    returned    bigint      not null,
    unanswered  bigint      not null,
    expires_at  timestamptz not null,
    primary key (account_id, lease_id)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
