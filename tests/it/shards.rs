//! Ownership of shards when an error occurs during its change.

use crate::push_delivery::until;
use crate::support::Parts;
use crate::support::servers::Servers;
use unificus::worker::Worker as _;

/// The number of shards that each session has locked, according to the database.
const LOCKED: &str = "select array_agg(n order by n) from (
    select count(*) as n from pg_locks l join pg_database d on d.oid = l.database
    where l.locktype = 'advisory' and l.classid::bigint = x'756e0002'::bigint and d.datname = current_database()
    group by l.pid) as locked";

/// Makes requests for the lock of shard 50 fail while a row exists.
const FAULT: &str = "create schema fault;
    create table fault.at (shard integer);
    insert into fault.at values (50);
    create function fault.pg_try_advisory_lock(class integer, shard integer) returns boolean language plpgsql as $$
    begin
        if exists (select from fault.at a where a.shard = pg_try_advisory_lock.shard) then
            raise exception 'a fault';
        end if;
        return pg_catalog.pg_try_advisory_lock(class, shard);
    end $$;
    grant usage on schema fault to public;
    grant select on fault.at to public;
    do $$ begin
        execute format('alter database %I set search_path = fault, pg_catalog, public', current_database());
    end $$";

#[tokio::test]
async fn locks_taken_before_an_error_are_released_to_other_replicas() {
    let env = Servers::get().env().await;
    let sql = env.sql().await;
    sql.batch_execute(FAULT).await.unwrap();
    let mut one = Parts::start(&env).await;
    assert!(one.balance.step().await.is_err());
    sql.batch_execute("delete from fault.at").await.unwrap();
    let locked = async || sql.query_one(LOCKED, &[]).await.unwrap().get::<_, Option<Vec<i64>>>(0).unwrap_or_default();
    until("all shards", async || {
        one.balance.step().await.unwrap();
        locked().await == [64]
    })
    .await;

    let mut other = Parts::start(&env).await;
    until("an even share", async || {
        one.balance.step().await.unwrap();
        other.balance.step().await.unwrap();
        locked().await == [32, 32]
    })
    .await;
    one.kill().await;
    other.kill().await;
}
