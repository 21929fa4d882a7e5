//! The connection pools: those that read refuse writes, and reads that may lag go to a standby where one is configured.

use serde_json::json;
use unificus::config;
use unificus::domain::{Entity, Target, Uid};
use unificus::store::StoreError;
use unificus::store::lists::List;

use crate::support::servers::Servers;
use crate::support::{Client, Service};

/// Each read of a contact writes a row from now on.
const READS_WRITE: &str = "create table read_log (at timestamptz);
    create function log_read() returns boolean volatile language plpgsql as $$ begin
        insert into read_log values (now());
        return true;
    end $$;
    alter table contact rename to contact_rows;
    create view contact as with logged as materialized (select log_read() as logged)
        select * from contact_rows where (select logged from logged)";

#[tokio::test]
async fn the_pools_that_read_refuse_writes() {
    let service = Service::start().await;
    let (store, account) = (&service.store, service.client.account);
    let uid = service.client.contact("ann@example.org").await.uid();
    let target = Target::Uid(Uid(uid.parse().unwrap()));
    assert!(store.record(account, Entity::Contact, &target).await.unwrap().is_some());

    let sql = service.env.sql().await;
    sql.batch_execute(READS_WRITE).await.unwrap();
    let refusals = [
        store.record(account, Entity::Contact, &target).await.map(drop),
        store.page(account, &List::first(Entity::Contact, 1)).await.map(drop),
    ];
    for refusal in refusals {
        let error: StoreError = refusal.unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.contains("cannot execute INSERT in a read-only transaction"), "{shown}");
    }

    // A session that may write shows that the read does.
    let count = "select count(*) from read_log";
    assert_eq!(sql.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 0);
    assert_eq!(sql.query("select uid from contact", &[]).await.unwrap().len(), 1);
    assert_eq!(sql.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_standby_serves_lists_and_nothing_that_must_not_lag() {
    // It lags by everything: it received nothing but the schema.
    let standby = Servers::get().env().await;
    let service = Service::configured(|config| standby.database.clone_into(&mut config.database.read_url)).await;
    let api = &service.client;

    let uid = api.contact("ann@example.org").await.uid();
    api.get(&format!("/contact/{uid}")).await.expect(200);
    api.get("/contact/ann@example.org").await.expect(200);
    assert_eq!(api.changes().await.len(), 1);
    api.post("/project", json!({"name": "House"})).await.expect(201);
    api.get("/project/contains_the_following/house").await.expect(200);
    let made = api.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/", "enabled": false})).await;
    let endpoint = made.expect(201)["id"].as_str().unwrap().to_owned();
    api.get(&format!("/push/endpoints/{endpoint}")).await.expect(200);

    let lists = ["/contacts".to_owned(), "/contacts?q=ann".to_owned(), format!("/push/endpoints/{endpoint}/attempts")];
    for list in &lists {
        assert_eq!(api.get(list).await.expect(200), &json!([]), "{list}");
    }

    let sql = standby.superuser().await;
    let name: String = sql.query_one("select current_database()::text", &[]).await.unwrap().get(0);
    sql.batch_execute(&format!("alter database {name} connection limit 0")).await.unwrap();
    let end = "select pg_terminate_backend(pid, 30000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    sql.batch_execute(end).await.unwrap();
    for list in &lists {
        api.get(list).await.expect(503);
    }
    api.get(&format!("/contact/{uid}")).await.expect(200);
    api.contact("bob@example.org").await.expect(201);
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), api.account, "");
    ops.get("/readyz").await.expect(200);
}

#[test]
fn the_pools_together_have_as_many_connections_as_are_set() {
    let of = |pool, searches| config::Database { pool, searches, ..config::Database::default() };
    let default = config::Database::default();
    assert_eq!((default.read_connections(), default.write_connections()), (7, 4));
    // Authentication and quota have four. Searches leave one reading connection, and four write beside them.
    assert_eq!(default.read_connections() + default.write_connections() + 4, default.pool + 7);
    for database in [of(2, 0), of(2, 1), of(4, 3), of(16, 0), of(16, 15), of(200, 0)] {
        assert!(database.read_connections() > database.search_count(), "{} searches", database.search_count());
        assert!(database.write_connections() >= 4);
    }
}
