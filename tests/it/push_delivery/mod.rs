//! The promises of the contract's page on push, each as a test.
//!
//! Delays of a schedule follow a manual clock: a test sets the clock, and then another event wakes the endpoint. Delays
//! of a receiver are real, and use the shortest timeout that an endpoint may set.

mod addresses;
mod attempt_log;
mod attempts;
mod isolation;
mod modes;
mod outcomes;
mod own_headers;
mod replicas;
mod schedule;
mod settings;
mod stopping;
mod unsaved;
mod verified;
mod wire;

use std::time::Duration;

use serde_json::{Value, json};
use time::macros::datetime;
use unificus::clock::Clock;
use unificus::domain::Timestamp;

use crate::support::receiver::Received;
use crate::support::{Client, LONG, Receiver, Service};

const START: Timestamp = datetime!(2026-11-24 12:00 UTC);

/// Makes an endpoint at this URL, for all events from now on.
pub(crate) async fn endpoint_at(client: &Client, url: &str, more: Value) -> Value {
    let mut settings = json!({"url": url});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post("/push/endpoints", settings).await.expect(201).clone()
}

pub(crate) async fn endpoint(service: &Service, receiver: &Receiver, more: Value) -> Value {
    endpoint_at(&service.client, &receiver.url(), more).await
}

pub(crate) fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

pub(crate) fn seq(received: &Received) -> i64 {
    body(received)["data"]["seq"].as_i64().unwrap()
}

pub(crate) fn seqs(received: &[Received]) -> Vec<i64> {
    received.iter().map(seq).collect()
}

/// The number of times that an event was sent.
fn sent(receiver: &Receiver, number: i64) -> usize {
    receiver.received().iter().filter(|received| seq(received) == number).count()
}

/// The number of attempts with this outcome, over all endpoints of the service.
async fn attempted(service: &Service, outcome: &str) -> usize {
    let ops = Client::new(&format!("http://{}", service.app.metrics_address()), service.client.account, "");
    let metrics = ops.get("/metrics").await.text;
    let series = format!("unificus_push_attempts_total{{outcome=\"{outcome}\"}} ");
    metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap_or_default()
}

/// Waits until a condition holds; panics with the name of the condition after the timeout.
pub(crate) async fn until(label: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    let waited = async {
        while !holds().await {
            pause.tick().await;
        }
    };
    assert!(tokio::time::timeout(LONG, waited).await.is_ok(), "{label}: not within the timeout");
}

/// Waits until a query returns true.
pub(crate) async fn settled(service: &Service, label: &str, sql: &str) {
    let client = service.env.sql().await;
    until(label, async || client.query_one(sql, &[]).await.unwrap().get(0)).await;
}

async fn until_attempts(service: &Service, outcome: &str, at_least: usize) {
    let label = format!("attempt {at_least} that ends with {outcome}");
    until(&label, async || attempted(service, outcome).await >= at_least).await;
}

/// The state of the account's first endpoint.
async fn state(service: &Service) -> Value {
    service.client.get("/push/endpoints").await.expect(200)[0].clone()
}

/// The stored retry entries: seq, attempts, whether parked.
async fn waiting(service: &Service) -> Vec<(i64, i32, bool)> {
    let sql = service.env.sql().await;
    let rows = sql.query("select seq, attempts, parked from push_retry order by seq", &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// A service whose clock stands still until the test moves it.
struct Timed {
    service: Service,
    clock: Clock,
    now: Timestamp,
    made: usize,
}

impl Timed {
    async fn start() -> Self {
        let clock = Clock::manual(START);
        let service = Service::timed(clock.clone(), |_| {}).await;
        Self { service, clock, now: START, made: 0 }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clock.set(self.now);
    }

    /// Writes another record's event, which wakes every endpoint of the account. Returns its position in the log.
    async fn event(&mut self) -> i64 {
        self.made += 1;
        let uid = self.service.client.contact(&format!("e{}@example.org", self.made)).await.uid();
        let events = self.service.client.changes().await;
        let event = events.iter().find(|event| event["subject"] == uid).unwrap();
        event["data"]["seq"].as_i64().unwrap()
    }

    /// Writes another event, and returns once it has arrived at this receiver.
    async fn event_at(&mut self, receiver: &Receiver) -> i64 {
        let event = self.event().await;
        until("an event", async || receiver.received().iter().any(|received| seq(received) == event)).await;
        event
    }
}
