//! Deliveries as bytes on the wire.

use std::time::Duration;

use hyper::Method;
use serde_json::json;
use unificus::push::signature::{SigningSecret, sign};

use super::{Timed, body, endpoint, sent, until};
use crate::support::client::lead;
use crate::support::{LONG, Receiver, Service};

#[tokio::test]
async fn a_delivery_is_a_post_of_a_cloudevent_with_its_headers() {
    let agent = |config: &mut unificus::config::Config| "acme-webhooks/2".clone_into(&mut config.push.user_agent);
    let (service, receiver) = (Service::configured(agent).await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({})).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let ann = lead("ann@example.org").to_string();
    service.client.send(Method::POST, "/contact", &[("traceparent", trace)], &ann).await.expect(201);

    let received = receiver.wait_for(1, LONG).await.remove(0);

    assert_eq!(received.method, Method::POST);
    assert_eq!(received.header("content-type"), "application/cloudevents+json");
    assert_eq!(received.header("user-agent"), "acme-webhooks/2");
    assert_eq!(received.header("traceparent"), trace);
    let id = received.header("webhook-id");
    assert_eq!(id, body(&received)["id"]);
    let timestamp = received.header("webhook-timestamp").parse().unwrap();
    let secret = SigningSecret::parse(made["secret"].as_str().unwrap()).unwrap();
    let expected = sign(&[secret], id, timestamp, &received.body);
    assert!(received.header("webhook-signature").split(' ').any(|one| one == expected));
}

#[tokio::test]
async fn the_user_agent_carries_the_brand_where_no_other_is_set() {
    let brand = |config: &mut unificus::config::Config| "acme".clone_into(&mut config.brand.slug);
    let (service, receiver) = (Service::configured(brand).await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    service.client.contact("ann@example.org").await.expect(201);
    let received = receiver.wait_for(1, LONG).await.remove(0);
    assert_eq!(received.header("user-agent"), "acme-webhooks/1");
}

#[tokio::test]
async fn the_webhook_id_is_stable_over_retries_and_each_attempt_is_signed_for_its_own_time() {
    let (mut timed, receiver) = (Timed::start().await, Receiver::start().await);
    let made = endpoint(&timed.service, &receiver, json!({})).await;
    receiver.respond_with(500);
    timed.event_at(&receiver).await;
    until("a retry that waits", async || super::waiting(&timed.service).await == [(1, 1, false)]).await;
    receiver.recover();

    timed.pass(Duration::from_secs(6));
    timed.event_at(&receiver).await;
    until("the retry", async || sent(&receiver, 1) == 2).await;

    let secret = SigningSecret::parse(made["secret"].as_str().unwrap()).unwrap();
    let attempts = receiver.received().into_iter().filter(|received| super::seq(received) == 1);
    let attempts: Vec<_> = attempts.collect();
    let [first, second] = attempts.as_slice() else { panic!("two attempts") };
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    assert_eq!(first.body, second.body);
    let times = [first, second].map(|one| one.header("webhook-timestamp").parse::<i64>().unwrap());
    assert_eq!(times, [0, 6].map(|after| super::START.unix_timestamp() + after));
    for (attempt, time) in [first, second].into_iter().zip(times) {
        let expected = sign(std::slice::from_ref(&secret), attempt.header("webhook-id"), time, &attempt.body);
        assert_eq!(attempt.header("webhook-signature"), expected);
    }
}

#[tokio::test]
async fn events_of_one_record_go_in_order_and_different_records_in_parallel() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    receiver.hang();
    let ann = service.client.contact("ann@example.org").await.uid();
    for title in ["a", "b"] {
        service.client.put(&format!("/contact/{ann}"), json!({"title": title})).await.expect(200);
    }
    for name in ["bob", "cid"] {
        service.client.contact(&format!("{name}@example.org")).await.expect(201);
    }

    // No delivery is answered, so all that arrive are in flight at once.
    let mut seqs = super::seqs(&receiver.wait_for(3, LONG).await);
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 4, 5], "of a record nothing before what was sent is answered");
}

#[tokio::test]
async fn the_window_of_an_endpoint_is_adjustable() {
    let (service, receiver, other) =
        (Service::configured(|config| config.push.window = 2).await, Receiver::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    endpoint(&service, &other, json!({})).await;
    receiver.hang();
    for number in 0..6 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    other.wait_for(6, LONG).await;
    let received = receiver.wait_for(2, LONG).await;

    assert_eq!(super::seqs(&received), [1, 2]);
    assert_eq!(receiver.connections().open, 2);
}

#[tokio::test]
async fn connections_are_pooled() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    for number in 0..20 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
        receiver.wait_for(number + 1, LONG).await;
    }

    assert!(receiver.connections().accepted <= 2, "{:?}", receiver.connections());
}
