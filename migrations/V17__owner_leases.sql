-- On a full table: only creates a table, so it takes no lock that anyone waits for.

-- Until when each session that owns shards is taken for alive. The session renews its row every second; where it has run
-- out, another one ends the session and takes its shards. A session is known by its process and when that began, since
-- the numbers of processes come again.
create table owner_lease (
    backend_pid   integer     not null,
    backend_start timestamptz not null,
    expires_at    timestamptz not null,
    primary key (backend_pid, backend_start)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
