//! Events that share one delivery, and deliveries that wait for others.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::verified::{line, verify};
use super::{body, endpoint, endpoint_at, seqs, settled, until};
use crate::support::receiver::Received;
use crate::support::{Client, LONG, Receiver, Service};

const BATCH: &str = "application/cloudevents-batch+json";

async fn contacts(client: &Client, count: usize) {
    for number in 0..count {
        client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
}

/// The positions of a batch's events.
fn batch(received: &Received) -> Vec<i64> {
    assert_eq!(received.header("content-type"), BATCH);
    body(received).as_array().unwrap().iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_batch_respects_its_configured_size_and_the_libraries_read_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    contacts(&service.client, 25).await;
    let made = endpoint(&service, &receiver, json!({"mode": "batch", "max_batch": 10, "from": "start"})).await;
    let all = || receiver.accepted().iter().flat_map(batch).collect::<BTreeSet<_>>();
    until("all of them", async || all().len() == 25).await;

    let received = receiver.received();
    assert!(received.iter().all(|one| (1..=10).contains(&batch(one).len())), "{:?}", received.iter().map(batch));
    assert!(received.len() < 10, "a backlog is sent in few deliveries: {}", received.len());
    let deliveries: Vec<Value> = received.iter().map(|one| line(one, &made["secret"])).collect();
    let verified = verify("batches", &deliveries).await;
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let printed: Value = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(printed, json!({"deliveries": received.len(), "events": 25}));
}

#[tokio::test]
async fn a_batch_is_at_most_256_kib() {
    const LONG_TEXT: usize = 16_000;
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    for number in 0..30 {
        let text = "x".repeat(LONG_TEXT);
        let contact = json!({"role": "Lead", "first_name": "Ann", "last_name": "Lee",
            "email": format!("p{number}@example.org"), "background_info": text});
        service.client.post("/contact", contact).await.expect(201);
    }
    endpoint(&service, &receiver, json!({"mode": "batch", "from": "start"})).await;
    let arrived = || receiver.accepted().iter().flat_map(batch).collect::<BTreeSet<_>>().len();
    until("all of them", async || arrived() == 30).await;

    let sizes: Vec<usize> = receiver.received().iter().map(|one| one.body.len()).collect();
    assert!(sizes.iter().all(|size| *size <= 256 * 1_024), "{sizes:?}");
}

#[tokio::test]
async fn strict_order_sends_one_at_a_time() {
    let (service, receiver, other) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({"order": "strict"})).await;
    endpoint(&service, &other, json!({})).await;
    receiver.hang();
    contacts(&service.client, 5).await;
    other.wait_for(5, LONG).await;
    let received = receiver.wait_for(1, LONG).await;
    assert_eq!(seqs(&received), [1]);
    receiver.recover();
}

#[tokio::test]
async fn strict_order_is_the_order_of_the_log() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    contacts(&service.client, 30).await;
    endpoint(&service, &receiver, json!({"order": "strict", "from": "start"})).await;
    assert_eq!(seqs(&receiver.wait_for(30, LONG).await), (1..=30).collect::<Vec<i64>>());
}

#[tokio::test]
async fn without_ordering_only_the_window_limits_concurrency() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({"order": "none", "window": 4})).await;
    receiver.hang();
    let ann = service.client.contact("ann@example.org").await.uid();
    for title in ["a", "b", "c"] {
        service.client.put(&format!("/contact/{ann}"), json!({"title": title})).await.expect(200);
    }

    let mut seqs = seqs(&receiver.wait_for(4, LONG).await);
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2, 3, 4], "of one record, and none of them answered");
}

/// 620 events for an endpoint that hangs, on a service that allows 64 deliveries in flight.
#[tokio::test]
async fn the_global_cap_is_shared_fairly() {
    let service = Service::configured(|config| config.push.in_flight = 64).await;
    let (slow, healthy) = (Receiver::start().await, Receiver::start().await);
    let other = service.other_client().await;
    slow.hang();
    contacts(&service.client, 620).await;
    for _ in 0..4 {
        endpoint_at(&service.client, &slow.url(), json!({"from": "start", "timeout_s": 60})).await;
    }
    endpoint_at(&other, &healthy.url(), json!({})).await;
    slow.wait_for(4, LONG).await;
    contacts(&other, 100).await;

    healthy.wait_for(100, LONG).await;
    assert_eq!(super::attempted(&service, "timeout").await, 0, "and the slow ones hold what they have");
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_under_one_id_that_is_stable_over_retries() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    join_all((0..5).map(|n| async move { api.contact(&format!("p{n}@example.org")).await.expect(201).clone() })).await;
    receiver.respond_with(503);
    endpoint(&service, &receiver, json!({"from": "start", "mode": "batch", "max_batch": 3})).await;
    let first = receiver.wait_for(1, LONG).await.remove(0);
    receiver.wait_for(2, LONG).await;
    receiver.recover();
    settled(&service, "all is delivered", "select seq = 5 from push_endpoint_cursor").await;

    assert_eq!(first.header("content-type"), "application/cloudevents-batch+json");
    let seqs = |received: &Received| -> Vec<i64> {
        body(received).as_array().unwrap().iter().map(|event| event["data"]["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(seqs(&first), [1, 2, 3]);
    let accepted: Vec<Received> = receiver.received().into_iter().filter(|one| one.status == Some(200)).collect();
    let mut delivered: Vec<Vec<i64>> = accepted.iter().map(seqs).collect();
    delivered.sort();
    assert_eq!(delivered, [vec![1, 2, 3], vec![4, 5]]);
    let again = accepted.iter().find(|one| seqs(one) == [1, 2, 3]).unwrap();
    assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
    assert_eq!(again.body, first.body);
}

#[tokio::test]
async fn after_an_outage_latest_mode_sends_one_message_per_record_with_its_range() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    receiver.respond_with(503);
    endpoint(&service, &receiver, json!({"mode": "latest"})).await;
    let ann = api.contact("ann@example.org").await.uid();
    receiver.wait_for(1, LONG).await;
    let bob = api.contact("bob@example.org").await.uid();
    for number in 0..9 {
        for uid in [&ann, &bob] {
            api.put(&format!("/contact/{uid}"), json!({"title": format!("title {number}")})).await.expect(200);
        }
    }
    // The events are read, though not sent: the next attempt covers all of them.
    let tried = receiver.received().len();
    receiver.wait_for(tried + 2, LONG).await;
    receiver.recover();
    settled(&service, "all is delivered", "select seq = 20 from push_endpoint_cursor").await;

    let mut accepted = receiver.accepted();
    accepted.sort_by_key(|one| body(one)["sequence"].to_string());
    assert_eq!(accepted.len(), 2, "one message per record, not its history");
    for (one, (uid, after, through)) in accepted.iter().zip([(ann, 0, 19), (bob, 1, 20)]) {
        let event = body(one);
        assert_eq!(event["subject"], uid);
        let [after, through_text] = [after, through].map(|seq: i64| json!(format!("{seq:020}")));
        assert_eq!((&event["after"], &event["through"]), (&after, &through_text));
        assert_eq!((&event["sequence"], &event["data"]["record"]["title"]), (&event["through"], &json!("title 8")));
        assert_eq!(one.header("webhook-id"), format!("{}:{through}", api.account));
    }
}

#[tokio::test]
async fn an_event_is_sent_if_a_selected_field_changed_or_its_record_was_created_or_deleted() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    endpoint(&service, &receiver, json!({"fields": ["title"], "headers": {"x-tenant": "seven"}})).await;
    let uid = api.contact("ann@example.org").await.uid();
    api.put(&format!("/contact/{uid}"), json!({"first_name": "Bea"})).await.expect(200);
    api.put(&format!("/contact/{uid}"), json!({"title": "Dr"})).await.expect(200);
    api.delete(&format!("/contact/{uid}")).await.expect(200);
    settled(&service, "all is dealt with", "select seq = 4 from push_endpoint_cursor").await;

    let seqs: Vec<Value> = receiver.received().iter().map(|one| body(one)["data"]["seq"].clone()).collect();
    assert_eq!(seqs, [1, 3, 4]);
    assert!(receiver.received().iter().all(|one| one.header("x-tenant") == "seven"), "the endpoint's own headers");
}
