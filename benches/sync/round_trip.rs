//! The round trip of a command over NATS and over HTTP keep-alive, in turns.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::Bench;
use crate::accounts::Account;
use crate::batch::Upserts;
use crate::connection::Connection;
use crate::contact::Target;
use crate::table::say;
use crate::tally::{Latencies, median};

const IN_FLIGHT: usize = 16;
/// Commands of one measurement.
const COMMANDS: usize = 1_600;

/// Medians over all rounds, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) nats_ms: f64,
    pub(crate) http_ms: f64,
}

impl Pair {
    pub(crate) fn ratio(self) -> f64 {
        self.nats_ms / self.http_ms
    }
}

pub(crate) struct Medians {
    /// One command at a time.
    pub(crate) alone: Pair,
    /// 16 at a time.
    pub(crate) together: Pair,
}

pub(crate) async fn measure(bench: &Bench) -> Result<Medians> {
    let account = bench.account("round-trip").await?;
    Upserts::new(bench, &account).send(|records| records >= 100).await?;
    let nats = log_in(bench, &account).await?;
    let mut connections = Vec::new();
    for _ in 0..IN_FLIGHT {
        connections.push(Connection::open(bench.target.address).await.context("connecting to the service")?);
    }
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let mut value = 0;
    // The first round warms up.
    for round in 0..=bench.rounds {
        for (in_flight, pairs) in [(1, &mut alone), (IN_FLIGHT, &mut together)] {
            let each = COMMANDS / in_flight;
            let used = connections.iter_mut().take(in_flight).enumerate();
            let by_http =
                used.map(|(record, connection)| http(&bench.target, &account, connection, record, value, each));
            let http_ms = p50(try_join_all(by_http).await?)?;
            value += COMMANDS;
            let by_nats = (0..in_flight).map(|record| over_nats(&nats, &account, record, value, each));
            let nats_ms = p50(try_join_all(by_nats).await?)?;
            value += COMMANDS;
            if round > 0 {
                pairs.push(Pair { nats_ms, http_ms });
            }
        }
    }
    let medians = |label: &str, pairs: &[Pair]| {
        let (nats, http) = (pairs.iter().map(|pair| pair.nats_ms), pairs.iter().map(|pair| pair.http_ms));
        say(&format!(
            "round trips, {label}: {:.3?} ms by NATS, {:.3?} ms by HTTP",
            nats.clone().collect::<Vec<_>>(),
            http.clone().collect::<Vec<_>>()
        ));
        let (nats_ms, http_ms) = median(nats).zip(median(http)).context("a measurement")?;
        anyhow::Ok(Pair { nats_ms, http_ms })
    };
    Ok(Medians { alone: medians("one at a time", &alone)?, together: medians("16 in flight", &together)? })
}

/// A connection to NATS with the account's key.
async fn log_in(bench: &Bench, account: &Account) -> Result<async_nats::Client> {
    let mut url = Url::parse(&bench.service.urls.nats).context("reading the URL of NATS")?;
    // Without the service's own credentials.
    let is_bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
    ensure!(is_bare, "the URL of NATS has no host");
    let Account { public_id, secret_key } = account;
    let options = async_nats::ConnectOptions::with_token(format!("{public_id}:{secret_key}"));
    let options = options.custom_inbox_prefix(format!("_INBOX_{public_id}"));
    options.connect(url.as_str()).await.context("logging in to NATS with a key")
}

fn p50(measured: Vec<Latencies>) -> Result<f64> {
    let mut all = Latencies::default();
    for mut latencies in measured {
        all.merge(&mut latencies);
    }
    all.at(&[0.5]).pop().flatten().context("a latency")
}

/// A change of a record of its own: each has another value.
fn update(record: usize, value: usize) -> Value {
    json!({"op": "update", "entity": "contact", "ref": {"id": record.to_string()}, "op_id": format!("{record}.{value}"),
        "set": {"phone": format!("+3120{value:08}")}})
}

async fn http(
    target: &Target,
    account: &Account,
    connection: &mut Connection,
    record: usize,
    from: usize,
    count: usize,
) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    for value in from..from + count {
        let body = json!({"ops": [update(record, value)]}).to_string();
        let request = target.request("POST", "/sync/batch", account, &body);
        let began = Instant::now();
        let response = connection.exchange(&request).await.context("sending a command by HTTP")?;
        let is_done = response.body.starts_with(b"{\"success\":true,\"message\":\"1 of 1 ");
        ensure!(is_done, "a command was answered with {}", String::from_utf8_lossy(response.body));
        latencies.add(i64::try_from(began.elapsed().as_micros())?);
    }
    Ok(latencies)
}

async fn over_nats(
    client: &async_nats::Client,
    account: &Account,
    record: usize,
    from: usize,
    count: usize,
) -> Result<Latencies> {
    let subject = format!("crm.v1.{}.cmd.contact.update", account.public_id);
    let mut latencies = Latencies::default();
    for value in from..from + count {
        let body = update(record, value).to_string();
        let began = Instant::now();
        let reply = client.request(subject.clone(), body.into()).await.context("sending a command by NATS")?;
        latencies.add(i64::try_from(began.elapsed().as_micros())?);
        let reply: Value = serde_json::from_slice(&reply.payload).context("reading a reply")?;
        ensure!(reply.get("status").and_then(Value::as_u64) == Some(200), "a command was answered with {reply}");
    }
    Ok(latencies)
}
