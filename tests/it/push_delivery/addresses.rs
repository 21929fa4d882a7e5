//! Addresses that a delivery may go to.

use serde_json::{Value, json};

use super::{endpoint, endpoint_at, state, until, until_attempts, waiting};
use crate::support::{Receiver, Service};

/// One address of every family that the contract names.
const FORBIDDEN: &[(&str, &str)] = &[
    ("loopback", "127.0.0.1"),
    ("loopback", "[::1]"),
    ("private", "10.1.2.3"),
    ("private", "172.16.0.1"),
    ("private", "192.168.1.1"),
    ("link-local", "169.254.1.1"),
    ("link-local", "[fe80::1]"),
    ("carrier-grade NAT", "100.64.0.1"),
    ("multicast", "224.0.0.1"),
    ("multicast", "[ff02::1]"),
    ("unspecified", "0.0.0.0"),
    ("unspecified", "[::]"),
    ("documentation", "192.0.2.1"),
    ("documentation", "198.51.100.1"),
    ("documentation", "203.0.113.1"),
    ("documentation", "[2001:db8::1]"),
    ("benchmark", "198.18.0.1"),
    ("class E", "240.0.0.1"),
    ("IPv4-mapped", "[::ffff:8.8.8.8]"),
    ("IPv4-compatible", "[::8.8.8.8]"),
    ("6to4", "[2002:808:808::1]"),
    ("NAT64", "[64:ff9b::8.8.8.8]"),
    ("Teredo", "[2001::1]"),
    ("unique local", "[fd12:3456::1]"),
    ("site-local", "[fec0::1]"),
    ("cloud metadata", "169.254.169.254"),
    ("cloud metadata", "[fd00:ec2::254]"),
];

#[tokio::test]
async fn every_forbidden_family_is_refused_by_its_name() {
    let service = Service::configured(|config| config.push.allow_networks.clear()).await;
    for (family, host) in FORBIDDEN {
        let response = service.client.post("/push/endpoints", json!({"url": format!("https://{host}/hook")})).await;
        response.expect(422);
        let detail = response.json["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(family), "{host}: {detail}");
    }
    let public = json!({"url": "https://8.8.8.8/hook"});
    service.client.post("/push/endpoints", public).await.expect(201);
}

#[tokio::test]
async fn only_http_and_https_are_taken_and_no_credentials() {
    let service = Service::start().await;
    for url in ["ftp://example.org/", "file:///etc/passwd", "https://u:p@example.org/", "https://u@example.org/", "/"] {
        let response = service.client.post("/push/endpoints", json!({"url": url})).await;
        response.expect(422);
        assert_eq!(response.json["errors"][0]["pointer"], "#/url", "{url}");
    }
}

#[tokio::test]
async fn https_alone_is_taken_unless_the_operator_allows_http() {
    for (allowed, status) in [(false, 422), (true, 201)] {
        let service = Service::configured(|config| config.push.allow_http = allowed).await;
        service.client.post("/push/endpoints", json!({"url": "http://example.org/"})).await.expect(status);
        service.client.post("/push/endpoints", json!({"url": "https://example.org/"})).await.expect(201);
    }
}

#[tokio::test]
async fn the_operators_allow_list_of_cidrs_lifts_the_refusal_for_itself_alone() {
    let allow = |config: &mut unificus::config::Config| {
        config.push.allow_networks = ["10.1.0.0/16", "fd12::/16"].map(|net| net.parse().unwrap()).into();
    };
    let service = Service::configured(allow).await;
    for (host, status) in
        [("10.1.2.3", 201), ("[fd12::1]", 201), ("10.2.0.1", 422), ("127.0.0.1", 422), ("[::ffff:10.1.2.3]", 422)]
    {
        let url = json!({"url": format!("https://{host}/")});
        service.client.post("/push/endpoints", url).await.expect(status);
    }
}

/// A name is not resolved when it is saved. Each connection checks the address that the name resolves to at that time,
/// so earlier resolutions do not matter.
#[tokio::test]
async fn a_name_is_refused_at_connect_time_on_the_address_used() {
    let (service, receiver) =
        (Service::configured(|config| config.push.allow_networks.clear()).await, Receiver::start().await);
    let url = receiver.url().replace("127.0.0.1", "localhost");
    endpoint_at(&service.client, &url, json!({})).await;
    service.client.contact("ann@example.org").await.expect(201);

    until_attempts(&service, "refused", 1).await;
    until("its failing", async || state(&service).await["failing_since"].is_string()).await;
    assert_eq!((receiver.connections().accepted, waiting(&service).await), (0, vec![]), "it is the endpoint's failure");
}

/// An owner who can distinguish the two could probe names one after the other, and learn which of them exist in the
/// operator's own network.
#[tokio::test]
async fn an_owner_cannot_distinguish_a_forbidden_address_from_an_unknown_name() {
    let service = Service::configured(|config| config.push.allow_networks.clear()).await;
    let mut made = Vec::new();
    for host in ["localhost", "no-such-name.invalid"] {
        made.push(endpoint_at(&service.client, &format!("http://{host}:9/"), json!({})).await);
    }
    service.client.contact("ann@example.org").await.expect(201);
    let path = |made: &Value, rest: &str| format!("/push/endpoints/{}{rest}", made["id"].as_str().unwrap());
    let mut shown = Vec::new();
    for made in &made {
        let test = service.client.post(&path(made, "/test"), json!({})).await;
        let (endpoint, attempts) = (path(made, ""), path(made, "/attempts"));
        let failing = async || service.client.get(&endpoint).await.json["data"]["failing_since"].is_string();
        until("its failing", failing).await;
        let both = async || service.client.get(&attempts).await.expect(200).as_array().unwrap().len() >= 2;
        until("its attempts", both).await;
        let mut attempts = service.client.get(&attempts).await.expect(200).as_array().unwrap().clone();
        attempts.truncate(1);
        attempts.push(test.expect(200).clone());
        for attempt in attempts {
            assert!(
                attempt["duration_ms"].as_u64().unwrap() >= 5_000,
                "it is logged at the time of a connect timeout: {attempt}"
            );
            shown.push(["outcome", "status", "error", "delivered"].map(|field| attempt[field].clone()));
        }
    }
    let (forbidden, none) = shown.split_at(2);
    assert_eq!(forbidden, none);
    assert_eq!(forbidden[0][0], "connect");
    let narrowed = service.client.get(&path(&made[0], "/attempts?status=failed")).await;
    assert!(!narrowed.text.contains("loopback") && !narrowed.text.contains("refused"), "{}", narrowed.text);
    assert!(super::attempted(&service, "refused").await >= 1, "the operator can tell");
}

/// An endpoint that was saved under another policy, by its address.
#[tokio::test]
async fn the_current_policy_applies_to_the_address_at_each_attempt() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    let env = service.env;
    service.app.stop().await.unwrap();
    let mut config = env.config();
    config.push.allow_networks.clear();
    let app = unificus::app::App::start(config, unificus::clock::Clock::system()).await.unwrap();
    let client = crate::support::Client::new(
        &crate::support::service::base(&app),
        service.client.account,
        &service.client.secret,
    );
    let service = Service { app, env, store: service.store, client };
    service.client.contact("ann@example.org").await.expect(201);

    until_attempts(&service, "refused", 1).await;
    assert_eq!(receiver.connections().accepted, 0);
}
