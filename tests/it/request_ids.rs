//! `X-Request-Id`, and the spans that an operator finds a request by.

use std::collections::BTreeSet;

use hyper::Method;
use serde_json::{Value, json};

use crate::support::program::serve_logged;
use crate::support::{Client, Service};

const HEADER: &str = "x-request-id";

#[tokio::test]
async fn every_response_has_an_id_of_its_own() {
    let service = Service::start().await;
    let client = &service.client;
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), client.account, "");
    let stranger = client.as_caller(client.account, "wrong");
    let replies = [
        client.contact("ann@example.org").await,
        client.get("/contacts").await,
        client.get("/nowhere").await,
        client.send(Method::OPTIONS, "/contacts", &[], "").await,
        client.post("/contact", json!([])).await,
        stranger.get("/contacts").await,
        ops.get("/readyz").await,
        client.send(Method::GET, "/contacts", &[(HEADER, "mine")], "").await,
    ];
    let ids: BTreeSet<&str> = replies.iter().map(|reply| reply.header(HEADER)).collect();
    assert_eq!(ids.len(), replies.len(), "{ids:?}");
    for id in ids {
        uuid::Uuid::parse_str(id).unwrap_or_else(|_| panic!("{id:?} is no id of ours"));
    }
}

#[tokio::test]
async fn the_id_of_a_trusted_proxy_is_the_id_of_the_response() {
    let service =
        Service::configured(|config| config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let reply = service.client.send(Method::GET, "/contacts", &[(HEADER, "edge-7/42")], "").await;
    assert_eq!((reply.status, reply.header(HEADER)), (200, "edge-7/42"));
}

#[tokio::test]
async fn a_log_entry_names_its_request() {
    let service = Service::start().await;
    let (_child, base, mut log) = serve_logged(&service.env, &[("UNIFICUS_LOG__FILTER", "info,unificus=debug")]).await;
    let client = Client::new(&base, service.client.account, &service.client.secret);
    let uid = client.contact("ann@example.org").await.uid();
    let reply = client.get(&format!("/contact/{uid}")).await;

    let created = log.next("request ended").await;
    let read = log.next("request ended").await;
    assert_eq!((&created["fields"]["status"], &read["fields"]["status"]), (&json!(201), &json!(200)));
    assert!(read["fields"]["duration_ms"].as_f64().unwrap() > 0.0, "{read}");
    let span =
        |entry: &Value| entry["spans"].as_array().unwrap().iter().find(|span| span["name"] == "request").cloned();
    let expected = json!({
        "name": "request",
        "request_id": reply.header(HEADER),
        "method": "GET",
        "route": "/secure-api/contact/{id}",
        "account": client.account.to_string(),
    });
    assert_eq!(span(&read).unwrap(), expected);
    assert_eq!(span(&created).unwrap()["method"], "POST");
}
