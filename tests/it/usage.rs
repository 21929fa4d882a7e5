//! `/usage`: exact, by day, and free.

use hyper::Method;
use serde_json::{Value, json};
use time::macros::datetime;
use tokio::task::JoinSet;
use unificus::config::{self, Config};
use unificus::domain::AccountId;
use uuid::Uuid;

use crate::support::client::lead;
use crate::support::service::account_on;
use crate::support::{Client, Service};

fn enforced(config: &mut Config) {
    config.quota = config::Quota { burst_per_second: 100_000, ..config::Quota::default() };
}

async fn on_tier(service: &Service, tier: &str) -> Client {
    let (account, secret) = account_on(&service.store, tier).await;
    service.client.as_caller(account, &secret)
}

/// The calls of the days that have any, by day of the month.
fn days(usage: &Value) -> Vec<(usize, u64)> {
    let days = usage["days"].as_array().unwrap();
    let calls = days.iter().map(|day| day["calls"].as_u64().unwrap());
    (1..).zip(calls).filter(|(_, calls)| *calls > 0).collect()
}

#[tokio::test]
async fn usage_lists_the_calls_of_each_day_of_the_month_and_takes_none() {
    let service = Service::configured(enforced).await;
    service.env.set_stored_now(datetime!(2026-11-29 23:59:00 UTC)).await;
    let client = on_tier(&service, "thrive").await;
    let untouched = client.get("/usage").await;
    assert_eq!(days(untouched.expect(200)), []);

    let key = [("idempotency-key", "once")];
    let body = lead("ann@example.org").to_string();
    client.send(Method::POST, "/contact", &key, &body).await.expect(201);
    client.get("/contacts").await.expect(200);
    client.get("/contact/nobody@example.org").await.expect(404);
    // This call is refunded to its own day, though that day is over.
    client.send(Method::POST, "/contact", &key, &body).await.expect(201);
    service.env.set_stored_now(datetime!(2026-11-30 00:00:00 UTC)).await;
    client.get("/contacts").await.expect(200);
    client.get("/usage").await.expect(200);

    let response = client.get("/usage").await;
    let usage = response.expect(200);
    for (member, expected) in [
        ("tier", json!("thrive")),
        ("limit", json!(2_000)),
        ("used", json!(4)),
        ("remaining", json!(1_996)),
        ("resets_at", json!("2026-12-01T00:00:00+00:00")),
    ] {
        assert_eq!(usage[member], expected, "{member}");
    }
    assert_eq!(days(usage), [(29, 3), (30, 1)]);
    assert_eq!(usage["days"].as_array().unwrap().len(), 30, "from the first to today");
    assert_eq!(usage["days"][0], json!({"date": "2026-11-01", "calls": 0}));
    assert_eq!(response.header("ratelimit-policy"), "\"burst\";q=100000;w=1, \"month\";q=2000;w=2592000");
    assert!(
        response.header("ratelimit").ends_with(";t=1, \"month\";r=1996;t=86400"),
        "{}",
        response.header("ratelimit")
    );
    assert_eq!((&response.json["success"], &response.json["meta"]), (&json!(true), &json!({})));

    service.env.set_stored_now(datetime!(2026-12-01 00:00:00 UTC)).await;
    let december = client.get("/usage").await;
    let december = december.expect(200);
    assert_eq!((&december["used"], &december["remaining"]), (&json!(0), &json!(2_000)));
    assert_eq!(december["days"], json!([{"date": "2026-12-01", "calls": 0}]));
    assert_eq!(december["resets_at"], json!("2027-01-01T00:00:00+00:00"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_exact_over_replicas_and_reports_when_all_is_used() {
    let service = Service::configured(enforced).await;
    let (replica, _) = service.replica_configured(enforced).await;
    let client = on_tier(&service, "free-trial").await;
    let other = Client::new(&crate::support::service::base(&replica), client.account, &client.secret);
    let calls = |number: usize| -> JoinSet<u16> {
        let call = |client: Client| async move { client.get("/contacts").await.status };
        [&client, &other].into_iter().cycle().take(number).map(|client| call(client.clone())).collect()
    };

    calls(50).join_all().await;
    for client in [&client, &other] {
        let usage = client.get("/usage").await;
        assert_eq!(usage.expect(200)["used"], json!(50));
    }
    calls(200).join_all().await;
    client.get("/contacts").await.expect(429);
    for client in [&client, &other] {
        let usage = client.get("/usage").await;
        let usage = usage.expect(200);
        assert_eq!((&usage["used"], &usage["remaining"], &usage["limit"]), (&json!(80), &json!(0), &json!(80)));
        assert_eq!(days(usage).iter().map(|(_, calls)| calls).sum::<u64>(), 80);
    }
    replica.stop().await.unwrap();
}

#[tokio::test]
async fn usage_is_reported_where_limits_are_not_enforced() {
    let service = Service::start().await;
    for _ in 0..3 {
        service.client.get("/contacts").await.expect(200);
    }
    let usage = service.client.get("/usage").await;
    assert_eq!(usage.expect(200)["used"], json!(3));
    assert_eq!(usage.header("ratelimit"), "");
}

#[tokio::test]
async fn usage_has_a_sample_and_is_documented() {
    let service = Service::configured(enforced).await;
    let test_client = service.client.as_caller(AccountId(Uuid::nil()), "DummySecretKey");
    let sample = test_client.get("/usage").await;
    let members = |usage: &Value| usage.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let real = service.client.get("/usage").await;
    assert_eq!(members(sample.expect(200)), members(real.expect(200)));
    let sum: u64 = days(&sample.json["data"]).iter().map(|(_, calls)| calls).sum();
    assert_eq!(sample.json["data"]["used"], json!(sum));
    assert_eq!(sample.header("ratelimit"), "", "the test credentials have no limits");
    test_client.post("/usage", json!({})).await.expect(401);
    service.client.post("/usage", json!({})).await.expect(405);

    let document = service.client.get("/swagger/json-file").await.json;
    assert_eq!(document["paths"]["/usage"]["get"]["tags"], json!(["usage"]));
    let required = document["components"]["schemas"]["Usage"]["required"].as_array().unwrap();
    let mut required: Vec<&str> = required.iter().map(|name| name.as_str().unwrap()).collect();
    let mut reported = members(&real.json["data"]);
    required.sort_unstable();
    reported.sort_unstable();
    assert_eq!(required, reported);
    let responses = &document["paths"]["/contact"]["post"]["responses"];
    assert!(responses["403"].is_object(), "a read-only key's refusal is documented: {responses}");
}
