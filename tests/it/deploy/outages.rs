//! The API while PostgreSQL or NATS is away.

use serde_json::json;
use unificus::clock::Clock;
use unificus::dev::services::Services;

use crate::push_delivery::endpoint_at;
use crate::support::client::lead;
use crate::support::servers::{Servers, binaries, directory};
use crate::support::{Client, LONG, Receiver, Service, stream, until};

fn operators(service: &Service) -> Client {
    Client::new(&format!("http://{}", service.app.metrics_address()), service.client.account, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_nats_the_api_writes_reads_and_delivers_webhooks() {
    let service = Service::configured(|config| config.nats.url = "nats://127.0.0.1:9".to_owned()).await;
    let (api, receiver) = (&service.client, Receiver::start().await);
    endpoint_at(api, &receiver.url(), json!({})).await;
    let uid = api.contact("ann@example.org").await.uid();
    api.put(&format!("/contact/{uid}"), json!({"title": "CTO"})).await.expect(200);
    api.get(&format!("/contact/{uid}")).await.expect(200);
    assert_eq!(api.changes().await.len(), 2);
    assert_eq!(receiver.wait_for(2, LONG).await.len(), 2);
    assert!(operators(&service).get("/readyz").await.text.starts_with("ready, without NATS\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_database_calls_get_503_with_retry_after_until_it_is_back() {
    let mut services = Services::start(&directory("outage"), &binaries()).await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let service = Service::in_env(env, Clock::system(), |_| {}).await;
    let (api, ops) = (&service.client, operators(&service));
    let uid = api.contact("ann@example.org").await.uid();

    services.postgres.stop().await.unwrap();

    until("a write is refused", async || {
        let refused = api.post("/contact", lead("bob@example.org")).await;
        refused.status == 503 && !refused.header("retry-after").is_empty()
    })
    .await;
    let refused = api.get(&format!("/contact/{uid}")).await;
    assert_eq!((refused.status, refused.header("retry-after").is_empty()), (503, false), "{}", refused.text);
    until("the replica is not ready", async || ops.get("/readyz").await.status == 503).await;
    assert_eq!(ops.get("/livez").await.status, 200, "a restart would not help");

    services.postgres.restart().await.unwrap();

    until("the replica is ready", async || ops.get("/readyz").await.status == 200).await;
    until("a write succeeds", async || api.post("/contact", lead("cid@example.org")).await.status == 201).await;
    let log = api.changes().await;
    let created = log.iter().filter(|event| event["type"] == "crm.contact.created").count();
    assert_eq!(created, log.len(), "each contact once");
    stream::ids(&service.env, api.account, log.len()).await;
    service.app.stop().await.unwrap();
    services.stop().await.unwrap();
}
