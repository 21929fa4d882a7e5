-- On a full table: renames in the catalogue and rewrites nothing. Each of the four tables is locked exclusively for some
-- milliseconds. The locks are taken together and waited for half a second at most; behind a longer transaction they are
-- given up, so that nobody queues behind them, and are tried again after a second, ten times. After that the migration
-- fails with nothing changed, and `unificus migrate` can be run again.

do $$
begin
    for attempt in 1..10 loop
        begin
            set local lock_timeout = '500ms';
            lock table answer, push_waiting, push_order, push_cursor in access exclusive mode;
            return;
        exception when lock_not_available or deadlock_detected then
            if attempt = 10 then
                raise;
            end if;
        end;
        perform pg_sleep(1);
    end loop;
end $$;

-- The response to a write that carried an idempotency key.
alter table answer rename to idempotency_record;
alter index answer_pkey rename to idempotency_record_pkey;
alter index answer_age rename to idempotency_record_age;

-- Events that failed while others passed, and those of the same record behind them.
alter table push_waiting rename to push_retry;
alter index push_waiting_pkey rename to push_retry_pkey;

-- Commands that change an endpoint's cursor, until the owner of its shard has carried them out.
alter table push_order rename to push_cursor_command;
alter table push_cursor_command rename column order_id to command_id;
alter index push_order_pkey rename to push_cursor_command_pkey;

-- `processed`: ranges of the log above `seq` that were processed before the cursor went back, as pairs: after, through.
alter table push_cursor rename to push_endpoint_cursor;
alter table push_endpoint_cursor rename column passed to processed;
alter index push_cursor_pkey rename to push_endpoint_cursor_pkey;

-- The former names, for replicas of the version before: PostgreSQL carries their reads, writes, upserts and row locks
-- over to the tables. A statement through a view is checked by the rights that its own role has on the table, so the view
-- itself may be open to all. A release later a contracting migration drops the views.
create view answer with (security_invoker = true) as
    select account_id, key, request_hash, outcome, at from idempotency_record;
create view push_waiting with (security_invoker = true) as
    select account_id, endpoint_id, seq, uid, attempts, next_at, parked, first_seq, batch from push_retry;
create view push_order with (security_invoker = true) as
    select account_id, endpoint_id, command_id as order_id, kind, from_seq, to_seq, at from push_cursor_command;
create view push_cursor with (security_invoker = true) as
    select account_id, endpoint_id, seq, failing_since, failures, next_at, processed as passed
    from push_endpoint_cursor;
grant select, insert, update, delete on answer, push_waiting, push_order, push_cursor to public;
