//! Content and retention of the attempt log.

use std::time::Duration;

use serde_json::{Value, json};
use time::Date;
use unificus::clock::Clock;
use unificus::config::Config;

use super::{endpoint, endpoint_at, settled, until};
use crate::support::program::unificus;
use crate::support::{LONG, Receiver, Service, TlsPeer};

const UNLOGGED: &str = "unificus_push_attempts_unlogged_total";
const DAYS: &str = "select substr(c.relname, 14) from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'push_attempt'::regclass order by 1";

/// The days that have a partition.
async fn days(service: &Service) -> Vec<String> {
    let sql = service.env.sql().await;
    sql.query(DAYS, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// The day this many days before Postgres's today, as in the names of partitions.
async fn partition_day(service: &Service, days: i32) -> String {
    let day = "select to_char((now() at time zone 'UTC')::date - $1::integer, 'YYYYMMDD')";
    service.env.sql().await.query_one(day, &[&days]).await.unwrap().get(0)
}

/// Creates the partition of the day this many days ago.
async fn make_day(service: &Service, days: i32) -> String {
    let sql = service.env.sql().await;
    let name = partition_day(service, days).await;
    let day: Date = sql.query_one("select to_date($1, 'YYYYMMDD')", &[&name]).await.unwrap().get(0);
    let next = day.next_day().unwrap();
    let make = format!(
        "create table push_attempt_{name} partition of push_attempt for values from ('{day} 00:00Z') to ('{next} 00:00Z')"
    );
    sql.batch_execute(&make).await.unwrap();
    name
}

/// Waits until the service has created the partitions that it writes to.
async fn until_ready(service: &Service) {
    until("the days", async || days(service).await.len() >= 4).await;
}

#[tokio::test]
async fn attempts_have_a_partition_a_day_and_are_dropped_with_it_after_30_days() {
    assert_eq!(Config::default().push.attempts_days, 30);
    let service = Service::start().await;
    until_ready(&service).await;
    for day in -2..=1 {
        assert!(days(&service).await.contains(&partition_day(&service, day).await), "{day} days ago");
    }
    let (kept, over, others) = (make_day(&service, 29).await, make_day(&service, 31).await, days(&service).await);
    let (app, _) = service.replica().await;

    until("its end", async || !days(&service).await.contains(&over)).await;
    let left: Vec<String> = others.into_iter().filter(|day| *day != over).collect();
    assert!(left.contains(&kept));
    assert_eq!(days(&service).await, left);
    app.stop().await.unwrap();
}

#[tokio::test]
async fn a_replica_whose_clock_is_wrong_drops_and_creates_no_partitions() {
    let service = Service::start().await;
    until_ready(&service).await;
    let (over, others) = (make_day(&service, 40).await, days(&service).await);
    for wrong in [-400, 400] {
        let clock = Clock::manual(Clock::system().now() + time::Duration::days(wrong));
        let app = unificus::app::App::start(service.env.config(), clock).await.unwrap();
        until("its look at the days", async || !days(&service).await.contains(&over)).await;
        app.stop().await.unwrap();
        let left: Vec<&String> = others.iter().filter(|day| **day != over).collect();
        assert_eq!(days(&service).await.iter().collect::<Vec<_>>(), left);
        make_day(&service, 40).await;
    }
}

#[tokio::test]
async fn attempts_without_a_partition_are_counted_and_delay_no_others() {
    let clock = Clock::manual(Clock::system().now());
    let (service, receiver) = (Service::timed(clock.clone(), |_| {}).await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    let now = clock.now();
    for number in 0..6 {
        clock.set(if number % 2 == 0 { now + Duration::from_hours(400 * 24) } else { now });
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
        until("its delivery", async || super::attempted(&service, "delivered").await == number + 1).await;
    }

    settled(&service, "the attempts that fit", "select count(*) = 3 from push_attempt").await;
    until("the count", async || (service.gauge(UNLOGGED).await - 3.0).abs() < 0.5).await;
}

#[tokio::test]
async fn a_test_takes_a_slot_and_is_logged() {
    let service = Service::configured(|config| (config.push.window, config.push.in_flight) = (1, 1)).await;
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    let made = endpoint(&service, &receiver, json!({"timeout_s": 60})).await;
    let path = |rest: &str| format!("/push/endpoints/{}{rest}", made["id"].as_str().unwrap());
    let test = service.client.post(&path("/test"), json!({})).await;
    assert_eq!(test.expect(200)["delivered"], true);
    let count = "select count(*) = 1 from push_attempt where trigger = 'test'";
    settled(&service, "its row", count).await;
    let logged = service.client.get(&path("/attempts")).await.expect(200)[0].clone();
    assert_eq!((&logged["trigger"], &logged["seq"], &logged["status"]), (&json!("test"), &json!(0), &json!(200)));
    assert_eq!(logged["webhook_id"], receiver.received()[0].header("webhook-id"));

    receiver.hang();
    service.client.contact("ann@example.org").await.expect(201);
    receiver.wait_for(2, LONG).await;
    let beside = endpoint(&service, &other, json!({})).await;
    let path = format!("/push/endpoints/{}/test", beside["id"].as_str().unwrap());
    let refused = service.client.post(&path, json!({})).await;
    refused.expect(503);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(other.received().len(), 0);
}

/// The logged attempts of the account's only endpoint, oldest first, once there are this many.
async fn logged(service: &Service, many: usize) -> Vec<Value> {
    settled(service, "the attempts", &format!("select count(*) = {many} from push_attempt")).await;
    let endpoint = service.client.get("/push/endpoints").await.expect(200)[0]["id"].as_str().unwrap().to_owned();
    let listed = service.client.get(&format!("/push/endpoints/{endpoint}/attempts")).await;
    listed.expect(200).as_array().unwrap().iter().rev().cloned().collect()
}

#[tokio::test]
async fn an_attempt_has_its_status_error_bytes_body_and_trigger() {
    let clock = Clock::manual(Clock::system().now());
    let (service, receiver) = (Service::timed(clock.clone(), |_| {}).await, Receiver::start().await);
    endpoint(&service, &receiver, json!({})).await;
    receiver.respond_with_body(500, "sorry");
    service.client.contact("ann@example.org").await.expect(201);
    until("a retry that waits", async || super::waiting(&service).await == [(1, 1, false)]).await;
    receiver.respond_with_body(202, "fine");
    clock.set(clock.now() + Duration::from_secs(6));
    service.client.contact("bob@example.org").await.expect(201);
    until("both", async || super::attempted(&service, "delivered").await == 2).await;
    receiver.stop().await;
    service.client.contact("cid@example.org").await.expect(201);

    let mut attempts = logged(&service, 4).await;
    attempts[1..3].sort_by_key(|attempt| attempt["seq"].as_i64());
    let fields = ["seq", "trigger", "outcome", "status", "bytes", "body"];
    let of = |attempt: &Value| fields.map(|field| attempt[field].clone());
    let [failed, again, other, gone] = attempts.as_slice() else { panic!("{attempts:?}") };
    assert_eq!(json!(of(failed)), json!([1, "event", "status", 500, 5, "sorry"]));
    assert_eq!(json!(of(again)), json!([1, "retry", "delivered", 202, 4, "fine"]));
    assert_eq!(json!(of(other)), json!([2, "event", "delivered", 202, 4, "fine"]));
    assert_eq!(json!(of(gone)), json!([3, "event", "connect", null, 0, ""]));
    assert_eq!((&failed["error"], &again["error"]), (&Value::Null, &Value::Null));
    assert!(gone["error"].as_str().unwrap().contains("refused"), "{gone}");
    assert_eq!((&failed["webhook_id"], again["id"] != failed["id"]), (&again["webhook_id"], true));
}

/// An attempt may take 15 s, of which connecting may take 5 s.
#[tokio::test]
async fn connecting_is_given_up_after_5_s() {
    let (service, peer) = (Service::start().await, TlsPeer::slow().await);
    endpoint_at(&service.client, &peer.url(), json!({"timeout_s": 15})).await;
    service.client.contact("ann@example.org").await.expect(201);
    peer.wait_for(1).await;

    let attempt = logged(&service, 1).await.remove(0);
    let taken = attempt["duration_ms"].as_i64().unwrap();
    assert!((5_000..15_000).contains(&taken), "{attempt}");
    assert_eq!((&attempt["outcome"], &attempt["status"]), (&json!("timeout"), &Value::Null));
    assert!(attempt["error"].as_str().unwrap().contains("no connection within 5s"), "{attempt}");
}

#[tokio::test]
async fn attempts_of_an_erased_contact_keep_no_body() {
    let (service, receiver, batches) = (Service::start().await, Receiver::start().await, Receiver::start().await);
    let (api, account) = (&service.client, service.client.account);
    for receiver in [&receiver, &batches] {
        receiver.respond_with_body(200, "seen");
    }
    api.contact("ann@example.org").await.expect(201);
    let bob = api.contact("bob@example.org").await.uid();
    endpoint(&service, &receiver, json!({"from": "start"})).await;
    endpoint(&service, &batches, json!({"from": "start", "mode": "batch"})).await;
    settled(&service, "the attempts", "select count(*) = 3 from push_attempt").await;

    let printed = erase(&service, &bob).await;
    assert_eq!(
        printed,
        json!({"public_id": account, "uid": bob, "erased": 2}),
        "his own, and the batch that he was in"
    );

    let kept = "select seq, convert_from(body, 'UTF8') from push_attempt order by seq, endpoint_id";
    let kept = service.env.sql().await.query(kept, &[]).await.unwrap();
    let mut kept: Vec<(i64, String)> = kept.iter().map(|row| (row.get(0), row.get(1))).collect();
    kept.sort();
    assert_eq!(kept, [(1, String::new()), (1, "seen".to_owned()), (2, String::new())]);
    settled(&service, "the audit row", "select count(*) = 1 from audit where action = 'push.erase'").await;
}

/// Erases what receivers responded to deliveries of a record, and returns what the command says.
async fn erase(service: &Service, uid: &str) -> Value {
    let erase = format!("account erase-attempts {} {uid} --json", service.client.account);
    let output = unificus(&erase, &[("UNIFICUS_DATABASE__URL", &service.env.least)]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn an_attempt_is_erased_by_its_records_and_one_of_the_release_before_by_its_webhook_id() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    receiver.respond_with_body(200, "seen");
    let mut uids = Vec::new();
    for name in ["ann", "bob", "cid"] {
        uids.push(service.client.contact(&format!("{name}@example.org")).await.uid());
    }
    endpoint(&service, &receiver, json!({"from": "start", "mode": "batch"})).await;
    settled(&service, "the attempt", "select count(*) = 1 from push_attempt").await;
    let sql = service.env.sql().await;

    // The id spans the first and the last record; the one between was not delivered with them.
    let two = format!("update push_attempt set uids = array['{}', '{}']::uuid[]", uids[0], uids[2]);
    sql.batch_execute(&two).await.unwrap();
    assert_eq!(erase(&service, &uids[1]).await["erased"], 0);
    sql.batch_execute("update push_attempt set uids = null").await.unwrap();
    assert_eq!(erase(&service, &uids[1]).await["erased"], 1);
    assert_eq!(erase(&service, &uids[1]).await["erased"], 0, "nothing is left to erase");
}

#[tokio::test]
async fn attempts_are_written_in_batches() {
    let (service, receiver) = (Service::start().await, Receiver::start().await);
    for number in 0..20 {
        service.client.contact(&format!("p{number}@example.org")).await.expect(201);
    }
    endpoint(&service, &receiver, json!({"from": "start"})).await;

    settled(&service, "the attempts", "select count(*) = 20 from push_attempt").await;
    let transactions = "select count(distinct xmin::text) from push_attempt";
    let transactions: i64 = service.env.sql().await.query_one(transactions, &[]).await.unwrap().get(0);
    assert!(transactions < 20, "{transactions} transactions");
}
