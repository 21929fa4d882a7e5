-- On a full table: the column comes without rewriting a partition. The table and its partitions, about thirty, are locked
-- exclusively for some milliseconds; behind a longer transaction the lock is given up after half a second and tried again
-- after a second, ten times. After that the migration fails with nothing changed, and can be run again.

do $$
begin
    for attempt in 1..10 loop
        begin
            set local lock_timeout = '500ms';
            lock table push_attempt in access exclusive mode;
            return;
        exception when lock_not_available or deadlock_detected then
            if attempt = 10 then
                raise;
            end if;
        end;
        perform pg_sleep(1);
    end loop;
end $$;

-- The records whose events were delivered, each once; empty for a test delivery. What a receiver responded to them is
-- erased by this. Null in the rows of versions without the column, which live as long as attempts are kept.
alter table push_attempt add column uids uuid[];
