//! One slow endpoint never delays another.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use super::{attempted, endpoint, endpoint_at, settled};
use crate::support::{LONG, Receiver, Service};

/// The others have all they should while not one attempt of the slow one has ended.
async fn delays_nobody(behave: impl Fn(&Receiver)) {
    const EVENTS: usize = 100;
    let service = Service::start().await;
    let (slow, beside, stranger) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let other = service.stranger().await;
    endpoint_at(&service.client, &slow.url(), json!({"timeout_s": 60})).await;
    endpoint_at(&service.client, &beside.url(), json!({})).await;
    endpoint_at(&other, &stranger.url(), json!({})).await;
    behave(&slow);
    for number in 0..EVENTS {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
        other.contact(&format!("p{number}@example.org")).await.expect(201);
    }

    beside.wait_for(EVENTS, LONG).await;
    stranger.wait_for(EVENTS, LONG).await;
    slow.wait_for(32, LONG).await;

    assert_eq!(slow.connections().open, 32, "its own window, and all of it still under way");
    assert_eq!(attempted(&service, "timeout").await, 0);
}

#[tokio::test]
async fn one_endpoint_that_hangs_delays_no_other() {
    delays_nobody(Receiver::hang).await;
}

#[tokio::test]
async fn one_endpoint_that_drips_delays_no_other() {
    delays_nobody(Receiver::drip).await;
}

/// Nine endpoints of one account that take all the slots they are given; another account's events arrive though none of
/// those that hang or drip has let go of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_hang_drip_or_flood_delay_no_other() {
    let service = Service::configured(|config| config.push.in_flight = 64).await;
    let (hanging, dripping) = (Receiver::start().await, Receiver::start().await);
    let (flooding, good) = (Receiver::start().await, Receiver::start().await);
    hanging.hang();
    dripping.drip();
    flooding.flood();
    let strangers = service.stranger().await;
    for bad in [&hanging, &dripping, &flooding].repeat(3) {
        strangers.post("/push/endpoints", json!({"url": bad.url(), "timeout_s": 60})).await.expect(201);
    }
    join_all((0..40).map(|n| {
        let strangers = &strangers;
        async move { strangers.contact(&format!("s{n}@example.org")).await.expect(201).clone() }
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
async fn endpoints_without_anything_to_do_hold_no_task() {
    const ENDPOINTS: i64 = 10_000;
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    let sql = service.env.sql().await;
    // Beside the one that is delivered to: as many as there are accounts, with nothing in their logs.
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

    let runners = async {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        loop {
            let runners = service.gauge("unificus_push_runners").await;
            // One that ends while its shard changes hands, and the one after it.
            assert!(runners <= 2.0, "{runners} runners");
            if runners == 0.0 {
                return;
            }
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, runners).await.expect("the runner lingers");
    assert!(receiver.connections().open <= 2, "{:?}: kept for the next event", receiver.connections());
}
