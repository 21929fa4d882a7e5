//! The attempt log.

use serde_json::json;

use super::{endpoint, settled};
use crate::support::{LONG, Receiver, Service};

#[tokio::test]
async fn every_attempt_is_logged_in_batches_with_its_response() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let api = &service.client;
    receiver.respond_with_body(503, "x".repeat(10_000));
    let made = endpoint(&service, &receiver, json!({})).await;
    api.contact("ann@example.org").await.expect(201);
    receiver.wait_for(1, LONG).await;
    receiver.recover();
    settled(&service, "a success is logged", "select count(*) > 0 from push_attempt where outcome = 'delivered'").await;

    let listed = api.get(&format!("/push/endpoints/{}/attempts", made["id"].as_str().unwrap())).await;
    let attempts = listed.expect(200).as_array().unwrap();
    assert_eq!(attempts.len(), receiver.received().len());
    let (first, last) = (&attempts[attempts.len() - 1], &attempts[0]);
    assert_eq!((&first["status"], &first["outcome"], &first["seq"]), (&json!(503), &json!("throttled"), &json!(1)));
    assert_eq!(first["body"].as_str().unwrap().len(), 4_096, "the first 4 KiB");
    assert_eq!((&last["status"], &last["outcome"]), (&json!(200), &json!("delivered")));
    assert_eq!(last["webhook_id"], format!("{}:1", api.account));
}
