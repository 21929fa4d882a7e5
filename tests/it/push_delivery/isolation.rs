//! One slow endpoint never delays another.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::{attempted, endpoint, endpoint_at, settled};
use crate::support::{LONG, Receiver, Service};

/// The others receive all their events before any attempt of the slow endpoint has ended.
async fn delays_no_other(behave: impl Fn(&Receiver)) {
    const EVENTS: usize = 100;
    let service = Service::start().await;
    let (slow, beside, other_client) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let other = service.other_client().await;
    endpoint_at(&service.client, &slow.url(), json!({"timeout_s": 60})).await;
    endpoint_at(&service.client, &beside.url(), json!({})).await;
    endpoint_at(&other, &other_client.url(), json!({})).await;
    behave(&slow);
    for number in 0..EVENTS {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
        other.contact(&format!("p{number}@example.org")).await.expect(201);
    }

    beside.wait_for(EVENTS, LONG).await;
    other_client.wait_for(EVENTS, LONG).await;
    slow.wait_for(32, LONG).await;

    assert_eq!(slow.connections().open, 32, "its own window, and all of it still under way");
    assert_eq!(attempted(&service, "timeout").await, 0);
}

#[tokio::test]
async fn one_endpoint_that_hangs_delays_no_other() {
    delays_no_other(Receiver::hang).await;
}

#[tokio::test]
async fn one_endpoint_that_drips_delays_no_other() {
    delays_no_other(Receiver::drip).await;
}

/// Nine endpoints of one account take all slots that they are given; another account's events arrive before any
/// endpoint that hangs or drips has released a slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_hang_drip_or_flood_delay_no_other() {
    let service = Service::configured(|config| config.push.in_flight = 64).await;
    let (hanging, dripping) = (Receiver::start().await, Receiver::start().await);
    let (flooding, good) = (Receiver::start().await, Receiver::start().await);
    hanging.hang();
    dripping.drip();
    flooding.flood();
    let other_clients = service.other_client().await;
    for bad in [&hanging, &dripping, &flooding].repeat(3) {
        other_clients.post("/push/endpoints", json!({"url": bad.url(), "timeout_s": 60})).await.expect(201);
    }
    join_all((0..40).map(|n| {
        let other_clients = &other_clients;
        async move { other_clients.contact(&format!("s{n}@example.org")).await.expect(201).clone() }
    }))
    .await;
    hanging.wait_for(3, LONG).await;
    dripping.wait_for(3, LONG).await;

    endpoint(&service, &good, json!({})).await;
    for number in 0..50 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    good.wait_for(50, LONG).await;

    assert!(service.gauge("unificus_push_in_flight").await >= 6.0, "what hangs and drips is in flight all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_endpoints_hold_no_task() {
    const ENDPOINTS: i64 = 10_000;
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    let sql = service.env.sql().await;
    // Beside the endpoint that is delivered to: one endpoint per account, with empty logs.
    let copy = "with made as (select gen_random_uuid() as account_id, gen_random_uuid() as endpoint_id
                              from generate_series(1, $1::bigint)),
        heads as (insert into head (account_id, seq, epoch) select account_id, 0, epoch from made, (select epoch from head
                  limit 1) h),
        cursors as (insert into push_endpoint_cursor (account_id, endpoint_id, seq) select account_id, endpoint_id, 0 from made)
        insert into push_endpoint (account_id, endpoint_id, url, events, delivery_order, timeout_s, state, secrets,
            secrets_until, created_at)
        select made.account_id, made.endpoint_id, url, events, delivery_order, timeout_s, state, secrets, secrets_until,
            created_at from made, (select * from push_endpoint limit 1) e";
    sql.execute(copy, &[&ENDPOINTS]).await.unwrap();
    service.client.contact("ann@example.org").await.expect(201);
    receiver.wait_for(1, LONG).await;
    settled(&service, "it is delivered", "select count(*) = 1 from push_endpoint_cursor where seq = 1").await;

    let workers = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            let workers = service.gauge("unificus_push_runners").await;
            // A worker that ends while its shard changes hands, and its successor.
            assert!(workers <= 2.0, "{workers} workers");
            if workers == 0.0 {
                return;
            }
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, workers).await.expect("the worker does not end");
    assert!(receiver.connections().open <= 2, "{:?}: left open for the next event", receiver.connections());
}
