//! A replica that stops while a receiver hangs.

use serde_json::json;
use unificus::app::App;
use unificus::clock::Clock;

use super::endpoint;
use crate::support::{LONG, Receiver, Service};

/// An attempt may take a minute here, and a stop does not wait for it.
#[tokio::test]
async fn deliveries_that_hang_at_a_stop_are_sent_again_under_their_id_by_the_next_replica() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({"timeout_s": 60})).await;
    receiver.hang();
    service.client.contact("ann@example.org").await.expect(201);
    receiver.wait_for(1, LONG).await;

    let env = service.env;
    // Requests would have 25 s.
    tokio::time::timeout(LONG / 2, service.app.stop()).await.expect("it awaits the receiver").unwrap();
    receiver.recover();
    let _next = App::start(env.config(), Clock::system()).await.unwrap();

    let received = receiver.wait_for(2, LONG).await;
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!((received[0].status, received[1].status), (None, Some(200)));
}
