//! One slow endpoint never delays another.

use serde_json::json;

use super::{attempts, endpoint_at};
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
    assert_eq!(attempts(&service, "timeout").await, 0);
}

#[tokio::test]
async fn one_endpoint_that_hangs_delays_no_other() {
    delays_nobody(Receiver::hang).await;
}

#[tokio::test]
async fn one_endpoint_that_drips_delays_no_other() {
    delays_nobody(Receiver::drip).await;
}
