//! Push endpoints as a resource, and their cursors in the log.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use unificus::config::MasterKey;
use unificus::push::signature::{SigningSecret, sign};

use crate::push_delivery::{endpoint_at, seq, seqs};
use crate::support::client::Reply;
use crate::support::program::unificus;
use crate::support::receiver::Received;
use crate::support::{Client, LONG, Receiver, Service};

/// Two master keys, as the configuration has them.
const MASTERS: [&str; 2] =
    ["AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="];

/// An endpoint at a receiver.
struct Endpoint<'a> {
    api: &'a Client,
    made: Value,
}

impl<'a> Endpoint<'a> {
    async fn new(api: &'a Client, url: &str, more: Value) -> Self {
        Self { api, made: endpoint_at(api, url, more).await }
    }

    fn path(&self, rest: &str) -> String {
        format!("/push/endpoints/{}{rest}", self.made["id"].as_str().unwrap())
    }

    async fn post(&self, rest: &str, body: Value) -> Value {
        self.api.post(&self.path(rest), body).await.expect(200).clone()
    }

    async fn shown(&self) -> Value {
        self.api.get(&self.path("")).await.expect(200).clone()
    }

    /// Waits until the endpoint is shown in this state.
    async fn until(&self, label: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        let reached = async {
            loop {
                let shown = self.shown().await;
                if is(&shown) {
                    return shown;
                }
                pause.tick().await;
            }
        };
        tokio::time::timeout(LONG, reached).await.unwrap_or_else(|_| panic!("the endpoint never {label}"))
    }

    async fn until_through(&self, seq: i64) {
        self.until("reaches this position", |shown| shown["through_seq"] == json!(seq)).await;
    }
}

async fn contacts(api: &Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        api.contact(&format!("p{number}@example.org")).await.expect(201);
    }
}

#[tokio::test]
async fn an_endpoint_has_its_settings_and_put_merges() {
    let service = Service::start().await;
    let endpoint = Endpoint::new(&service.client, "http://127.0.0.1:9/", json!({})).await;
    let plain = endpoint.shown().await;
    for (key, value) in [
        ("mode", json!("single")),
        ("order", json!("record")),
        ("window", json!(32)),
        ("rate", Value::Null),
        ("fields", json!([])),
        ("headers", json!({})),
        ("timeout_s", json!(15)),
        ("state", json!("live")),
        ("signature", json!("hmac")),
        ("secret", Value::Null),
    ] {
        assert_eq!(plain[key], value, "{key} of {plain}");
    }
    let settings = json!({"window": 256, "timeout_s": 60, "events": ["contact.*"], "exclude_own": true,
        "description": "Ours", "mode": "batch", "max_batch": 7, "order": "strict", "fields": ["email"], "rate": 9,
        "headers": {"x-team": "blue"}});
    let changed = endpoint.api.put(&endpoint.path(""), settings.clone()).await.expect(200).clone();
    assert_eq!(changed, endpoint.shown().await);
    for (key, value) in settings.as_object().unwrap() {
        let shown = if key == "headers" { json!({"x-team": "********"}) } else { value.clone() };
        assert_eq!(changed[key], shown, "{key}");
    }
    let merged = endpoint.api.put(&endpoint.path(""), json!({"window": null})).await;
    assert_eq!(merged.expect(200)["window"], 32);
    assert_eq!((&merged.expect(200)["timeout_s"], &merged.expect(200)["url"]), (&json!(60), &plain["url"]));
}

#[tokio::test]
async fn invalid_settings_are_refused_by_name() {
    let service = Service::start().await;
    let api = &service.client;
    let many: serde_json::Map<String, Value> = (0..21).map(|n| (format!("x-{n}"), json!("v"))).collect();
    for (key, value) in [
        ("mode", json!("double")),
        ("max_batch", json!(0)),
        ("max_batch", json!(101)),
        ("debounce_ms", json!(60_001)),
        ("order", json!("random")),
        ("window", json!(0)),
        ("window", json!(257)),
        ("rate", json!(0)),
        ("rate", json!(1.5)),
        ("fields", json!(["no_field"])),
        ("events", json!(["contact.exploded"])),
        ("timeout_s", json!(0)),
        ("timeout_s", json!(61)),
        ("signature", json!("rot13")),
        ("headers", json!({"Connection": "close"})),
        ("headers", json!({"Transfer-Encoding": "chunked"})),
        ("headers", json!({"Content-Encoding": "gzip"})),
        ("headers", json!({"webhook-id": "1"})),
        ("headers", json!({"Host": "example.org"})),
        ("headers", json!({"bad name": "v"})),
        ("headers", json!({"x-a": "one\r\nx-b: two"})),
        ("headers", json!({"x-a": "1", "X-A": "2"})),
        ("headers", json!(many)),
        ("from", json!("yesterday")),
    ] {
        let mut body = json!({"url": "http://127.0.0.1:9/"});
        body[key] = value.clone();
        let response = api.post("/push/endpoints", body).await;
        assert_eq!(response.status, 422, "{key} {value}: {}", response.text);
        assert_eq!(response.json["errors"][0]["pointer"], json!(format!("#/{key}")), "{value}");
    }
    assert_eq!(api.get("/push/endpoints").await.expect(200), &json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_per_account_are_bounded_however_many_are_made_at_once() {
    let service = Service::configured(|config| config.push.endpoints_per_account = 3).await;
    let posts = (0..12).map(|_| service.client.post("/push/endpoints", json!({"url": "http://127.0.0.1:9/"})));
    let statuses: Vec<u16> =
        futures_util::future::join_all(posts).await.iter().map(|response| response.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 9, "{statuses:?}");
}

#[tokio::test]
async fn a_write_with_an_idempotency_key_is_executed_once_and_its_response_replayed() {
    let service = Service::start().await;
    let api = &service.client;
    let body = json!({"url": "http://127.0.0.1:9/"}).to_string();
    let send = async |path: &str, body: &str| api.send(Method::POST, path, &[("idempotency-key", "k1")], body).await;
    let first = send("/push/endpoints", &body).await;
    let again = send("/push/endpoints", &body).await;
    assert_eq!((again.status, &again.text), (201, &first.text), "its secret too");
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    assert_eq!(api.get("/push/endpoints").await.expect(200).as_array().unwrap().len(), 1);
    send("/push/endpoints", r#"{"url":"http://127.0.0.1:9/other"}"#).await.expect(422);
    send("/contact", &crate::support::client::lead("ann@example.org").to_string()).await.expect(422);

    let sql = service.env.sql().await;
    let kept: String = sql.query_one("select outcome::text from idempotency_record", &[]).await.unwrap().get(0);
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let kept = STANDARD.decode(kept["told"]["kept"].as_str().unwrap()).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains("whsec_"), "it is sealed at rest");
}

fn signatures(received: &Received) -> BTreeSet<&str> {
    received.header("webhook-signature").split(' ').collect()
}

/// The signature of a delivery by a secret.
fn signed(received: &Received, secret: &Value) -> String {
    let secret = SigningSecret::parse(secret.as_str().unwrap()).unwrap();
    let timestamp = received.header("webhook-timestamp").parse().unwrap();
    sign([&secret], received.header("webhook-id"), timestamp, &received.body)
}

#[tokio::test]
async fn both_secrets_sign_while_a_rotation_overlaps() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({})).await;
    let rotated = endpoint.post("/rotate", json!({"overlap_s": 3600})).await;
    assert_ne!(rotated["secret"], endpoint.made["secret"]);
    assert_eq!(endpoint.shown().await["secret"], Value::Null, "it is shown once");
    contacts(endpoint.api, 0..1).await;
    let received = receiver.wait_for(1, LONG).await.remove(0);
    let both = [signed(&received, &rotated["secret"]), signed(&received, &endpoint.made["secret"])];
    assert_eq!(signatures(&received), both.iter().map(String::as_str).collect());

    let last = endpoint.post("/rotate", json!({"overlap_s": 0})).await;
    contacts(endpoint.api, 1..2).await;
    let received = receiver.wait_for(2, LONG).await.remove(1);
    assert_eq!(received.header("webhook-signature"), signed(&received, &last["secret"]), "those before have ended");
}

#[tokio::test]
async fn deliveries_are_signed_by_ed25519_where_the_endpoint_requests_it() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({"signature": "ed25519"})).await;
    assert_eq!(endpoint.made["secret"], Value::Null, "the private key is never shown");
    let public = endpoint.shown().await["public_key"].as_str().unwrap().strip_prefix("whpk_").unwrap().to_owned();
    contacts(endpoint.api, 0..1).await;
    let received = receiver.wait_for(1, LONG).await.remove(0);
    let signature = STANDARD.decode(received.header("webhook-signature").strip_prefix("v1a,").unwrap()).unwrap();
    let head = format!("{}.{}.", received.header("webhook-id"), received.header("webhook-timestamp"));
    let key = UnparsedPublicKey::new(&ED25519, STANDARD.decode(public).unwrap());
    key.verify(&[head.as_bytes(), &received.body].concat(), &signature).unwrap();

    endpoint.api.put(&endpoint.path(""), json!({"signature": "hmac"})).await.expect(422);
    let hmac = endpoint.post("/rotate", json!({"signature": "hmac", "overlap_s": 60})).await;
    assert_eq!((&hmac["signature"], &hmac["public_key"]), (&json!("hmac"), &Value::Null));
    contacts(endpoint.api, 1..2).await;
    let received = receiver.wait_for(2, LONG).await.remove(1);
    let kinds: Vec<&str> =
        received.header("webhook-signature").split(' ').map(|one| one.split(',').next().unwrap()).collect();
    assert_eq!(kinds, ["v1", "v1a"], "both sign meanwhile");
}

#[tokio::test]
async fn a_test_sends_a_ping_and_returns_its_outcome() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({})).await;
    endpoint.post("/pause", Value::Null).await;
    let taken = endpoint.post("/test", Value::Null).await;
    assert_eq!((&taken["delivered"], &taken["status"]), (&json!(true), &json!(200)), "{taken}");
    let received = receiver.wait_for(1, LONG).await.remove(0);
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["type"], "crm.push.ping");
    assert_eq!(received.header("webhook-signature"), signed(&received, &endpoint.made["secret"]));
    receiver.respond_with(500);
    let refused = endpoint.post("/test", Value::Null).await;
    assert_eq!((&refused["delivered"], &refused["status"]), (&json!(false), &json!(500)), "{refused}");
    assert_eq!(endpoint.api.changes().await, Vec::<Value>::new(), "a ping is in no log");
}

#[tokio::test]
async fn events_of_a_paused_endpoint_are_sent_when_it_is_resumed() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({})).await;
    contacts(endpoint.api, 0..1).await;
    endpoint.until_through(1).await;
    assert_eq!(endpoint.post("/pause", Value::Null).await["state"], "paused");
    // Another endpoint's deliveries show that the scheduler has looked at the account since.
    let other = Receiver::start().await;
    let witness = Endpoint::new(&service.client, &other.url(), json!({})).await;
    contacts(endpoint.api, 1..4).await;
    witness.until_through(4).await;
    assert_eq!(seqs(&receiver.received()), [1]);
    assert_eq!(endpoint.post("/resume", Value::Null).await["state"], "live");
    receiver.wait_for(4, LONG).await;
    endpoint.until_through(4).await;
    assert_eq!(seqs(&receiver.received()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn re_enabling_resumes_at_its_cursor_nothing_was_skipped() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({"window": 1})).await;
    receiver.respond_with(410);
    contacts(endpoint.api, 0..3).await;
    endpoint.until("is disabled", |shown| shown["state"] == "disabled").await;
    receiver.recover();
    endpoint.post("/resume", Value::Null).await;
    // The log also has the events of its disabling and its recovery.
    endpoint.until_through(5).await;
    let log = service.client.changes().await;
    let created = log.iter().filter(|event| event["type"] == "crm.contact.created");
    let created: BTreeSet<i64> = created.map(|event| event["data"]["seq"].as_i64().unwrap()).collect();
    let accepted: BTreeSet<i64> = receiver.accepted().iter().map(seq).collect();
    assert_eq!((accepted.len(), accepted), (3, created));
}

#[tokio::test]
async fn replay_and_skip_move_the_cursor() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({"window": 1})).await;
    contacts(endpoint.api, 0..6).await;
    endpoint.until_through(6).await;
    assert_eq!(seqs(&receiver.received()), [1, 2, 3, 4, 5, 6]);

    endpoint.post("/replay", json!({"from": 1, "to": 3})).await;
    receiver.wait_for(8, LONG).await;
    contacts(endpoint.api, 6..7).await;
    endpoint.until_through(7).await;
    assert_eq!(seqs(&receiver.received()).split_off(6), [2, 3, 7], "events after the range are not sent again");

    let page = endpoint.api.get("/changes?limit=5").await;
    endpoint.post("/replay", json!({"from": page.json["meta"]["cursor"]})).await;
    receiver.wait_for(11, LONG).await;
    endpoint.until_through(7).await;
    assert_eq!(seqs(&receiver.received()).split_off(9), [6, 7]);

    endpoint.post("/pause", Value::Null).await;
    contacts(endpoint.api, 7..10).await;
    endpoint.post("/skip", json!({"seq": 9})).await;
    endpoint.until_through(9).await;
    endpoint.post("/resume", Value::Null).await;
    endpoint.until_through(10).await;
    assert_eq!(seqs(&receiver.received()).split_off(11), [10]);
}

#[tokio::test]
async fn a_parked_event_is_visible_and_retried_by_one_click() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    let endpoint = Endpoint::new(&service.client, &receiver.url(), json!({})).await;
    contacts(endpoint.api, 0..2).await;
    endpoint.until_through(2).await;
    let (sql, id) = (service.env.sql().await, endpoint.made["id"].as_str().unwrap());
    let park = "insert into push_retry (account_id, endpoint_id, seq, uid, attempts, next_at, parked)
        select account_id, $1::text::uuid, seq, uid, 10, now(), true from event where seq = 1";
    assert_eq!(sql.execute(park, &[&id]).await.unwrap(), 1);
    let parked = async || endpoint.api.get(&endpoint.path("/parked")).await.expect(200).clone();
    let listed = parked().await;
    assert_eq!((&listed[0]["seq"], &listed[0]["type"]), (&json!(1), &json!("crm.contact.created")), "{listed}");
    assert_eq!(endpoint.api.get(&endpoint.path("/parked?after=1")).await.expect(200), &json!([]));

    endpoint.api.post(&endpoint.path("/parked/2/retry"), Value::Null).await.expect(404);
    endpoint.post("/parked/1/retry", Value::Null).await;
    assert_eq!(seqs(&receiver.wait_for(3, LONG).await), [1, 2, 1]);
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    let none = async {
        while parked().await != json!([]) {
            pause.tick().await;
        }
    };
    tokio::time::timeout(LONG, none).await.expect("it stays parked");
}

#[tokio::test]
async fn the_attempt_log_is_read_newest_first_and_narrowed() {
    let service = Service::start().await;
    let endpoint = Endpoint::new(&service.client, "http://127.0.0.1:9/", json!({})).await;
    let sql = service.env.sql().await;
    sql.batch_execute("create table push_attempt_of_no_day partition of push_attempt default").await.unwrap();
    let insert =
        "insert into push_attempt (account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, \
        status, duration_ms, bytes, body)
        select account_id, endpoint_id, ('00000000-0000-7000-8000-00000000000' || n)::uuid, now(), n, 'id', 'event', \
        case when n % 2 = 0 then 'delivered' else 'status' end, case when n % 2 = 0 then 200 else 500 end, 3, 2, 'ok' \
        from push_endpoint, generate_series(1, 4) as n";
    assert_eq!(sql.execute(insert, &[]).await.unwrap(), 4);
    let list = async |query: &str| {
        let response: Reply = endpoint.api.get(&endpoint.path(&format!("/attempts{query}"))).await;
        response.expect(200).as_array().unwrap().clone()
    };
    let of = |attempts: &[Value]| attempts.iter().map(|one| one["seq"].as_i64().unwrap()).collect::<Vec<_>>();
    let all = list("").await;
    assert_eq!(of(&all), [4, 3, 2, 1]);
    assert_eq!((&all[0]["outcome"], &all[0]["body"]), (&json!("delivered"), &json!("ok")));
    assert_eq!(of(&list("?status=delivered").await), [4, 2]);
    assert_eq!(of(&list("?status=failed").await), [3, 1]);
    assert_eq!(of(&list("?status=500").await), [3, 1]);
    assert_eq!(of(&list(&format!("?after={}", all[1]["id"].as_str().unwrap())).await), [2, 1]);
}

#[tokio::test]
async fn secrets_are_encrypted_at_rest_and_the_key_can_be_rotated() {
    let service = Service::start().await;
    let sql = service.env.sql().await;
    let database = service.env.database.clone();
    let endpoint = Endpoint::new(&service.client, "http://127.0.0.1:9/", json!({})).await;
    let secret = endpoint.made["secret"].as_str().unwrap();
    let kept =
        async || -> Vec<Vec<u8>> { sql.query_one("select secrets from push_endpoint", &[]).await.unwrap().get(0) };
    assert!(!String::from_utf8_lossy(&kept().await[0]).contains("whsec_"));
    let run = async |arguments: &str, masters: &[&str]| {
        let masters = format!("{masters:?}");
        let settings = [("UNIFICUS_DATABASE__URL", database.as_str()), ("UNIFICUS_SECRETS__MASTER_KEYS", &masters)];
        let output = unificus(arguments, &settings).await;
        (output.status.success(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let [old, new] = MASTERS;
    let account = service.client.account;
    let key = run(&format!("key add {account} kept --json"), &[old]).await.1;
    let reveal = format!("key reveal {account} {} --json", key["key_id"].as_str().unwrap());

    let counts =
        |keys: u32, endpoints: u32, unopened: u32| json!({"keys": keys, "endpoints": endpoints, "unopened": unopened});
    let rotate = "rotate-master-key --json";
    assert_eq!(run(rotate, &[old]).await, (true, counts(0, 0, 0)), "they are sealed from the beginning");
    let clear = "update push_endpoint set secrets = array[convert_to($1, 'UTF8')], revision = revision + 1";
    sql.execute(clear, &[&secret]).await.unwrap();
    assert_eq!(endpoint.post("/test", Value::Null).await["outcome"], "connect", "one from before is still opened");
    assert_eq!(run(rotate, &[old]).await, (true, counts(0, 1, 0)), "and is sealed");
    assert!(!String::from_utf8_lossy(&kept().await[0]).contains("whsec_"));
    assert_eq!(run(rotate, &[new, old]).await, (true, counts(1, 1, 0)));
    assert_eq!(run(rotate, &[new, old]).await, (true, counts(0, 0, 0)), "again, it finds nothing to do");
    assert_eq!(run(&reveal, &[new]).await.1["secret_key"], key["secret_key"], "the old master key may be removed");
    assert_eq!(run(rotate, &[old]).await, (false, counts(0, 0, 2)), "secrets that no key opens are unchanged");
    assert!(!run(rotate, &[]).await.0);

    let receiver = Receiver::start().await;
    let master = MasterKey(STANDARD.decode(new).unwrap().try_into().unwrap());
    let (app, api) = service.replica_configured(|config| config.secrets.master_keys = vec![master]).await;
    api.put(&endpoint.path(""), json!({"url": receiver.url()})).await.expect(200);
    service.app.stop().await.unwrap();
    contacts(&api, 0..1).await;
    let received = receiver.wait_for(1, LONG).await.remove(0);
    assert_eq!(received.header("webhook-signature"), signed(&received, &endpoint.made["secret"]));
    app.stop().await.unwrap();
}
