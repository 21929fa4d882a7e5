//! Settings of an endpoint, and concurrent writers of its row.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use unificus::push::signature::{SigningSecret, sign};

use super::{Timed, body, endpoint, endpoint_at, seqs, settled, until};
use crate::support::receiver::Received;
use crate::support::{LONG, Receiver, Service};

const NOBODY: &str = "http://127.0.0.1:9/";

/// Another writer of the row, in a transaction that ends while a change waits for it.
async fn change_concurrently(service: &Service, other: &str, change: impl Future<Output = ()>) {
    let sql = service.env.sql().await;
    sql.batch_execute(&format!("begin; update push_endpoint set {other}")).await.unwrap();
    let looking = service.env.sql().await;
    let waits = "select exists(select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')";
    let waited = async {
        until("the change", async || looking.query_one(waits, &[]).await.unwrap().get(0)).await;
        sql.batch_execute("commit").await.unwrap();
    };
    tokio::join!(change, waited);
}

#[tokio::test]
async fn a_change_overwrites_no_concurrent_write() {
    let service = Service::start().await;
    let api = &service.client;
    let made = endpoint_at(api, NOBODY, json!({})).await;
    let path = |rest: &str| format!("/push/endpoints/{}{rest}", made["id"].as_str().unwrap());
    let resealed = "secrets = secrets || secrets, secrets_until = secrets_until || secrets_until";
    let put = async {
        api.put(&path(""), json!({"description": "ours"})).await.expect(200);
    };
    change_concurrently(&service, resealed, put).await;
    let sql = service.env.sql().await;
    let kept =
        async || -> i32 { sql.query_one("select cardinality(secrets) from push_endpoint", &[]).await.unwrap().get(0) };
    assert_eq!(kept().await, 2, "as a rotation of the master key left them");

    let pause = async {
        api.post(&path("/pause"), Value::Null).await.expect(200);
    };
    change_concurrently(&service, "state = 'disabled'", pause).await;
    let shown = api.get(&path("")).await.expect(200).clone();
    assert_eq!((&shown["state"], &shown["description"]), (&json!("disabled"), &json!("ours")));

    let resume = async {
        api.post(&path("/resume"), Value::Null).await.expect(200);
    };
    change_concurrently(&service, resealed, resume).await;
    assert_eq!(kept().await, 4);
}

#[tokio::test]
async fn without_a_master_key_no_secret_is_made() {
    let service = Service::start().await;
    let made = endpoint_at(&service.client, NOBODY, json!({})).await;
    let (app, api) = service.replica_configured(|config| config.secrets.master_keys.clear()).await;
    let rotate = format!("/push/endpoints/{}/rotate", made["id"].as_str().unwrap());
    for (path, body) in [("/push/endpoints", json!({"url": NOBODY})), (&*rotate, json!({}))] {
        let refused = api.post(path, body).await;
        refused.expect(503);
        assert!(refused.json["detail"].as_str().unwrap().contains("secrets.master_keys"), "{}", refused.text);
        assert_eq!(refused.json["title"], "No master key");
    }
    let sql = service.env.sql().await;
    let secrets: Vec<Vec<Vec<u8>>> =
        sql.query("select secrets from push_endpoint", &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(secrets.len() == 1 && secrets[0].len() == 1, "{secrets:?}");
    app.stop().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_begins_at_the_cursor_of_a_page_of_changes() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    for number in 0..5 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    let page = service.client.get("/changes?limit=2").await;
    assert_eq!(page.expect(200).as_array().unwrap().len(), 2);
    endpoint(&service, &receiver, json!({"from": page.json["meta"]["cursor"], "order": "strict"})).await;

    settled(&service, "the end of the log", "select seq = 5 from push_endpoint_cursor").await;
    assert_eq!(seqs(&receiver.received()), [3, 4, 5]);
}

#[tokio::test]
async fn an_endpoint_gets_no_more_than_its_rate() {
    let (mut timed, receiver, other) = (Timed::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({"rate": 1})).await;
    endpoint(&timed.service, &other, json!({})).await;
    for _ in 0..5 {
        timed.event().await;
    }
    other.wait_for(5, LONG).await;
    receiver.wait_for(1, LONG).await;
    for second in 1..4 {
        assert_eq!(receiver.received().len(), second, "one of each second before");
        timed.pass(Duration::from_secs(1));
        timed.event_at(&other).await;
        receiver.wait_for(second + 1, LONG).await;
    }
    timed.event_at(&other).await;
    assert_eq!(receiver.received().len(), 4);
}

#[tokio::test]
async fn events_of_a_record_within_the_debounce_are_one_delivery() {
    let (mut timed, receiver, other) = (Timed::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({"mode": "latest", "debounce_ms": 60_000})).await;
    endpoint(&timed.service, &other, json!({})).await;
    let ann = timed.service.client.contact("ann@example.org").await.uid();
    for title in ["a", "b"] {
        timed.service.client.put(&format!("/contact/{ann}"), json!({"title": title})).await.expect(200);
    }
    other.wait_for(3, LONG).await;
    timed.pass(Duration::from_secs(59));
    timed.event_at(&other).await;
    assert_eq!(receiver.received().len(), 0, "sooner than 60 s after the first of them");

    timed.pass(Duration::from_secs(1));
    timed.event_at(&other).await;
    let received = receiver.wait_for(1, LONG).await;
    let event = body(&received[0]);
    assert_eq!((&event["after"], &event["through"]), (&json!(format!("{:020}", 0)), &json!(format!("{:020}", 3))));
    assert_eq!(event["data"]["record"]["title"], "b");
    timed.pass(Duration::from_mins(1));
    timed.event_at(&other).await;
    receiver.wait_for(3, LONG).await;
    let subjects: Vec<Value> = receiver.received().iter().map(|one| body(one)["subject"].clone()).collect();
    assert_eq!(subjects.iter().filter(|subject| **subject == json!(ann)).count(), 1, "{subjects:?}");
}

#[tokio::test]
async fn after_the_overlap_the_secret_before_signs_no_more() {
    let (mut timed, receiver) = (Timed::start().await, Receiver::start().await);
    let made = endpoint(&timed.service, &receiver, json!({})).await;
    let path = format!("/push/endpoints/{}/rotate", made["id"].as_str().unwrap());
    let rotated = timed.service.client.post(&path, json!({"overlap_s": 3_600})).await.expect(200).clone();
    let signed = |received: &Received, by: &[&Value]| -> BTreeSet<String> {
        let (id, timestamp) = (received.header("webhook-id"), received.header("webhook-timestamp").parse().unwrap());
        let secret = |secret: &&Value| SigningSecret::parse(secret["secret"].as_str().unwrap()).unwrap();
        by.iter().map(secret).map(|secret| sign([&secret], id, timestamp, &received.body)).collect()
    };
    let signatures = |received: &Received| -> BTreeSet<String> {
        received.header("webhook-signature").split(' ').map(str::to_owned).collect()
    };
    timed.pass(Duration::from_secs(3_599));
    timed.event_at(&receiver).await;
    let during = receiver.received().remove(0);
    assert_eq!(signatures(&during), signed(&during, &[&made, &rotated]));

    timed.pass(Duration::from_secs(1));
    timed.event_at(&receiver).await;
    let after = receiver.received().remove(1);
    assert_eq!(signatures(&after), signed(&after, &[&rotated]));
}

#[tokio::test]
async fn a_window_above_32_that_is_set_later_is_used() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({"timeout_s": 60})).await;
    let path = format!("/push/endpoints/{}", made["id"].as_str().unwrap());
    service.client.put(&path, json!({"window": 100})).await.expect(200);
    receiver.hang();
    for number in 0..110 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }

    receiver.wait_for(100, LONG).await;
    assert_eq!(receiver.connections().open, 100, "and no more");
}
