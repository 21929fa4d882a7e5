//! A database that is restored from a backup is behind all state outside of it.

use std::process::Stdio;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use unificus::app::App;
use unificus::clock::Clock;
use unificus::contract::Cursor;
use unificus::domain::Seq;

use crate::support::servers::TestEnv;
use crate::support::service::base;
use crate::support::{Client, LONG, Receiver, Service, stream, until};

type Legacy = legacy::Client<HttpConnector, Empty<Bytes>>;

/// `unificus log restored`, as an operator runs it.
async fn log_restored(env: &TestEnv, arguments: &[&str]) -> Value {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_unificus"))
        .args(["log", "restored", "--json"])
        .args(arguments)
        .env("UNIFICUS_DATABASE__URL", &env.least)
        .env("UNIFICUS_NATS__URL", &env.nats)
        .env("UNIFICUS_NATS__STREAM", &env.stream)
        .env("UNIFICUS_NATS__SUBJECT_ROOT", &env.subject_root)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(output.stdout.trim_ascii()).unwrap()
}

async fn create(client: &Client, numbers: std::ops::RangeInclusive<usize>) {
    for number in numbers {
        client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
}

fn cursor(epoch: i32, seq: i64) -> String {
    Cursor { epoch, seq: Seq(seq) }.to_string()
}

async fn ids(client: &Client) -> Vec<String> {
    client.changes().await.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

/// The sum of a series over several replicas.
async fn sum(apps: &[&App], series: &str) -> f64 {
    let mut sum = 0.0;
    for app in apps {
        let metrics = page(app, "/metrics").await.1;
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        sum += line.unwrap_or_else(|| panic!("no {series}")).parse::<f64>().unwrap();
    }
    sum
}

async fn page(app: &App, path: &str) -> (u16, String) {
    let nobody = unificus::domain::AccountId(uuid::Uuid::nil());
    let page = Client::new(&format!("http://{}", app.metrics_address()), nobody, "").get(path).await;
    (page.status, page.text)
}

/// A service with five events of its log in the backup and three more that were published.
async fn restored() -> (TestEnv, Client) {
    let service = Service::start().await;
    create(&service.client, 1..=5).await;
    let Service { app, env, store, client } = service;
    stream::ids(&env, client.account, 5).await;
    // The cursor is saved by then.
    app.stop().await.unwrap();
    drop(store);
    let backup = env.backup().await;
    let app = Box::pin(App::start(env.config(), Clock::system())).await.unwrap();
    let client = Client::new(&base(&app), client.account, &client.secret);
    create(&client, 6..=8).await;
    stream::ids(&env, client.account, 8).await;
    app.stop().await.unwrap();
    (backup, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_events_have_ids_that_the_lost_timeline_never_had() {
    let (env, client) = restored().await;
    let account = client.account;

    let printed = log_restored(&env, &["--all"]).await;
    assert_eq!(printed, json!({"public_id": account, "epoch": 2, "head": 5}));
    let app = Box::pin(App::start(env.config(), Clock::system())).await.unwrap();
    let client = Client::new(&base(&app), account, &client.secret);
    client.contact("new@example.org").await.expect(201);

    let expected = [stream::unbroken(account, 5), vec![format!("{account}:2:6")]].concat();
    assert_eq!(ids(&client).await, expected);
    until("the event is published", async || stream::bodies(&env, account).await.len() == 6).await;
    assert_eq!(stream::ids(&env, account, 6).await, expected, "the lost timeline's messages are gone");
    for (epoch, seq) in [(1, 8), (1, 3)] {
        let response = client.get(&format!("/changes?after={}", cursor(epoch, seq))).await;
        response.expect(410);
        assert_eq!(response.json["type"], "/problems/resync-required");
    }
    client.get(&format!("/changes?after={}", cursor(2, 5))).await.expect(200);
    app.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_restored_behind_the_stream_stops_its_relay_until_an_operator_confirms_it() {
    let (env, client) = restored().await;
    let app = Box::pin(App::start(env.config(), Clock::system())).await.unwrap();
    let client = Client::new(&base(&app), client.account, &client.secret);
    let account = client.account;
    // More events than were lost, so that positions alone show no loss.
    create(&client, 11..=15).await;

    until("the account is stopped", async || sum(&[&app], "unificus_relay_stopped_accounts").await > 0.0).await;
    assert_eq!(stream::ids(&env, account, 8).await, stream::unbroken(account, 8), "nothing is published");
    assert_eq!(
        page(&app, "/readyz").await,
        (200, "ready\nNATS gateway off because nats.issuer_seed is not set\n".to_owned()),
        "the API serves on"
    );

    log_restored(&env, &["--account", &account.to_string()]).await;
    client.contact("new@example.org").await.expect(201);

    let expected = [stream::unbroken(account, 10), vec![format!("{account}:2:11")]].concat();
    until("the event is published", async || stream::bodies(&env, account).await.len() == 11).await;
    assert_eq!(stream::ids(&env, account, 11).await, expected);
    let feed: Vec<String> = client.changes().await.iter().map(Value::to_string).collect();
    let bodies = stream::bodies(&env, account).await;
    let bodies: Vec<String> =
        bodies.iter().map(|body| serde_json::from_str::<Value>(body).unwrap().to_string()).collect();
    assert_eq!(bodies, feed, "the stream has the log's events, and no others");
    until("the account is relayed", async || sum(&[&app], "unificus_relay_stopped_accounts").await < 1.0).await;
    app.stop().await.unwrap();
}

/// Removes the tail of the log under two running replicas, as a restore in place does, whatever they have cached.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_running_replicas_drop_the_lost_events_and_continue_in_another_epoch() {
    let receiver = Receiver::start().await;
    let service = Service::start().await;
    let (other, client) = service.replica().await;
    let (env, api) = (&service.env, &service.client);
    let account = api.account;
    create(api, 1..=4).await;
    create(&client, 5..=6).await;
    create(api, 7..=8).await;
    api.post("/push/endpoints", json!({"url": receiver.url(), "from": "start"})).await.expect(201);
    receiver.wait_for(8, LONG).await;
    stream::ids(env, account, 8).await;
    let sql = env.sql().await;
    let cursors = "select (select min(seq) from push_endpoint_cursor) = 8 and (select seq from relay_cursor) = 8";
    until("the cursors are written", async || {
        sql.query_one(cursors, &[]).await.unwrap().get::<_, Option<bool>>(0) == Some(true)
    })
    .await;

    let restore = r#"begin;
        update head set seq = 5, live = '{"contact": 5}';
        delete from event where seq > 5;
        delete from contact where version > 5;
        commit"#;
    sql.batch_execute(restore).await.unwrap();

    for client in [api, &client] {
        assert_eq!(ids(client).await, stream::unbroken(account, 5), "nothing is read that is not in the log");
    }
    create(api, 9..=9).await;
    until("the account is stopped", async || {
        sum(&[&service.app, &other], "unificus_relay_stopped_accounts").await > 0.0
    })
    .await;
    assert_eq!(stream::bodies(env, account).await.len(), 8, "nothing is published");

    log_restored(env, &["--account", &account.to_string()]).await;
    create(&client, 10..=10).await;

    let expected = [stream::unbroken(account, 6), vec![format!("{account}:2:7")]].concat();
    for client in [api, &client] {
        assert_eq!(ids(client).await, expected);
        client.get(&format!("/changes?after={}", cursor(1, 4))).await.expect(410);
    }
    let published = async || stream::bodies(env, account).await.iter().any(|body| body.contains(":2:7\""));
    until("the event is published", published).await;
    assert_eq!(stream::ids(env, account, 7).await, expected);
    until("the event is delivered", async || receiver.counts().contains_key(&expected[6])).await;
    other.stop().await.unwrap();
    service.app.stop().await.unwrap();
}

/// A client that follows the stream has read events that no longer exist: its stream ends, and its next request is told
/// to start again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_of_changes_ends_when_its_log_was_restored() {
    let service = Service::start().await;
    let api = &service.client;
    create(api, 1..=4).await;
    let http: Legacy = legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let request = hyper::Request::get(format!("{}/changes/stream", api.base))
        .header("x-public-id", api.account.to_string())
        .header("x-secret-key", &*api.secret)
        .header("last-event-id", cursor(1, 4))
        .body(Empty::new())
        .unwrap();
    let mut response = http.request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let restore = r#"begin; update head set seq = 2, live = '{"contact": 2}'; delete from event where seq > 2;
        delete from contact where version > 2; commit"#;
    service.env.sql().await.batch_execute(restore).await.unwrap();

    log_restored(&service.env, &["--all"]).await;

    let ended = async { while response.body_mut().frame().await.is_some() {} };
    tokio::time::timeout(LONG, ended).await.expect("the stream does not end");
    api.get(&format!("/changes?after={}", cursor(1, 4))).await.expect(410);
}

#[tokio::test]
async fn a_stored_response_whose_event_was_lost_is_not_replayed() {
    let service = Service::start().await;
    let api = &service.client;
    create(api, 1..=2).await;
    let body = crate::support::client::lead("three@example.org").to_string();
    let headers = [("idempotency-key", "lost")];
    api.send(hyper::Method::POST, "/contact", &headers, &body).await.expect(201);
    let sql = service.env.sql().await;
    let restore = r#"begin; update head set seq = 2, live = '{"contact": 2}'; delete from event where seq > 2;
        delete from contact where version > 2; commit"#;
    sql.batch_execute(restore).await.unwrap();

    log_restored(&service.env, &["--all"]).await;

    let response = api.send(hyper::Method::POST, "/contact", &headers, &body).await;
    response.expect(201);
    assert_eq!(response.json["data"]["version"], 3);
    assert_eq!(ids(api).await.last(), Some(&format!("{}:2:3", api.account)));
}

#[tokio::test]
async fn a_log_that_does_not_end_at_its_head_gets_no_new_epoch() {
    let service = Service::start().await;
    create(&service.client, 1..=2).await;
    service.env.sql().await.batch_execute("update head set seq = 1").await.unwrap();

    let by = unificus::store::audit::By::new("test", Clock::system().now());
    let nobody = unificus::domain::AccountId(uuid::Uuid::nil());
    let outcome = service.store.raise_epochs(nobody, None, 500, by).await.unwrap();

    assert_eq!(outcome, unificus::store::restored::RaiseOutcome::Broken(service.client.account));
    let head = service.store.head(service.client.account).await.unwrap().unwrap();
    assert_eq!(head.epoch, 1);
}
