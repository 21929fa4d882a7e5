//! Rolling upgrades: builds beside the schema of another build.

use hyper::Method;
use serde_json::json;
use tokio_postgres::Client as Sql;
use tokio_postgres::types::ToSql;
use unificus::clock::Clock;
use uuid::Uuid;

use crate::push_delivery::{endpoint_at, seqs};
use crate::release_before as before;
use crate::support::client::lead;
use crate::support::program::{failure_text, serve, unificus};
use crate::support::servers::TestEnv;
use crate::support::{Client, LONG, Receiver, Service};

/// The result of a newer build's migration: a change that this build does not know, and a line in the migration
/// history.
pub(crate) async fn migrate(env: &TestEnv, version: i32, name: &str, statement: &str) {
    let sql = env.sql().await;
    sql.batch_execute(statement).await.unwrap();
    let row = "insert into refinery_schema_history (version, name, applied_on, checksum) values ($1, $2, 'now', '1')";
    sql.execute(row, &[&version, &name]).await.unwrap();
}

pub(crate) const EXPAND: &str = "alter table contact add column more text not null default 'x';
    alter table event add column more text; alter table head add column more bigint not null default 0;
    alter table push_endpoint add column more text; alter table push_endpoint_cursor add column more text;
    create table newer (account_id uuid primary key)";

#[tokio::test]
async fn a_running_replica_goes_on_beside_a_schema_that_is_expanded() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    endpoint_at(api, &receiver.url(), json!({})).await;
    let uid = api.contact("ann@example.org").await.uid();
    migrate(&service.env, 9_001, "more", EXPAND).await;

    api.contact("bob@example.org").await.expect(201);
    api.put(&format!("/contact/{uid}"), json!({"title": "Head of Sales"})).await.expect(200);
    assert_eq!(api.get("/contacts").await.expect(200).as_array().unwrap().len(), 2);
    assert_eq!(api.changes().await.len(), 3);
    endpoint_at(api, &receiver.url(), json!({"from": "start"})).await;
    let mut sent = seqs(&receiver.wait_for(6, LONG).await);
    sent.sort_unstable();
    assert_eq!(sent, [1, 1, 2, 2, 3, 3]);
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), api.account, "");
    ops.get("/readyz").await.expect(200);

    // The build may be killed meanwhile; a roll back then starts the previous build again.
    let (app, again) = service.replica().await;
    again.contact("cid@example.org").await.expect(201);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_build_starts_beside_an_expanded_schema_and_refuses_a_contracted_one_clearly() {
    let service = Service::start().await;
    let env = &service.env;
    migrate(env, 9_001, "more", EXPAND).await;
    let (child, base) = serve(env, &[]).await;
    Client::new(&base, service.client.account, &service.client.secret).get("/contacts").await.expect(200);
    drop(child);

    let settings = [("UNIFICUS_DATABASE__URL", env.database.as_str()), ("UNIFICUS_NATS__URL", &env.nats)];
    let error_text = failure_text(&unificus("migrate --json", &settings).await);
    assert!(error_text.contains("9001") && error_text.contains("migrate with a newer build"), "{error_text}");

    migrate(env, 9_002, "contract_contact_role", "alter table contact rename column role to kind").await;
    let error_text = failure_text(&unificus("serve", &settings).await);
    assert!(
        error_text.contains("9002") && !error_text.contains("9001") && error_text.contains("run a newer build"),
        "{error_text}"
    );
}

#[tokio::test]
async fn a_new_build_refuses_a_schema_that_was_not_migrated_yet_and_names_the_command() {
    let service = Service::start().await;
    let env = &service.env;
    let last = "delete from refinery_schema_history where version = (select max(version) from refinery_schema_history)
        returning version";
    let last: i32 = env.sql().await.query_one(last, &[]).await.unwrap().get(0);
    let settings = [("UNIFICUS_DATABASE__URL", env.database.as_str()), ("UNIFICUS_NATS__URL", &env.nats)];
    let error_text = failure_text(&unificus("serve", &settings).await);
    assert!(error_text.contains(&last.to_string()) && error_text.contains("run `unificus migrate`"), "{error_text}");
    service.client.contact("ann@example.org").await.expect(201);
}

/// The only number of a query's only row.
async fn number(sql: &Sql, query: &str) -> i64 {
    sql.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_release_before_keeps_its_idempotency_records_under_the_former_name() {
    let service = Service::start().await;
    let (api, sql) = (&service.client, service.env.sql().await);
    let accounts = vec![api.account.0];
    let (keys, hashes) = (vec!["k"], vec![vec![7_u8; 32]]);
    for version in [3, 4] {
        let outcomes = vec![format!(r#"{{"done":{{"version":{version}}}}}"#)];
        let stored = sql.execute(before::STORE_ANSWERS, &[&accounts, &keys, &hashes, &outcomes]).await.unwrap();
        assert_eq!(stored, 1, "stored, and then stored again");
    }
    let loaded = sql.query_one(before::LOAD_ANSWERS, &[&accounts, &keys, &60.0_f64]).await.unwrap();
    assert_eq!(loaded.get::<_, &str>(3), r#"{"done":{"version":4}}"#);
    assert_eq!(number(&sql, "select count(*) from idempotency_record where key = 'k'").await, 1);
    let counted =
        sql.query_one(before::COUNT_ANSWERS, &[&api.account.0, &keys, &vec!["other"], &hashes]).await.unwrap();
    assert_eq!(counted.get::<_, i64>(0), 1);
    assert_eq!(sql.execute(before::RESTORED_ANSWERS, &[&accounts]).await.unwrap(), 1, "the log is empty");

    // Each release reads the record that the other stored.
    let headers = [("idempotency-key", "once")];
    api.send(Method::POST, "/contact", &headers, &lead("ann@example.org").to_string()).await.expect(201);
    assert_eq!(number(&sql, "select count(*) from answer").await, 1);
    sql.batch_execute("update answer set at = at - interval '25 hours'").await.unwrap();
    assert_eq!(sql.execute(before::FORGET_ANSWERS, &[&86_400.0_f64]).await.unwrap(), 1);
    assert_eq!(number(&sql, "select count(*) from idempotency_record").await, 0);
}

/// Saves, as the release before does, a cursor and the entry of event 1, which is parked after so many attempts.
async fn save_as_before(sql: &Sql, (account, endpoint): (Uuid, Uuid), uid: Uuid, attempts: i32) {
    let (accounts, endpoints, now) = (vec![account], vec![endpoint], Clock::system().now());
    let (no_ids, no_seqs) = (Vec::<Uuid>::new(), Vec::<i64>::new());
    let values: [&(dyn ToSql + Sync); 18] = [
        &accounts,
        &endpoints,
        &vec![1_i64],
        &vec![Some(now)],
        &vec![attempts],
        &vec![Some(now)],
        &no_ids,
        &no_ids,
        &no_seqs,
        &accounts,
        &endpoints,
        &vec![1_i64],
        &vec![uid],
        &vec![attempts],
        &vec![now],
        &vec![true],
        &vec![None::<i64>],
        &vec![None::<i64>],
    ];
    assert_eq!(sql.execute(before::SAVE_PUSH, &values).await.unwrap(), 1);
}

#[tokio::test]
async fn the_release_before_keeps_cursors_and_retries_under_the_former_names() {
    let Service { app, env, client: api, .. } = Service::start().await;
    let sql = env.sql().await;
    let uid = Uuid::parse_str(&api.contact("ann@example.org").await.uid()).unwrap();
    let made = api.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/", "enabled": false})).await;
    let endpoint = Uuid::parse_str(made.expect(201)["id"].as_str().unwrap()).unwrap();
    // No worker of this release moves the cursor meanwhile.
    app.stop().await.unwrap();
    let (account, now) = (api.account.0, Clock::system().now());

    // A new entry of the retry queue, and the same with one more attempt.
    for attempts in [1, 2] {
        save_as_before(&sql, (account, endpoint), uid, attempts).await;
    }
    let of = "select attempts::bigint from push_retry join push_endpoint_cursor using (account_id, endpoint_id)
        where parked and failures = attempts";
    assert_eq!(number(&sql, of).await, 2);
    assert_eq!(sql.query(before::LIST_WAITING, &[&account, &endpoint]).await.unwrap().len(), 1);
    assert_eq!(sql.query(before::IS_PARKED, &[&account, &endpoint, &1_i64]).await.unwrap().len(), 1);
    assert_eq!(sql.query(before::LIST_PARKED, &[&account, &endpoint, &0_i64, &9_i64]).await.unwrap().len(), 1);

    // A command for the cursor, and its result.
    let order = Uuid::from_u128(1);
    let values: [&(dyn ToSql + Sync); 7] = [&account, &endpoint, &order, &"retry", &1_i64, &None::<i64>, &now];
    assert_eq!(sql.execute(before::INSERT_ORDER, &values).await.unwrap(), 1);
    assert_eq!(number(&sql, "select count(command_id) from push_cursor_command where kind = 'retry'").await, 1);
    assert_eq!(sql.query_one(before::LIST_ORDERS, &[&account]).await.unwrap().get::<_, Uuid>(1), order);
    assert_eq!(sql.query(before::BEHIND_PUSH, &[&now]).await.unwrap().len(), 1);
    let moved: [&(dyn ToSql + Sync); 11] = [
        &account,
        &endpoint,
        &vec![order],
        &Vec::<i64>::new(),
        &vec![1_i64],
        &vec![now],
        &1_i64,
        &vec![3_i64, 5],
        &None::<time::OffsetDateTime>,
        &0_i32,
        &None::<time::OffsetDateTime>,
    ];
    assert_eq!(sql.execute(before::MOVE_PLACE, &moved).await.unwrap(), 1);
    let listed = sql.query_one(before::LIST_ENDPOINTS, &[&account, &None::<Uuid>]).await.unwrap();
    assert_eq!((listed.get::<_, Vec<i64>>(26), listed.get::<_, bool>(27)), (vec![3, 5], false));
    assert_eq!(number(&sql, "select processed[2] from push_endpoint_cursor").await, 5);
    assert_eq!(number(&sql, "select count(*) from push_retry where not parked").await, 1);

    assert_eq!(sql.execute(before::RESTORED_PUSH, &[&vec![account], &now]).await.unwrap(), 1);
    assert_eq!(sql.execute(before::DELETE_ENDPOINT, &[&account, &endpoint]).await.unwrap(), 1);
    let left = "select (select count(*) from push_retry) + (select count(*) from push_cursor_command)
        + (select count(*) from push_endpoint_cursor)";
    assert_eq!(number(&sql, left).await, 0);
    // A column that the release before does not write has its default.
    assert_eq!(sql.execute(before::INSERT_CURSOR, &[&account, &endpoint, &Some(1_i64)]).await.unwrap(), 1);
    assert_eq!(number(&sql, "select failures + cardinality(processed)::bigint from push_endpoint_cursor").await, 0);
}
