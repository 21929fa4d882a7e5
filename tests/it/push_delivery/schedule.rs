//! The retry schedule of deliveries.

use std::time::Duration;

use serde_json::json;

use super::{Timed, attempted, endpoint, sent, state, until, until_attempts, waiting};
use crate::support::Receiver;

/// Delays after the first attempt, in seconds.
const DELAYS: [u64; 9] = [5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600];

#[tokio::test]
async fn an_event_that_fails_alone_follows_the_schedule_is_parked_after_it_and_its_record_goes_on() {
    let (mut timed, receiver) = (Timed::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({})).await;
    let ann = timed.service.client.account.to_string();
    receiver.refuse(&format!("{ann}:1"));
    let uid = timed.service.client.contact("ann@example.org").await.uid();

    for (tried, delay) in (1..).zip(DELAYS) {
        until("an attempt", async || sent(&receiver, 1) == tried).await;
        let attempts = i32::try_from(tried).unwrap();
        until("its retry", async || waiting(&timed.service).await == [(1, attempts, false)]).await;
        timed.pass(Duration::from_secs(delay - 1));
        timed.event_at(&receiver).await;
        assert_eq!(sent(&receiver, 1), tried, "sooner than {delay} s");
        // Jitter adds at most a tenth.
        timed.pass(Duration::from_secs(delay / 10 + 2));
        timed.event_at(&receiver).await;
    }
    until("the last attempt", async || sent(&receiver, 1) == 10).await;
    until("its parking", async || waiting(&timed.service).await == [(1, 10, true)]).await;

    timed.service.client.put(&format!("/contact/{uid}"), json!({"title": "Dr"})).await.expect(200);
    let last = timed.event_at(&receiver).await;
    until("the record's next event", async || sent(&receiver, last - 1) == 1).await;
    timed.pass(Duration::from_hours(48));
    timed.event_at(&receiver).await;
    assert_eq!(sent(&receiver, 1), 10, "it is not tried any more");
}

#[tokio::test]
async fn later_events_of_its_record_wait_and_other_records_are_delivered() {
    let (mut timed, receiver) = (Timed::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({})).await;
    receiver.refuse(&format!("{}:1", timed.service.client.account));
    let uid = timed.service.client.contact("ann@example.org").await.uid();
    until("a retry that waits", async || waiting(&timed.service).await == [(1, 1, false)]).await;

    timed.service.client.put(&format!("/contact/{uid}"), json!({"title": "Dr"})).await.expect(200);
    timed.event_at(&receiver).await;
    until("the row", async || waiting(&timed.service).await.len() == 2).await;
    assert_eq!((sent(&receiver, 1), sent(&receiver, 2)), (1, 0));

    receiver.recover();
    timed.pass(Duration::from_secs(6));
    timed.event_at(&receiver).await;
    until("both", async || sent(&receiver, 2) == 1).await;
    let accepted: Vec<i64> = super::seqs(&receiver.accepted()).into_iter().filter(|seq| *seq <= 2).collect();
    assert_eq!(accepted, [1, 2]);
}

/// Ten events of ten records fail; the clock moves by less than the delay of any single retry.
#[tokio::test]
async fn a_half_open_probe_that_succeeds_pulls_waiting_retries_forward() {
    let (mut timed, receiver) = (Timed::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({})).await;
    receiver.respond_with(500);
    for _ in 0..10 {
        timed.event().await;
    }
    until("a failing endpoint", async || state(&timed.service).await["failing_since"].is_string()).await;
    let failed = attempted(&timed.service, "status").await;
    assert!((5..10).contains(&failed), "five failures in a row hold back the rest: {failed}");
    receiver.recover();

    timed.pass(Duration::from_secs(2));
    timed.event_at(&receiver).await;

    until("all of them", async || receiver.accepted().len() == 11).await;
    until("the health", async || state(&timed.service).await["failing_since"].is_null()).await;
    // Cursors are saved a little after the deliveries that they cover.
    until("nothing that waits", async || waiting(&timed.service).await.is_empty()).await;
}

#[tokio::test]
async fn failing_for_five_days_disables_it_and_nothing_was_skipped() {
    let (mut timed, receiver, other) = (Timed::start().await, Receiver::start().await, Receiver::start().await);
    endpoint(&timed.service, &receiver, json!({})).await;
    endpoint(&timed.service, &other, json!({})).await;
    receiver.respond_with(503);
    timed.event_at(&receiver).await;
    until_attempts(&timed.service, "throttled", 1).await;
    timed.pass(Duration::from_hours(5 * 24 - 1));
    timed.event_at(&other).await;
    until_attempts(&timed.service, "throttled", 2).await;
    assert_eq!(state(&timed.service).await["state"], "live");

    timed.pass(Duration::from_hours(1));
    timed.event_at(&other).await;

    until("its end", async || state(&timed.service).await["state"] == "disabled").await;
    assert_eq!(state(&timed.service).await["through_seq"], json!(0));
}

#[tokio::test]
async fn a_new_address_is_not_held_to_the_retry_after_of_the_previous_one() {
    let (mut timed, before, after) = (Timed::start().await, Receiver::start().await, Receiver::start().await);
    let made = endpoint(&timed.service, &before, json!({})).await;
    before.respond_with_headers(503, &[("retry-after", "3600")]);
    let event = timed.event().await;
    until_attempts(&timed.service, "throttled", 1).await;

    let path = format!("/push/endpoints/{}", made["id"].as_str().unwrap());
    timed.service.client.put(&path, json!({"url": after.url()})).await.expect(200);
    until("the event, though no time has passed", async || sent(&after, event) == 1).await;
}
