//! Webhooks to receivers that behave well and badly.

use std::collections::BTreeMap;

use serde_json::json;
use unificus::push::signature::{SigningSecret, sign};

use crate::push_delivery::{body, endpoint, seq, settled};
use crate::support::receiver::Received;
use crate::support::{LONG, Receiver, Service};

#[tokio::test]
async fn an_event_arrives_signed_as_the_very_bytes_of_the_feed() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({})).await;
    let api = &service.client;

    api.contact("ann@example.org").await.expect(201);
    let received = receiver.wait_for(1, LONG).await.remove(0);

    let id = format!("{}:1", api.account);
    assert_eq!(received.header("webhook-id"), id);
    assert_eq!(received.header("content-type"), "application/cloudevents+json");
    let secret = SigningSecret::parse(made["secret"].as_str().unwrap()).unwrap();
    let timestamp = received.header("webhook-timestamp").parse().unwrap();
    assert_eq!(received.header("webhook-signature"), sign(&[secret], &id, timestamp, &received.body));
    let text = std::str::from_utf8(&received.body).unwrap();
    assert!(api.get("/changes").await.text.contains(text), "byte for byte");
}

#[tokio::test]
async fn an_endpoint_gets_the_events_of_its_filters() {
    let (service, all, companies, own) =
        (Service::start().await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let api = &service.client;
    api.contact("before@example.org").await.expect(201);
    endpoint(&service, &all, json!({"from": "start"})).await;
    endpoint(&service, &companies, json!({"events": ["company.*"]})).await;
    endpoint(&service, &own, json!({"exclude_own": true, "from": "start"})).await;

    api.post("/company", json!({"name": "Acme"})).await.expect(201);
    api.contact("ann@example.org").await.expect(201);

    let seqs: Vec<i64> = all.wait_for(3, LONG).await.iter().map(seq).collect();
    assert_eq!(seqs.len(), 3);
    assert_eq!(companies.wait_for(1, LONG).await.iter().map(seq).collect::<Vec<_>>(), [2]);
    wait_until_through(&service, 3).await;
    assert_eq!(companies.received().len(), 1);
    assert!(own.received().is_empty());
}

/// Waits until every endpoint's saved cursor is at the end of the log.
async fn wait_until_through(service: &Service, head: i64) {
    let through = format!("select bool_and(seq >= {head}) from push_endpoint_cursor");
    settled(service, "every endpoint's cursor at the end of the log", &through).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_a_record_arrive_in_order_though_the_receiver_is_down_in_between() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    endpoint(&service, &receiver, json!({})).await;
    let mut uids = Vec::new();
    for number in 0..10 {
        uids.push(api.contact(&format!("p{number}@example.org")).await.uid());
    }
    receiver.wait_for(10, LONG).await;
    receiver.respond_with(503);
    for round in 0..5 {
        for uid in &uids {
            api.put(&format!("/contact/{uid}"), json!({"title": format!("round {round}")})).await.expect(200);
        }
    }
    receiver.wait_for(11, LONG).await;
    receiver.recover();

    // Waits for 60 accepted deliveries, however many were refused.
    let accepted = async {
        let mut seen = 11;
        loop {
            let all = receiver.received();
            let accepted: Vec<Received> = all.into_iter().filter(|received| received.status == Some(200)).collect();
            if accepted.len() >= 60 {
                return accepted;
            }
            seen = receiver.wait_for(seen + 1, LONG).await.len();
        }
    };
    let accepted = tokio::time::timeout(LONG, accepted).await.expect("events are missing");

    let mut records: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for received in &accepted {
        records.entry(body(received)["subject"].as_str().unwrap().to_owned()).or_default().push(seq(received));
    }
    assert_eq!(records.len(), 10);
    for (uid, seqs) in records {
        assert_eq!(seqs.len(), 6, "{uid}");
        assert!(seqs.is_sorted(), "{uid}: {seqs:?}");
    }
    wait_until_through(&service, 60).await;
}

#[tokio::test]
async fn a_deleted_endpoint_gets_nothing_more() {
    let (service, receiver, other) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    let api = &service.client;
    let made = endpoint(&service, &receiver, json!({})).await;
    endpoint(&service, &other, json!({})).await;
    api.contact("ann@example.org").await.expect(201);
    receiver.wait_for(1, LONG).await;

    api.delete(&format!("/push/endpoints/{}", made["id"].as_str().unwrap())).await.expect(200);
    // The other endpoint's delivery of an event shows that the scheduler has looked at the account since.
    for number in 0..3 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    other.wait_for(4, LONG).await;

    assert!(receiver.received().len() <= 2, "at most one that was in flight");
    api.delete(&format!("/push/endpoints/{}", made["id"].as_str().unwrap())).await.expect(404);
}
