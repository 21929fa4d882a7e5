//! Reading the feed from its beginning, page by page, on one connection.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

use crate::Bench;
use crate::accounts::Account;
use crate::batch::Upserts;
use crate::connection::Connection;
use crate::table::say;
use crate::tally::median;

/// The log is at least this long.
const EVENTS: u64 = 100_000;
const ACCEPT_PROTOBUF: &str = "\r\naccept: application/x-protobuf\r\ncontent-length: 0\r\n";

/// Events per second.
pub(crate) struct Rates {
    pub(crate) json: f64,
    pub(crate) protobuf: f64,
}

pub(crate) async fn measure(bench: &Bench, account: &Account) -> Result<Rates> {
    let mut feed = Feed { bench, account, connection: Connection::open(bench.target.address).await? };
    let known = feed.pages().await?.0;
    if known < EVENTS {
        let missing = EVENTS - known;
        // With numbers that the account does not have.
        let upserts = Upserts::new(bench, account).after(2 * EVENTS);
        upserts.send(move |records| records >= missing).await?;
    }
    let (mut json, mut protobuf) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let (events, cursors, time) = feed.pages().await?;
        ensure!(events >= EVENTS, "the log has {events} events");
        json.push(events as f64 / time.as_secs_f64());
        // The same pages: this form has its cursor in a header.
        let began = Instant::now();
        for cursor in &cursors {
            feed.page(cursor, true).await?;
        }
        protobuf.push(events as f64 / began.elapsed().as_secs_f64());
    }
    say(&format!("feed: {json:.0?} events/s as JSON, {protobuf:.0?} as protobuf"));
    let (json, protobuf) = median(json).zip(median(protobuf)).context("a measurement")?;
    Ok(Rates { json, protobuf })
}

struct Feed<'a> {
    bench: &'a Bench,
    account: &'a Account,
    connection: Connection,
}

impl Feed<'_> {
    /// Reads all pages as JSON. Returns the number of events, the cursor before each page, and the time.
    async fn pages(&mut self) -> Result<(u64, Vec<String>, Duration)> {
        let (began, mut cursors) = (Instant::now(), vec![String::new()]);
        loop {
            let after = cursors.last().cloned().unwrap_or_default();
            let body = self.page(&after, false).await?;
            let start = body.windows(META.len()).rposition(|window| window == META).context("a page has no meta")?;
            let meta = body.get(start + META.len()..body.len() - 1).unwrap_or_default();
            let meta: Value = serde_json::from_slice(meta).context("reading the meta of a page")?;
            let events = meta.get("through_seq").and_then(Value::as_u64).context("a page has no through_seq")?;
            if meta.get("has_more") != Some(&Value::Bool(true)) {
                return Ok((events, cursors, began.elapsed()));
            }
            cursors.push(meta.get("cursor").and_then(Value::as_str).context("a page has no cursor")?.to_owned());
        }
    }

    async fn page(&mut self, after: &str, is_protobuf: bool) -> Result<&[u8]> {
        let after = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let request = self.bench.target.request("GET", &format!("/changes?limit=500{after}"), self.account, "");
        let mut request = String::from_utf8(request).context("a request is text")?;
        if is_protobuf {
            request = request.replacen("\r\ncontent-length: 0\r\n", ACCEPT_PROTOBUF, 1);
        }
        let response = self.connection.exchange(request.as_bytes()).await.context("reading a page")?;
        ensure!(response.status == 200, "a page was answered with {}", response.status);
        Ok(response.body)
    }
}

const META: &[u8] = b"\"meta\":";
