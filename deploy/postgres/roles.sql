-- The roles and the database of an installation, with the least rights that work. May be run again: it changes passwords
-- and rights, and no data.
--
-- Run it with psql 14 or newer, as a superuser, before the first `unificus migrate`. Passwords come from the environment,
-- because every user of the machine can read arguments:
--
--   UNIFICUS_OWNER_PASSWORD=… UNIFICUS_SERVICE_PASSWORD=… UNIFICUS_BACKUP_PASSWORD=… \
--       psql -X -v ON_ERROR_STOP=1 -f deploy/postgres/roles.sql "postgresql:///postgres"
--
-- Other names than these: -v database=… -v owner=… -v service=… -v backup=…
--
-- role              may                                                  used by
-- unificus_owner    everything in this database, which it owns           unificus migrate, unificus rebuild
-- unificus          read and write rows; owns nothing, makes no table    unificus serve, every other command
-- unificus_backup   copy the cluster (replication)                       pg_basebackup, a standby

\set ON_ERROR_STOP on
\set QUIET on
\if :{?database}
\else
    \set database unificus
\endif
\if :{?owner}
\else
    \set owner unificus_owner
\endif
\if :{?service}
\else
    \set service unificus
\endif
\if :{?backup}
\else
    \set backup unificus_backup
\endif
\getenv owner_password UNIFICUS_OWNER_PASSWORD
\getenv service_password UNIFICUS_SERVICE_PASSWORD
\getenv backup_password UNIFICUS_BACKUP_PASSWORD
\if :{?owner_password}
\else
    \warn 'UNIFICUS_OWNER_PASSWORD is not set'
    select 1 / 0 as set_the_password;
\endif
\if :{?service_password}
\else
    \warn 'UNIFICUS_SERVICE_PASSWORD is not set'
    select 1 / 0 as set_the_password;
\endif
\if :{?backup_password}
\else
    \warn 'UNIFICUS_BACKUP_PASSWORD is not set'
    select 1 / 0 as set_the_password;
\endif

set client_min_messages = warning;
-- Statements with a password are not logged, whatever the server logs otherwise.
set log_statement = 'none';
set log_min_duration_statement = -1;
set log_min_error_statement = 'panic';

select format('create role %I', name) from unnest(array[:'owner', :'service', :'backup']) as name
where not exists (select from pg_roles where rolname = name)
\gexec
alter role :"owner" login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'owner_password';
alter role :"service" login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'service_password';
alter role :"backup" login nosuperuser nocreatedb nocreaterole replication nobypassrls password :'backup_password';
-- Membership in the owner's role would let the service drop tables.
select format('revoke %I from %I', r.rolname, :'service')
from pg_auth_members m join pg_roles r on r.oid = m.roleid join pg_roles s on s.oid = m.member
where s.rolname = :'service'
\gexec

-- The owner may do everything that the service may. So an operator sees the service's sessions, and can end one that holds
-- a lock.
grant :"service" to :"owner";

-- Text sorts by code point, on every machine alike: an index stays valid when the C library is upgraded.
select format(
    'create database %I owner %I encoding ''UTF8'' locale ''C.UTF-8'' template template0', :'database', :'owner')
where not exists (select from pg_database where datname = :'database')
\gexec
alter database :"database" owner to :"owner";
-- Otherwise every role of the cluster may connect and make temporary tables.
revoke all on database :"database" from public;
grant connect on database :"database" to :"service";

\connect :database
set role :"owner";
-- Tables that migrations and rebuilds make belong to their owner, and are open to the service from their first moment: a
-- replica of the version before goes on during a migration.
alter default privileges for role :"owner" in schema public
    grant select, insert, update, delete on tables to :"service";
revoke create on schema public from public, :"service";
grant usage on schema public to :"service";

-- The log of delivery attempts has a partition per day, and only the owner of a table may make or drop its partitions.
-- The service calls these two functions where it finds them. They make no other table and drop none that is younger than
-- the service would.
create or replace function push_attempt_add_day(day date) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    today constant date := (now() at time zone 'UTC')::date;
begin
    if day is null or day not between today - 2 and today + 30 then
        raise exception 'no partition is made for %', day using errcode = 'invalid_parameter_value';
    end if;
    execute format(
        'create table if not exists public.%I partition of public.push_attempt for values from (%L) to (%L)',
        'push_attempt_' || to_char(day, 'YYYYMMDD'), to_char(day, 'YYYY-MM-DD 00:00Z'),
        to_char(day + 1, 'YYYY-MM-DD 00:00Z'));
end $$;
create or replace function push_attempt_drop_day(name text) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    yesterday constant date := (now() at time zone 'UTC')::date - 1;
begin
    if name is null or name !~ '^push_attempt_[0-9]{8}$' or name >= 'push_attempt_' || to_char(yesterday, 'YYYYMMDD') then
        raise exception '% is no partition of a day that is over', name using errcode = 'invalid_parameter_value';
    end if;
    execute format('drop table if exists public.%I', name);
end $$;
revoke execute on function push_attempt_add_day(date), push_attempt_drop_day(text) from public;
grant execute on function push_attempt_add_day(date), push_attempt_drop_day(text) to :"service";

-- Of an installation whose tables are there already.
grant select, insert, update, delete on all tables in schema public to :"service";
reset role;
