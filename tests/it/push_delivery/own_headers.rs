//! Custom headers of an endpoint: sent with each delivery, stored sealed, never shown.

use serde_json::{Value, json};
use unificus::clock::Clock;
use unificus::keys::{self, SecretKey, Terms};
use unificus::secrets::MasterKeys;
use unificus::store::audit::By;

use super::{endpoint, endpoint_at, settled};
use crate::support::program::unificus;
use crate::support::{Client, LONG, Receiver, Service};

const MASK: &str = "********";
const VALUE: &str = "Bearer hush-hush-1234";

/// Two master keys, as the configuration has them. The first is the tests' own.
const MASTERS: [&str; 2] =
    ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="];

fn path(made: &Value, rest: &str) -> String {
    format!("/push/endpoints/{}{rest}", made["id"].as_str().unwrap())
}

/// The tables of the database that contain a text, as text or as bytes.
async fn tables_with(service: &Service, text: &str) -> Vec<String> {
    let sql = service.env.sql().await;
    let tables = "select c.relname::text from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1";
    let mut matching = Vec::new();
    for row in sql.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let has = format!(
            "select exists (select from {table} t where position($1 in t::text) > 0
                or position(encode(convert_to($1, 'UTF8'), 'hex') in t::text) > 0)"
        );
        if sql.query_one(&has, &[&text]).await.unwrap().get(0) {
            matching.push(table);
        }
    }
    matching
}

async fn stored(service: &Service) -> String {
    let sql = service.env.sql().await;
    sql.query_one("select headers::text from push_endpoint", &[]).await.unwrap().get(0)
}

/// A client of the account with a key that may only read.
async fn reader(service: &Service) -> Client {
    let secret = SecretKey::make("unificus");
    let terms = Terms { read_only: true, ..Terms::named("reader") };
    let key = keys::prepare(service.client.account, &secret, terms, &MasterKeys::new(&[]));
    let by = By::new("test", Clock::system().now());
    service.store.add_key(service.client.account, &key, by).await.unwrap();
    service.client.as_caller(service.client.account, secret.text())
}

#[tokio::test]
async fn values_of_own_headers_are_sent_and_are_nowhere_in_clear() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    // A receiver that echoes its request puts the headers into the attempt log.
    receiver.respond_with_body(200, format!("got {VALUE}"));
    let settings = json!({"url": receiver.url(), "headers": {"Authorization": VALUE, "x-team": "blue-7"}}).to_string();
    let key = [("idempotency-key", "k1")];
    let made = service.client.send(hyper::Method::POST, "/push/endpoints", &key, &settings).await;
    let again = service.client.send(hyper::Method::POST, "/push/endpoints", &key, &settings).await;
    assert_eq!(made.text, again.text);
    let made = made.expect(201).clone();
    service.client.contact("ann@example.org").await.expect(201);
    let received = receiver.wait_for(1, LONG).await.remove(0);
    assert_eq!((received.header("authorization"), received.header("x-team")), (VALUE, "blue-7"));
    service.client.post(&path(&made, "/test"), json!({})).await.expect(200);
    service.client.put(&path(&made, ""), json!({"description": "ours"})).await.expect(200);
    settled(&service, "both attempts", "select count(*) = 2 from push_attempt").await;

    let masked = json!({"authorization": MASK, "x-team": MASK});
    assert_eq!(made["headers"], masked);
    for client in [&service.client, &reader(&service).await] {
        for response in [client.get(&path(&made, "")).await, client.get("/push/endpoints").await] {
            response.expect(200);
            assert!(response.text.contains(MASK) && !response.text.contains("hush"), "{}", response.text);
        }
        let attempts = client.get(&path(&made, "/attempts")).await;
        assert_eq!(attempts.expect(200)[0]["body"], format!("got {MASK}"));
        assert!(!attempts.text.contains("hush"), "{}", attempts.text);
    }
    for text in ["hush", "blue-7"] {
        assert_eq!(tables_with(&service, text).await, [""; 0], "{text}");
    }
    assert_eq!(tables_with(&service, "authorization").await, ["push_endpoint"], "the search finds a stored text");
}

#[tokio::test]
async fn the_mask_sent_back_keeps_a_value_and_a_new_value_replaces_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({"headers": {"authorization": VALUE, "x-old": "gone"}})).await;
    let shown = service.client.get(&path(&made, "")).await.expect(200).clone();
    let unchanged = json!({"headers": shown["headers"], "description": "ours"});
    service.client.put(&path(&made, ""), unchanged).await.expect(200);
    let changed = json!({"headers": {"Authorization": MASK, "x-new": "fresh"}});
    let changed = service.client.put(&path(&made, ""), changed).await.expect(200).clone();
    assert_eq!(changed["headers"], json!({"authorization": MASK, "x-new": MASK}));
    service.client.contact("ann@example.org").await.expect(201);
    let received = receiver.wait_for(1, LONG).await.remove(0);
    let own = ["authorization", "x-new", "x-old"].map(|name| received.header(name));
    assert_eq!(own, [VALUE, "fresh", ""]);

    for refused in [json!({"x-other": MASK}), json!({"authorization": MASK, "x-old": MASK})] {
        let response = service.client.put(&path(&made, ""), json!({"headers": refused})).await;
        response.expect(422);
        assert_eq!(response.json["errors"][0]["pointer"], "#/headers", "{}", response.text);
    }
    let new = json!({"url": receiver.url(), "headers": {"authorization": MASK}});
    service.client.post("/push/endpoints", new).await.expect(422);
}

/// Otherwise a key with the right to write could send the value to a server of its owner's.
#[tokio::test]
async fn a_value_is_never_sent_to_another_server_than_it_was_given_for() {
    let (service, receiver, other) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({"headers": {"authorization": VALUE}})).await;
    let here = receiver.url().replace("/hook", "/another");
    let moved = service.client.put(&path(&made, ""), json!({"url": here})).await;
    moved.expect(200);
    for body in [
        json!({"url": other.url()}),
        json!({"url": other.url(), "headers": {"authorization": MASK}}),
        json!({"url": other.url(), "headers": {"authorization": MASK, "x-a": "1"}}),
        json!({"url": receiver.url().replace("127.0.0.1", "localhost")}),
    ] {
        let refused = service.client.put(&path(&made, ""), body).await;
        refused.expect(422);
        assert_eq!(refused.json["errors"][0]["pointer"], "#/headers", "{}", refused.text);
    }
    for headers in [json!({"authorization": "Bearer other"}), Value::Null] {
        let body = json!({"url": if headers.is_null() { receiver.url() } else { other.url() }, "headers": headers});
        service.client.put(&path(&made, ""), body).await.expect(200);
        service.client.contact(&format!("p{}@example.org", headers.is_null())).await.expect(201);
    }
    receiver.wait_for(1, LONG).await;
    let sent = other.received().into_iter().chain(receiver.received());
    assert!(sent.map(|received| received.header("authorization").to_owned()).all(|value| value != VALUE));
}

/// The previous version stored values in clear, and writes rows beside this version while both run.
#[tokio::test]
async fn values_stored_in_clear_are_sent_on_and_sealed_by_the_next_write_or_the_rotation() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({})).await;
    let sql = service.env.sql().await;
    let as_before =
        format!("update push_endpoint set headers = '[[\"authorization\",\"{VALUE}\"]]', revision = revision + 1");
    sql.execute(&as_before, &[]).await.unwrap();
    service.client.post(&path(&made, "/test"), json!({})).await.expect(200);
    assert_eq!(receiver.wait_for(1, LONG).await[0].header("authorization"), VALUE);
    let shown = service.client.get(&path(&made, "")).await.expect(200).clone();
    assert_eq!(shown["headers"], json!({"authorization": MASK}));
    assert!(stored(&service).await.contains(VALUE), "nothing has written it yet");

    service.client.post(&path(&made, "/pause"), Value::Null).await.expect(200);
    assert!(!stored(&service).await.contains("hush"), "any write of the endpoint seals");

    sql.execute(&as_before, &[]).await.unwrap();
    let database = service.env.database.clone();
    let rotate = async |masters: &[&str]| {
        let masters = format!("{masters:?}");
        let settings = [("UNIFICUS_DATABASE__URL", database.as_str()), ("UNIFICUS_SECRETS__MASTER_KEYS", &masters)];
        let output = unificus("rotate-master-key --json", &settings).await;
        let counts = serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default();
        (counts["endpoints"].clone(), counts["unopened"].clone())
    };
    let [old, new] = MASTERS;
    assert_eq!(rotate(&[old]).await, (json!(1), json!(0)));
    let sealed = stored(&service).await;
    assert!(!sealed.contains("hush"), "{sealed}");
    assert_eq!(rotate(&[old]).await, (json!(0), json!(0)), "again, it finds nothing to do");
    assert_eq!(rotate(&[new, old]).await, (json!(1), json!(0)));
    assert_ne!(stored(&service).await, sealed);
    assert_eq!(rotate(&[old]).await, (json!(0), json!(2)), "neither the secret nor the header can be opened");

    // A replica of the previous version reads a sealed value as pairs of texts and writes it back.
    let pairs: Vec<(String, String)> = serde_json::from_str(&stored(&service).await).unwrap();
    let written = serde_json::to_string(&pairs).unwrap();
    let write = "update push_endpoint set headers = $1::text::json, state = 'live', revision = revision + 1";
    sql.execute(write, &[&written]).await.unwrap();
    let master = unificus::config::MasterKey([2; 32]);
    let (app, api) = service.replica_configured(|config| config.secrets.master_keys = vec![master]).await;
    api.post(&path(&made, "/test"), json!({})).await.expect(200);
    assert_eq!(receiver.wait_for(2, LONG).await[1].header("authorization"), VALUE);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn without_a_master_key_no_value_is_taken() {
    let service = Service::start().await;
    let made = endpoint_at(&service.client, "http://127.0.0.1:9/", json!({"headers": {"x-a": "12345"}})).await;
    let (app, api) = service.replica_configured(|config| config.secrets.master_keys.clear()).await;
    let before = stored(&service).await;
    let refused = api.put(&path(&made, ""), json!({"headers": {"authorization": VALUE}})).await;
    refused.expect(503);
    assert_eq!(refused.json["title"], "No master key");
    assert_eq!(stored(&service).await, before);
    let kept = api.put(&path(&made, ""), json!({"headers": {"x-a": MASK}, "description": "ours"})).await;
    kept.expect(200);
    assert_eq!(stored(&service).await, before, "sealed values are unchanged");
    app.stop().await.unwrap();
}
