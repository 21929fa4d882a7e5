//! The outcome of an attempt by its response, or by the lack of one.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Timed, attempted, endpoint, endpoint_at, sent, state, until, until_attempts, waiting};
use crate::support::{LONG, Receiver, Service, TlsPeer};

/// The shortest timeout that an endpoint may set.
fn short_timeout() -> Value {
    json!({"timeout_s": 1})
}

#[tokio::test]
async fn every_2xx_is_success() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    for (seq, status) in (1..).zip([200, 201, 202, 204, 299]) {
        receiver.respond_with(status);
        service.client.contact(&format!("p{status}@example.org")).await.expect(201);
        until("the cursor", async || state(&service).await["through_seq"] == json!(seq)).await;
    }
    assert_eq!(receiver.received().len(), 5);
}

#[tokio::test]
async fn a_3xx_is_a_failure_and_is_not_followed() {
    let (service, receiver, elsewhere) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    receiver.redirect(&elsewhere.url());
    service.client.contact("ann@example.org").await.expect(201);

    until("a retry that waits", async || waiting(&service).await == [(1, 1, false)]).await;
    assert_eq!((elsewhere.connections().accepted, attempted(&service, "status").await), (0, 1));
}

#[tokio::test]
async fn a_410_disables_the_endpoint_and_nothing_is_skipped() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    service.client.contact("ann@example.org").await.expect(201);
    until("the cursor", async || state(&service).await["through_seq"] == json!(1)).await;
    receiver.respond_with(410);
    service.client.contact("bob@example.org").await.expect(201);

    until("the end of the endpoint", async || state(&service).await["state"] == "disabled").await;
    service.client.contact("cid@example.org").await.expect(201);
    assert_eq!(state(&service).await["through_seq"], json!(1), "the cursor stays before the refused event");
}

#[tokio::test]
async fn any_of_429_502_503_504_throttles_the_whole_endpoint() {
    for status in [429, 502, 503, 504] {
        let (mut timed, receiver, other) = (Timed::start().await, Receiver::start().await, Receiver::start().await);
        endpoint(&timed.service, &receiver, json!({})).await;
        endpoint(&timed.service, &other, json!({})).await;
        receiver.respond_with(status);
        timed.event_at(&receiver).await;
        until_attempts(&timed.service, "throttled", 1).await;

        // The clock stands still, so another record's event is not tried: one such response throttles the endpoint.
        timed.event_at(&other).await;
        assert_eq!(receiver.received().len(), 1, "{status}");

        receiver.recover();
        timed.pass(Duration::from_secs(1));
        timed.event_at(&receiver).await;
        until("all of them", async || receiver.accepted().len() == 3).await;
        assert_eq!(waiting(&timed.service).await, [], "{status}: a throttled delivery is not counted as a failure");
    }
}

/// The time from a response until the next attempt at the endpoint.
async fn check_retry_after(header: &str, too_soon: Duration, then: Duration) {
    let (mut timed, receiver, other) = (Timed::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({})).await;
    endpoint(&timed.service, &other, json!({})).await;
    receiver.respond_with_headers(429, &[("retry-after", header)]);
    timed.event_at(&receiver).await;
    until_attempts(&timed.service, "throttled", 1).await;
    receiver.recover();

    timed.pass(too_soon);
    timed.event_at(&other).await;
    assert_eq!(receiver.received().len(), 1, "{header}: no attempt before that time");
    timed.pass(then.checked_sub(too_soon).unwrap());
    timed.event_at(&receiver).await;
    until("all of them", async || receiver.accepted().len() == 3).await;
}

#[tokio::test]
async fn retry_after_is_honoured() {
    check_retry_after("120", Duration::from_secs(119), Duration::from_secs(121)).await;
    check_retry_after("Tue, 24 Nov 2026 12:10:00 GMT", Duration::from_secs(599), Duration::from_secs(601)).await;
}

#[tokio::test]
async fn retry_after_is_capped_at_ten_hours() {
    let hours = |hours: u64, seconds: u64| Duration::from_hours(hours) + Duration::from_secs(seconds);
    check_retry_after("31536000", hours(9, 3_599), hours(10, 1)).await;
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up_at_its_timeout() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, short_timeout()).await;
    receiver.hang();
    service.client.contact("ann@example.org").await.expect(201);

    until_attempts(&service, "timeout", 1).await;
    receiver.wait_for_open(0, LONG).await;
    until("a retry that waits", async || waiting(&service).await == [(1, 1, false)]).await;
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_given_up_at_the_timeout() {
    let (service, peer) = (Service::start().await, TlsPeer::slow().await);
    endpoint_at(&service.client, &peer.url(), short_timeout()).await;
    service.client.contact("ann@example.org").await.expect(201);

    peer.wait_for(1).await;
    until_attempts(&service, "timeout", 1).await;
    until("a retry that waits", async || waiting(&service).await == [(1, 1, false)]).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_gets_nothing() {
    let (service, peer) = (Service::start().await, TlsPeer::with_wrong_certificate().await);
    endpoint_at(&service.client, &peer.url(), json!({})).await;
    service.client.contact("ann@example.org").await.expect(201);

    until_attempts(&service, "tls", 1).await;
    assert_eq!(peer.seen().read, 0);
    until("an endpoint that fails", async || !state(&service).await["failing_since"].is_null()).await;
}

#[tokio::test]
async fn a_connection_that_is_reset_is_a_failure() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    receiver.reset();
    service.client.contact("ann@example.org").await.expect(201);

    until_attempts(&service, "reset", 1).await;
    until("a retry that waits", async || waiting(&service).await == [(1, 1, false)]).await;
}

#[tokio::test]
async fn nobody_listening_is_a_failure() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    receiver.stop().await;
    service.client.contact("ann@example.org").await.expect(201);

    until_attempts(&service, "connect", 1).await;
    until("an endpoint that fails", async || !state(&service).await["failing_since"].is_null()).await;
}

#[tokio::test]
async fn a_receiver_that_drips_holds_no_slot_longer_than_its_timeout() {
    let (service, receiver) = (Service::configured(|config| config.push.window = 1).await, Receiver::start().await);
    endpoint(&service, &receiver, short_timeout()).await;
    receiver.drip();
    for name in ["ann", "bob"] {
        service.client.contact(&format!("{name}@example.org")).await.expect(201);
    }

    // With one slot the second delivery is sent when the first one times out.
    until("the second", async || sent(&receiver, 2) == 1).await;
    assert_eq!((attempted(&service, "timeout").await, attempted(&service, "delivered").await), (1, 0));
}

#[tokio::test]
async fn a_receiver_that_floods_is_read_for_64_kib_and_holds_no_slot() {
    let (service, receiver) = (Service::configured(|config| config.push.window = 1).await, Receiver::start().await);
    endpoint(&service, &receiver, json!({"timeout_s": 60})).await;
    receiver.flood();
    for number in 0..5 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }

    // Each ends long before the timeout, because reading stops at the limit of 64 KiB.
    receiver.wait_for(5, LONG).await;
    receiver.wait_for_open(0, LONG).await;
    until_attempts(&service, "delivered", 5).await;
    assert_eq!(attempted(&service, "timeout").await, 0);
}
