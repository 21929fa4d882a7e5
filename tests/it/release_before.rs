//! The statements of the release before that touch tables under their former names, as that release sends them. They leave
//! with the views that carry them.

pub(crate) const LOAD_ANSWERS: &str = "-- batch.load_answers
select a.account_id, a.key, a.request_hash, a.outcome::text
from unnest($1::uuid[], $2::text[]) as k(account_id, key)
join answer a on a.account_id = k.account_id and a.key = k.key and a.at > clock_timestamp() - make_interval(secs => $3)";

pub(crate) const STORE_ANSWERS: &str = "-- batch.store_answers
insert into answer (account_id, key, request_hash, outcome, at)
select account_id, key, request_hash, outcome::json, clock_timestamp()
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[]) as a(account_id, key, request_hash, outcome)
on conflict (account_id, key) do update
    set request_hash = excluded.request_hash, outcome = excluded.outcome, at = excluded.at";

pub(crate) const FORGET_ANSWERS: &str = "-- answer.forget
delete from answer where (account_id, key) in (
        select account_id, key from answer where at < now() - make_interval(secs => $1) limit 1000)
    and at < now() - make_interval(secs => $1)";

pub(crate) const COUNT_ANSWERS: &str = "-- answer.count
select count(*) from unnest($2::text[], $3::text[], $4::bytea[]) as k(key, unscoped_key, request_hash)
where exists (
    select from answer a
    where a.account_id = $1 and a.key in (k.key, k.unscoped_key) and a.request_hash = k.request_hash
        and a.at > now() - interval '23 hours 58 minutes')";

pub(crate) const RESTORED_PUSH: &str = "-- restored.push
insert into push_order (account_id, endpoint_id, order_id, kind, from_seq, to_seq, at)
select c.account_id, c.endpoint_id, gen_random_uuid(), 'replay', h.seq, null, $2
from push_cursor c join head h on h.account_id = c.account_id where c.account_id = any($1)";

pub(crate) const RESTORED_ANSWERS: &str = "-- restored.answers
delete from answer a using head h
where a.account_id = any($1) and h.account_id = a.account_id and (a.outcome->'done'->>'version')::bigint > h.seq";

pub(crate) const SAVE_PUSH: &str = "-- push_cursor.save
with cursors as (
    update push_cursor c set seq = n.seq, failing_since = n.failing_since, failures = n.failures, next_at = n.next_at
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[], $5::integer[], $6::timestamptz[])
        as n(account_id, endpoint_id, seq, failing_since, failures, next_at)
    where c.account_id = n.account_id and c.endpoint_id = n.endpoint_id
), settled as (
    delete from push_waiting w using unnest($7::uuid[], $8::uuid[], $9::bigint[]) as s(account_id, endpoint_id, seq)
    where w.account_id = s.account_id and w.endpoint_id = s.endpoint_id and w.seq = s.seq
)
insert into push_waiting (account_id, endpoint_id, seq, uid, attempts, next_at, parked, first_seq, batch)
select w.account_id, w.endpoint_id, w.seq, w.uid, w.attempts, w.next_at, w.parked, w.first_seq, w.batch
from unnest($10::uuid[], $11::uuid[], $12::bigint[], $13::uuid[], $14::integer[], $15::timestamptz[], $16::boolean[],
    $17::bigint[], $18::bigint[]) as w(account_id, endpoint_id, seq, uid, attempts, next_at, parked, first_seq, batch)
join push_endpoint e on e.account_id = w.account_id and e.endpoint_id = w.endpoint_id
on conflict (account_id, endpoint_id, seq) do update
    set attempts = excluded.attempts, next_at = excluded.next_at, parked = excluded.parked,
        first_seq = excluded.first_seq, batch = excluded.batch";

pub(crate) const MOVE_PLACE: &str = "-- push_cursor.move
with taken as (
    delete from push_order where account_id = $1 and endpoint_id = $2 and order_id = any($3) returning order_id
), dropped as (
    delete from push_waiting where account_id = $1 and endpoint_id = $2 and seq = any($4)
), retried as (
    update push_waiting w set parked = false, next_at = r.next_at
    from unnest($5::bigint[], $6::timestamptz[]) as r(seq, next_at)
    where w.account_id = $1 and w.endpoint_id = $2 and w.seq = r.seq
)
update push_cursor set seq = $7, passed = $8, failing_since = $9, failures = $10, next_at = $11
where account_id = $1 and endpoint_id = $2 and exists (select from taken)";

pub(crate) const INSERT_ORDER: &str = "-- push_order.insert
insert into push_order (account_id, endpoint_id, order_id, kind, from_seq, to_seq, at)
values ($1, $2, $3, $4, $5, $6, $7)";

pub(crate) const INSERT_CURSOR: &str = "-- push_cursor.insert
insert into push_cursor (account_id, endpoint_id, seq)
select account_id, $2, coalesce($3, seq) from head where account_id = $1";

pub(crate) const LIST_ENDPOINTS: &str = "-- push_endpoint.list
select e.account_id, e.endpoint_id, e.url, e.description, e.events, e.fields, e.exclude_own, e.mode, e.max_batch,
    e.debounce_ms, e.delivery_order, e.send_window, e.rate, e.headers::text, e.timeout_s, e.signature, e.secrets,
    e.secrets_until, e.state,
    coalesce((select h.record::json ->> 'status' from push_health h
        where h.account_id = e.account_id and h.uid = e.endpoint_id), 'well'),
    e.revision, e.created_at, c.seq, c.failing_since, c.failures, c.next_at,
    c.passed,
    exists (select from push_order o where o.account_id = e.account_id and o.endpoint_id = e.endpoint_id)
from push_endpoint e join push_cursor c on c.account_id = e.account_id and c.endpoint_id = e.endpoint_id
where e.account_id = $1 and ($2::uuid is null or e.endpoint_id = $2) order by e.endpoint_id";

pub(crate) const DELETE_ENDPOINT: &str = "-- push_endpoint.delete
with cursors as (delete from push_cursor where account_id = $1 and endpoint_id = $2),
    waiting as (delete from push_waiting where account_id = $1 and endpoint_id = $2),
    orders as (delete from push_order where account_id = $1 and endpoint_id = $2)
delete from push_endpoint where account_id = $1 and endpoint_id = $2";

pub(crate) const LIST_WAITING: &str = "-- push_waiting.list
select seq, uid, attempts, next_at, parked, coalesce(first_seq, seq), batch from push_waiting
where account_id = $1 and endpoint_id = $2 order by seq";

pub(crate) const IS_PARKED: &str = "-- push_waiting.is_parked
select seq from push_waiting where account_id = $1 and endpoint_id = $2 and seq = $3 and parked";

pub(crate) const LIST_PARKED: &str = "-- push_waiting.parked
select w.seq, w.uid, e.type, w.attempts, w.next_at
from push_waiting w join event e on e.account_id = w.account_id and e.seq = w.seq
where w.account_id = $1 and w.endpoint_id = $2 and w.seq > $3 and w.parked order by w.seq limit $4";

pub(crate) const LIST_ORDERS: &str = "-- push_order.list
select endpoint_id, order_id, kind, from_seq, to_seq from push_order where account_id = $1 order by order_id";

pub(crate) const BEHIND_PUSH: &str = "-- push_endpoint.due
select c.account_id, case when e.state = 'live' then h.seq - c.seq else 0 end
from push_cursor c
join push_endpoint e on e.account_id = c.account_id and e.endpoint_id = c.endpoint_id
join head h on h.account_id = c.account_id
where exists (select from push_order o where o.account_id = c.account_id and o.endpoint_id = c.endpoint_id)
    or e.state = 'live' and (h.seq > c.seq or exists (
    select from push_waiting w
    where w.account_id = c.account_id and w.endpoint_id = c.endpoint_id and not w.parked and w.next_at <= $1))";
