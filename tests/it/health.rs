//! Events about the health of push endpoints.

use std::time::Duration;

use serde_json::{Value, json};
use time::macros::datetime;
use unificus::clock::Clock;

use crate::push_delivery::until;
use crate::support::{LONG, Receiver, Service};

fn kinds(log: &[Value]) -> Vec<&str> {
    log.iter().map(|event| event["type"].as_str().unwrap()).filter(|kind| kind.starts_with("crm.push.")).collect()
}

/// Waits until the log has exactly these events about endpoints, and returns them.
async fn until_events(service: &Service, expected: &[&str]) -> Vec<Value> {
    let reached = async || kinds(&service.client.changes().await) == expected;
    until(&format!("{expected:?}"), reached).await;
    let log = service.client.changes().await;
    log.into_iter().filter(|event| event["type"].as_str().unwrap().starts_with("crm.push.")).collect()
}

/// Waits until an endpoint is shown as failing since this time.
async fn until_failing(service: &Service, endpoint: &Value, since: &str) {
    let path = format!("/push/endpoints/{}", endpoint.as_str().unwrap());
    until("its failure", async || service.client.get(&path).await.expect(200)["failing_since"] == since).await;
}

const START: time::OffsetDateTime = datetime!(2026-11-24 03:00 UTC);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_for_24_h_is_an_event_and_so_is_the_recovery_and_5_days_disable() {
    let clock = Clock::manual(START);
    let service = Service::timed(clock.clone(), |_| {}).await;
    let (receiver, witness) = (Receiver::start().await, Receiver::start().await);
    let api = &service.client;
    let made = api.post("/push/endpoints", json!({"url": receiver.url(), "description": "Ours"})).await;
    let made = made.expect(201)["id"].clone();
    api.post("/push/endpoints", json!({"url": witness.url(), "events": ["push.*"]})).await.expect(201);
    receiver.respond_with(503);
    api.contact("p0@example.org").await.expect(201);
    until_failing(&service, &made, "2026-11-24T03:00:00+00:00").await;
    assert_eq!(kinds(&api.changes().await), Vec::<&str>::new());

    // The clock stands still, so each new contact wakes the waiting workers.
    clock.set(START + Duration::from_hours(25));
    api.contact("p1@example.org").await.expect(201);
    let events = until_events(&service, &["crm.push.failing"]).await;
    let record = &events[0]["data"]["record"];
    assert_eq!((&record["uid"], &record["status"], &record["description"]), (&made, &json!("failing"), &json!("Ours")));
    assert_eq!(record["failing_since"], "2026-11-24T03:00:00+00:00");

    receiver.recover();
    clock.set(START + Duration::from_hours(26));
    api.contact("p2@example.org").await.expect(201);
    until_events(&service, &["crm.push.failing", "crm.push.recovered"]).await;

    receiver.respond_with(503);
    api.contact("p3@example.org").await.expect(201);
    until_failing(&service, &made, "2026-11-25T05:00:00+00:00").await;
    clock.set(START + Duration::from_hours(26 + 6 * 24));
    api.contact("p4@example.org").await.expect(201);
    let log = until_events(&service, &["crm.push.failing", "crm.push.recovered", "crm.push.disabled"]).await;

    let received = witness.wait_for(3, LONG).await;
    let received: Vec<Value> = received.iter().map(|one| serde_json::from_slice(&one.body).unwrap()).collect();
    assert_eq!(received, log, "filters can select it");
    let sent = receiver.received();
    assert!(
        sent.iter().all(|one| !String::from_utf8_lossy(&one.body).contains("crm.push.")),
        "not sent to the endpoint itself"
    );
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_with_an_event_and_an_audit_row() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = service.client.post("/push/endpoints", json!({"url": receiver.url()})).await.expect(201).clone();
    receiver.respond_with(410);
    service.client.contact("ann@example.org").await.expect(201);
    let events = until_events(&service, &["crm.push.disabled"]).await;
    assert_eq!((&events[0]["subject"], &events[0]["origin"]), (&made["id"], &json!("push")));
    let sql = service.env.sql().await;
    let rows = async || sql.query("select detail::text from audit where action = 'push.disable'", &[]).await.unwrap();
    until("the audit row", async || !rows().await.is_empty()).await;
    let detail: Value = serde_json::from_str(rows().await[0].get(0)).unwrap();
    assert_eq!(detail, json!({"endpoint": made["id"], "outcome": "gone"}));
    assert_eq!(service.client.get("/push/endpoints").await.expect(200)[0]["state"], "disabled");

    receiver.recover();
    service
        .client
        .post(&format!("/push/endpoints/{}/resume", made["id"].as_str().unwrap()), Value::Null)
        .await
        .expect(200);
    until_events(&service, &["crm.push.disabled", "crm.push.recovered"]).await;
    assert_eq!(rows().await.len(), 1);
}
