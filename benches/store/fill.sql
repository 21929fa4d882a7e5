-- Fills the tables of migrations V1 to V19 with :events events in :accounts accounts, and with all that belongs to them:
-- read models, links, push endpoints with retry rows and attempts, idempotency rows, cursors. Expects an empty schema and
-- the functions of `records.sql`. With -v records=only it leaves out endpoints and idempotency rows, and fills the tables
-- of any later migration too. `unificus verify` finds every read model equal to the log.
--
--     psql -v events=1000000 -v accounts=200 -f records.sql -f fill.sql

\set ON_ERROR_STOP on
\if :{?records}
\else
\set records all
\endif
set synchronous_commit = off;
set maintenance_work_mem = '256MB';
set work_mem = '128MB';
-- The last two events of an account are of its two endpoints' health.
select :events / :accounts - 2 as length \gset

insert into account (account_id, name, tier, created_at)
select bench.account_id(n), 'Account ' || n, 'standard', now() from generate_series(0, :accounts - 1) as n;

insert into account_key (account_id, key_id, name, origin, secret_hash, created_at)
select account_id, gen_random_uuid(), 'key ' || k, 'tryton', sha256((account_id::text || k)::bytea), now()
from account, generate_series(1, 2) as k;

-- One row per event, of which the account is left out: it is the same in all of them.
create temporary table step as
select s as seq, is_update, record, bench.kind(record) as kind, created,
    case when not is_update then null when g % 10 = 0 then created else s - 3 end as previous,
    bench.kind(record) = 'contact' and record % 40 > 20 and record % 2 = 1 as is_linked,
    -- The company that a contact is linked to is record 20 of the same forty.
    3 * ((record - record % 40 + 20) / 2) + 1 as company
from (
    select s, g, is_update, record, 3 * (record / 2) + 1 + record % 2 as created
    from (
        select s, g, s % 3 = 0 as is_update,
            case when s % 3 = 0 then 2 * (g - g % 10) else 2 * g + (s - 1) % 3 end as record
        from generate_series(1, :length) as s, lateral (select (s - 1) / 3 as g) as t
    ) as e
) as r;
analyze step;

create function pg_temp.link(account uuid, company bigint) returns text language sql immutable as $$
    select format('{"uid":"%s","name":"%s"}', bench.uid(account, company), bench.key(account, company))
$$;

\echo events
insert into event (account_id, seq, uid, type, at, origin, body)
select account_id, seq, uid, type, at, 'tryton',
    bench.body(account_id, seq, type, uid, previous, key, bench.record(kind, uid, key, created, seq, links))
from (
    select a.account_id, s.seq, s.kind, s.created, s.previous, bench.type_of(s.kind, s.is_update) as type,
        bench.uid(a.account_id, s.created) as uid, bench.key(a.account_id, s.created) as key,
        bench.at() as at,
        case when s.is_linked then pg_temp.link(a.account_id, s.company) else '' end as links
    from account a cross join step s
    order by s.seq
) as e;

\echo read models
create temporary table latest as
select distinct on (record) record, kind, created, seq as version, is_linked, company from step order by record, seq desc;
analyze latest;
select format('insert into %1$I (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
    select account_id, uid, version, bench.lookup_key(kind, key, created), %2$L, false, date_trunc(''second'', bench.at()),
        date_trunc(''second'', bench.at()), bench.record(kind, uid, key, created, version, links)
    from (
        select a.account_id, l.*, bench.uid(a.account_id, l.created) as uid, bench.key(a.account_id, l.created) as key,
            case when l.is_linked then pg_temp.link(a.account_id, l.company) else '''' end as links
        from account a cross join latest l where l.kind = %1$L order by l.created
    ) as r',
    kind, case when kind in ('contact', 'company') then 'Lead' end)
from (select distinct kind from latest) as k \gexec

insert into contact_company (account_id, company_uid, contact_uid)
select a.account_id, bench.uid(a.account_id, l.company), bench.uid(a.account_id, l.created)
from account a cross join latest l where l.is_linked;
update company c set listed = true
where exists (select from contact_company l where l.account_id = c.account_id and l.company_uid = c.uid);

insert into event (account_id, seq, uid, type, at, origin, body)
select account_id, seq, uid, 'push.failing', bench.at(), 'tryton',
    bench.body(account_id, seq, 'push.failing', uid, null, 'failing', bench.record('push', uid, 'failing', seq, seq, ''))
from account, generate_series(:length + 1, :length + 2) as seq, lateral (select bench.uid(account_id, seq) as uid) as u;

insert into push_health (account_id, uid, version, key, role, deleted, created_at, updated_at, record)
select account_id, uid, seq, null, null, false, date_trunc('second', bench.at()), date_trunc('second', bench.at()),
    bench.record('push', uid, 'failing', seq, seq, '')
from event where type = 'push.failing';

select :'records' <> 'only' as all_tables \gset
\if :all_tables
\echo push
insert into push_endpoint (account_id, endpoint_id, url, events, delivery_order, timeout_s, state, created_at, secrets,
    secrets_until)
select account_id, bench.uid(account_id, :length + k), 'https://hooks.example/' || k, '{}', 'record', 15, 'live', now(),
    array['\x00'::bytea], array[null::timestamptz]
from account, generate_series(1, 2) as k;

insert into push_cursor (account_id, endpoint_id, seq) select account_id, endpoint_id, :length from push_endpoint;

insert into push_waiting (account_id, endpoint_id, seq, uid, attempts, next_at, parked)
select p.account_id, p.endpoint_id, e.seq, e.uid, 3, now() + interval '1 hour', e.seq % 5 = 0
from push_endpoint p join event e on e.account_id = p.account_id and e.seq > :length - 50;

select format('create table push_attempt_%s partition of push_attempt for values from (%L) to (%L)',
    to_char(d, 'YYYYMMDD'), to_char(d, 'YYYY-MM-DD 00:00Z'), to_char(d + 1, 'YYYY-MM-DD 00:00Z'))
from generate_series(-1, 2) as n, lateral (select (now() at time zone 'UTC')::date + n as d) as t \gexec

-- One event in ten has an attempt; one attempt in ten is a batch of twenty events.
insert into push_attempt (account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, status, duration_ms,
    bytes, body)
select account_id, bench.uid(account_id, :length + 1), bench.uid(account_id, s), now(), s,
    account_id || ':' || s || case when s % 100 = 0 then '-' || least(s + 19, :length) else '' end,
    'event', 'delivered', 200, 12, 2200, convert_to(repeat('{"received":true} ', 10), 'UTF8')
from account, generate_series(10, :length, 10) as s;

\echo the rest
insert into answer (account_id, key, request_hash, outcome, at)
select account_id, 'tryton:' || md5(seq || 'key' || account_id::text), sha256(seq::text::bytea),
    json_build_object('done', json_build_object('entity', 'contact', 'uid', uid, 'version', seq, 'what', 'created')), now()
from event where seq % 10 = 0;
\endif

insert into head (account_id, seq, epoch, live, listed_companies)
select a.account_id, :length + 2, 1, (select json_object_agg(bench.name_of(kind), n) from (
        select kind, count(*) as n from latest group by kind union all select 'push', 2) as k),
    (select count(*) from company c where c.account_id = a.account_id and c.listed)
from account a;

insert into relay_cursor (account_id, seq) select account_id, seq from head;
insert into quota_month (account_id, month, used) select account_id, date_trunc('month', now())::date, 1000 from account;
insert into search_cursor (account_id, seq) select account_id, seq from head order by account_id limit 10;
insert into contact_search (account_id, uid, text)
select c.account_id, c.uid, lower(concat_ws(chr(10), f.name_prefix, f.first_name || ' ' || f.last_name, f.email,
    f.home_email, f.work_email, f.phone, f.home_phone, f.work_phone, f.shop_phone))
from contact c join search_cursor s on s.account_id = c.account_id
cross join lateral json_to_record(c.record::json) as f(name_prefix text, first_name text, last_name text, email text,
    home_email text, work_email text, phone text, home_phone text, work_phone text, shop_phone text);

\echo vacuum
vacuum (analyze);
\if :all_tables
checkpoint;
\endif
