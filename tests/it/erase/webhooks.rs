//! Deliveries that were under way or waited when their person was erased.

use std::time::Duration;

use unificus::clock::Clock;

use super::*;
use crate::push_delivery::endpoint;

#[tokio::test]
async fn a_retry_sends_the_event_as_it_is_after_the_erasure() {
    let clock = Clock::manual(Clock::system().now());
    let (service, receiver) = (Service::timed(clock.clone(), |_| {}).await, Receiver::start().await);
    receiver.respond_with(500);
    endpoint(&service, &receiver, json!({})).await;
    let uid = service.client.contact(EMAIL).await.uid();
    receiver.wait_for(1, LONG).await;
    erase(&service.client, &uid).await;
    let before = receiver.received().len();
    receiver.recover();
    until("a retry", async || {
        clock.set(clock.now() + Duration::from_secs(30));
        receiver.accepted().len() >= 2
    })
    .await;
    for received in receiver.received().iter().skip(before) {
        assert_clean("a retry", &String::from_utf8_lossy(&received.body));
    }
}

#[tokio::test]
async fn a_response_that_arrives_after_the_erasure_is_not_kept() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    receiver.hang();
    let made = endpoint(&service, &receiver, json!({"timeout_s": 2})).await;
    let uid = service.client.contact(EMAIL).await.uid();
    receiver.wait_for(1, LONG).await;
    erase(&service.client, &uid).await;
    receiver.respond_with_body(200, format!("stored {EMAIL}"));
    let attempts = format!("/push/endpoints/{}/attempts", made["id"].as_str().unwrap());
    until("a response to the event of before", async || {
        let listed = service.client.get(&attempts).await;
        listed.expect(200).as_array().unwrap().iter().any(|attempt| attempt["seq"] == 1 && attempt["status"] == 200)
    })
    .await;
    let listed = service.client.get(&attempts).await;
    // The receiver's response to the event `erased` is of after the erasure, and is kept.
    let of_before: Vec<&Value> =
        listed.expect(200).as_array().unwrap().iter().filter(|attempt| attempt["seq"] == 1).collect();
    assert!(!of_before.is_empty());
    assert_clean("the attempts", &json!(of_before).to_string());
}
