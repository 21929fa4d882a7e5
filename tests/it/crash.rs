//! A process that ends between any two of its steps loses no event and repeats none visibly.

use std::time::Duration;

use serde_json::json;
use unificus::clock::Clock;
use unificus::dev::services::Services;

use crate::support::servers::{Servers, TestEnv, binaries, directory};
use crate::support::service::{Service, account};
use crate::support::{LONG, Parts, Receiver, stream};

async fn env() -> TestEnv {
    Servers::get().env().await
}

#[tokio::test]
async fn killed_between_append_and_relay() {
    let env = env().await;
    let dying = Parts::start(&env).await;
    let (account, _) = account(&dying.store).await;
    // Enough for one atomic batch.
    for number in 0..250 {
        dying.write(account, &format!("p{number}@example.org")).await;
    }
    dying.kill().await;

    let mut next = Parts::start(&env).await;
    next.wake_up().await;
    next.relay_all().await;

    assert_eq!(stream::ids(&env, account, 250).await, stream::unbroken(account, 250));
}

#[tokio::test]
async fn killed_between_publish_and_cursor() {
    let env = env().await;
    let mut dying = Parts::start(&env).await;
    let (account, _) = account(&dying.store).await;
    for number in 0..3 {
        dying.write(account, &format!("p{number}@example.org")).await;
    }
    dying.wake_up().await;
    let owned = dying.shards.owned().unwrap();
    assert!(dying.relay.publish(&owned).await.unwrap());
    drop(owned);
    dying.kill().await;
    let sql = env.sql().await;
    let cursors: i64 = sql.query_one("select count(*) from relay_cursor", &[]).await.unwrap().get(0);
    assert_eq!(cursors, 0, "it died before the cursor was written");

    let mut next = Parts::start(&env).await;
    next.write(account, "late@example.org").await;
    next.wake_up().await;
    next.relay_all().await;

    assert_eq!(stream::ids(&env, account, 4).await, stream::unbroken(account, 4));
    let cursor: i64 = sql.query_one("select seq from relay_cursor", &[]).await.unwrap().get(0);
    assert_eq!(cursor, 4);
}

#[tokio::test]
async fn a_stream_that_was_lost_is_filled_again() {
    let env = env().await;
    let mut parts = Parts::start(&env).await;
    let (account, _) = account(&parts.store).await;
    for number in 0..3 {
        parts.write(account, &format!("p{number}@example.org")).await;
    }
    parts.wake_up().await;
    parts.relay_all().await;
    parts.kill().await;
    let context = async_nats::jetstream::new(env.nats().await);
    context.delete_stream(&env.stream).await.unwrap();

    let mut next = Parts::start(&env).await;
    // The relay finds no stream, creates it, and rewinds; the sweep then finds the account behind.
    next.wake_up().await;
    next.relay_all().await;
    next.wake_up().await;
    next.relay_all().await;

    assert_eq!(stream::ids(&env, account, 3).await, stream::unbroken(account, 3));
}

#[tokio::test]
async fn a_cursor_ahead_of_the_stream_is_reset_by_a_rewind() {
    let mut services = Services::start(&directory("rewind"), &binaries()).await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let mut parts = Parts::start(&env).await;
    let (account, _) = account(&parts.store).await;
    for number in 0..4 {
        parts.write(account, &format!("p{number}@example.org")).await;
    }
    parts.wake_up().await;
    parts.relay_all().await;
    parts.kill().await;
    // A power cut at the NATS server: acknowledged messages are lost, and so is its memory of duplicates.
    let context = async_nats::jetstream::new(env.nats().await);
    let stream = context.get_stream(&env.stream).await.unwrap();
    for sequence in [3, 4] {
        stream.delete_message(sequence).await.unwrap();
    }
    services.nats.kill().await.unwrap();
    services.nats.restart().await.unwrap();

    let mut next = Parts::start(&env).await;
    assert_eq!(next.store.rewind_relay(Some(account)).await.unwrap(), 1);
    next.wake_up().await;
    next.relay_all().await;

    assert_eq!(stream::ids(&env, account, 4).await, stream::unbroken(account, 4));
    next.kill().await;
    services.stop().await.unwrap();
}

#[tokio::test]
async fn killed_between_delivery_and_cursor() {
    let receiver = Receiver::start().await;
    let service = Service::start().await;
    let api = &service.client;
    api.post("/push/endpoints", json!({"url": receiver.url(), "from": "start"})).await.expect(201);
    for number in 0..5 {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    receiver.wait_for(5, LONG).await;
    let first: Vec<String> = receiver.counts().into_keys().collect();
    let env = service.env;
    service.app.stop().await.unwrap();
    // The state that a process leaves when it dies before its cursor is written.
    env.sql().await.batch_execute("update push_endpoint_cursor set seq = 2").await.unwrap();

    let _next = unificus::app::App::start(env.config(), Clock::system()).await.unwrap();
    receiver.wait_for(8, Duration::from_secs(20)).await;

    let counts = receiver.counts();
    assert_eq!(counts.keys().cloned().collect::<Vec<_>>(), first, "ids are stable, and there is no other");
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [1, 1, 2, 2, 2]);
}
