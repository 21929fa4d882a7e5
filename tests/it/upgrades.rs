//! Rolling upgrades: builds beside the schema of another build.

use serde_json::json;

use crate::push_delivery::{endpoint_at, seqs};
use crate::support::program::{failure_text, serve, unificus};
use crate::support::servers::TestEnv;
use crate::support::{Client, LONG, Receiver, Service};

/// The result of a newer build's migration: a change that this build does not know, and a line in the migration
/// history.
async fn migrate(env: &TestEnv, version: i32, name: &str, statement: &str) {
    let sql = env.sql().await;
    sql.batch_execute(statement).await.unwrap();
    let row = "insert into refinery_schema_history (version, name, applied_on, checksum) values ($1, $2, 'now', '1')";
    sql.execute(row, &[&version, &name]).await.unwrap();
}

const EXPAND: &str = "alter table contact add column more text not null default 'x';
    alter table event add column more text; alter table head add column more bigint not null default 0;
    alter table push_endpoint add column more text; alter table push_cursor add column more text;
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
