//! The service with the rights that `deploy/postgres/roles.sql` gives it. Every service of these tests has them.

use std::collections::BTreeMap;

use serde_json::json;
use tokio_postgres::Client as Sql;
use tokio_postgres::error::SqlState;

use super::installation::{Installation, connect};
use super::succeeded;
use crate::push_delivery::endpoint_at;
use crate::support::program::{failure_text, lines, unificus};
use crate::support::{Client, LONG, Receiver, Replica, Service, stream, until};

/// Every statement that the service's role must be refused.
const REFUSED: [&str; 15] = [
    "drop table contact",
    "drop table push_attempt",
    "truncate contact",
    "alter table event add column more text",
    "create table mine (id integer)",
    "create schema mine",
    "create temporary table mine (id integer)",
    "create index on contact (uid)",
    "delete from event",
    "truncate event",
    "delete from audit",
    "update audit set actor = 'nobody'",
    "delete from refinery_schema_history",
    "set role unificus_owner",
    "select push_attempt_drop_day('contact')",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_services_role_owns_no_table_and_cannot_drop_one() {
    let installation = Installation::make("least-refused", |_| ()).await;
    let sql = connect(&installation.service).await;
    for statement in REFUSED {
        let error = sql.batch_execute(statement).await.expect_err(statement);
        let code = error.code().unwrap();
        let refused = [&SqlState::INSUFFICIENT_PRIVILEGE, &SqlState::INVALID_PARAMETER_VALUE];
        assert!(refused.contains(&code), "{statement}: {code:?} {error:?}");
    }
    let owned = "select count(*) from pg_class where relowner = 'unificus'::regrole";
    assert_eq!(sql.query_one(owned, &[]).await.unwrap().get::<_, i64>(0), 0);

    // Today's attempts, and tables with names alike, stay whatever the function is called with.
    let today = "select to_char((now() at time zone 'UTC')::date, 'YYYYMMDD')";
    let today: String = sql.query_one(today, &[]).await.unwrap().get(0);
    for name in [format!("push_attempt_{today}"), "push_attempt_19700101; drop table contact".to_owned()] {
        let error = sql.execute("select push_attempt_drop_day($1)", &[&name]).await.expect_err(&name);
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{name}");
    }

    // Other commands than these two are the service's.
    let settings = [("UNIFICUS_DATABASE__URL", installation.service.as_str())];
    for command in ["migrate", "rebuild", "rebuild --discard"] {
        let error = failure_text(&unificus(command, &settings).await);
        assert!(error.contains("belong to the role unificus_owner") && error.contains("database.url"), "{error}");
    }
    installation.services.stop().await.unwrap();
}

/// The days that have a partition of the attempt log.
async fn attempt_days(sql: &Sql) -> i64 {
    let days = "select count(*) from pg_inherits where inhparent = 'push_attempt'::regclass";
    sql.query_one(days, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_does_all_its_work_with_the_least_rights() {
    let installation = Installation::make("least-works", |_| ()).await;
    let (env, owner) = (installation.env(), connect(&installation.owner).await);
    let over = "create table push_attempt_20200101 partition of push_attempt
        for values from ('2020-01-01 00:00Z') to ('2020-01-02 00:00Z')";
    owner.batch_execute(over).await.unwrap();
    let settings = [("UNIFICUS_DATABASE__URL", installation.service.as_str())];
    let created = lines(&unificus("account create Acme --tier pinnacle --json", &settings).await);
    let account = unificus::domain::AccountId(created[0]["public_id"].as_str().unwrap().parse().unwrap());
    let secret = created[0]["secret_key"].as_str().unwrap();
    // With limits, so that calls are counted.
    let limits = [("UNIFICUS_QUOTA__ENFORCED", "true")];
    let mut first = Replica::start(&env, &limits).await;
    let second = Replica::start(&env, &limits).await;
    let (api, other) = (first.client(account, secret), second.client(account, secret));
    until("partitions are made, and an old one is dropped", async || {
        let old = "select to_regclass('push_attempt_20200101') is null";
        attempt_days(&owner).await >= 4 && owner.query_one(old, &[]).await.unwrap().get(0)
    })
    .await;

    // Writes, reads, push, relay.
    let receiver = Receiver::start().await;
    let endpoint = endpoint_at(&api, &receiver.url(), json!({})).await["id"].as_str().unwrap().to_owned();
    let uid = write(&api, &other).await;
    let written = api.changes().await.len();
    assert_eq!(receiver.wait_for(written, LONG).await.len(), written);
    stream::ids(&env, account, written).await;
    until("attempts are logged", async || {
        let attempts = api.get(&format!("/push/endpoints/{endpoint}/attempts")).await;
        attempts.expect(200).as_array().is_some_and(|attempts| !attempts.is_empty())
    })
    .await;

    // A replica that is paused loses its shards: another one ends its session.
    first.signal(nix::sys::signal::Signal::SIGSTOP);
    other.contact("paused@example.org").await.expect(201);
    until("the other replica delivers", async || receiver.counts().len() == written + 1).await;
    first.kill().await;

    operate(&installation, &uid, account).await;
    let used = other.get("/usage").await;
    assert!(used.expect(200)["used"].as_i64().unwrap() >= 10, "{}", used.text);
    installation.services.stop().await.unwrap();
}

/// One write of each kind; returns the uid of a contact.
async fn write(api: &Client, other: &Client) -> String {
    let uid = api.contact("ann@example.org").await.uid();
    other.put(&format!("/contact/{uid}"), json!({"title": "Head of Sales"})).await.expect(200);
    api.post("/company", json!({"name": "Acme", "role": "Client"})).await.expect(201);
    api.post("/project", json!({"name": "House"})).await.expect(201);
    let gone = api.contact("gone@example.org").await.uid();
    api.delete(&format!("/contact/{gone}")).await.expect(200);
    let ops = json!({"ops": [
        {"op_id": "1", "op": "upsert", "entity": "contact", "ref": {"id": "17"}, "set":
            {"role": "Lead", "first_name": "Bob", "last_name": "Lee", "email": "bob@example.org"}},
        {"op_id": "2", "op": "upsert", "entity": "contact", "ref": {"id": "17"}, "set": {"title": "CTO"}},
    ]});
    let batch = api.post("/sync/batch", ops).await;
    assert!(batch.expect(200).as_array().unwrap().iter().all(|result| result["status"].as_i64() < Some(300)));
    assert_eq!(api.get("/contacts?q=bob").await.expect(200).as_array().map(Vec::len), Some(1), "the text index");
    api.get("/contacts").await.expect(200);
    uid
}

/// The commands of operators, each with the role that it needs.
async fn operate(installation: &Installation, uid: &str, account: unificus::domain::AccountId) {
    let run = async |command: &str, url: &str| {
        let output = unificus(command, &[("UNIFICUS_DATABASE__URL", url)]).await;
        succeeded(&output);
    };
    for command in [
        format!("account tier {account} thrive"),
        format!("account tier {account} pinnacle"),
        format!("account erase-attempts {account} {uid}"),
        format!("account behavior {account} succeed"),
        "account list".to_owned(),
        format!("brand set {account} --name Acme"),
        "verify".to_owned(),
        "log restored --all".to_owned(),
    ] {
        run(&command, &installation.service).await;
    }
    // The tables that a rebuild puts into place are open to the service as the ones before, and belong to their owner.
    let grants = async || {
        let sql = connect(&installation.owner).await;
        let grants = "select relname::text, pg_get_userbyid(relowner)::text || (select string_agg(a::text, ' ' order by a::text) from unnest(relacl) a)
            from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace";
        let rows = sql.query(grants, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect::<BTreeMap<String, Option<String>>>()
    };
    let before = grants().await;
    run("rebuild", &installation.owner).await;
    run(&format!("rebuild --account {account}"), &installation.owner).await;
    assert_eq!(grants().await, before);
    run("verify", &installation.service).await;
}

#[tokio::test]
async fn services_of_tests_have_the_least_rights() {
    let service = Service::start().await;
    let sql = connect(&service.env.least).await;
    let error = sql.batch_execute("drop table contact").await.expect_err("the role of services owns nothing");
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
}
