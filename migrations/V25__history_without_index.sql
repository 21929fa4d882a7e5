-- On a full table: removes an index from the catalogue and its file, some milliseconds whatever its size. Table event is
-- locked exclusively for that time; behind a longer transaction the lock is given up after half a second and tried again
-- after a second, ten times. After that the migration fails with nothing changed, and can be run again. Replicas of the
-- version before go on: the one statement of theirs that used the index, the erasure of attempts, uses the primary key.

do $$
begin
    for attempt in 1..10 loop
        begin
            set local lock_timeout = '500ms';
            lock table event in access exclusive mode;
            return;
        exception when lock_not_available or deadlock_detected then
            if attempt = 10 then
                raise;
            end if;
        end;
        perform pg_sleep(1);
    end loop;
end $$;

-- The history of a record is a walk from its version through `data.previous_version` of each event, by the primary key.
drop index event_record;
