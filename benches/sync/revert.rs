//! Undoing what one origin wrote: 10,000 records, in one call or more.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::Bench;
use crate::accounts::Account;
use crate::batch::{self, OPERATIONS, Upserts};
use crate::connection::Connection;
use crate::table::say;
use crate::tally::median;

const RECORDS: u64 = 10_000;
const MAX_ROUNDS: usize = 3;

/// The seconds until all is undone.
pub(crate) async fn measure(bench: &Bench) -> Result<Option<f64>> {
    let account = bench.account("revert").await?;
    Upserts::new(bench, &account).send(|records| records >= RECORDS).await?;
    let mut connection = Connection::open(bench.target.address).await.context("connecting to the service")?;
    let mut seconds = Vec::new();
    for round in 0..bench.rounds.min(MAX_ROUNDS) {
        let (before, origin) = newest(bench, &account, &mut connection).await?;
        for first in (0..RECORDS).step_by(usize::try_from(OPERATIONS)?) {
            let op = |number: u64| {
                json!({"op": "update", "entity": "contact", "ref": {"id": number.to_string()},
                "set": {"phone": format!("+3120{round:03}{number:05}")}})
            };
            let ops: Vec<Value> = (first..first + OPERATIONS).map(op).collect();
            let body = json!({"ops": ops}).to_string();
            batch::call(&mut connection, &bench.target.request("POST", "/sync/batch", &account, &body)).await?;
        }
        let body = json!({"origin": origin, "from": before}).to_string();
        let request = bench.target.request("POST", "/sync/revert", &account, &body);
        let (began, mut calls, mut updated) = (Instant::now(), 0, 0);
        loop {
            calls += 1;
            let response = exchange(&mut connection, &request).await?;
            updated += response.pointer("/data/updated").and_then(Value::as_u64).unwrap_or_default();
            if response.pointer("/data/complete") == Some(&Value::Bool(true)) {
                break;
            }
        }
        seconds.push(began.elapsed().as_secs_f64());
        ensure!(updated == RECORDS, "{updated} records were reverted in {calls} calls");
    }
    say(&format!("revert: {seconds:.2?} s"));
    Ok(median(seconds))
}

/// The position of the log's newest event, and the origin of its first.
async fn newest(bench: &Bench, account: &Account, connection: &mut Connection) -> Result<(u64, String)> {
    let get = |path: &str| bench.target.request("GET", path, account, "");
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let list = exchange(connection, &get("/contacts?limit=1")).await?;
    let as_of = text(&list, "/meta/as_of").context("a list has as_of")?;
    let past = exchange(connection, &get(&format!("/contacts?limit=1&at={as_of}"))).await?;
    let before = past.pointer("/meta/at").and_then(Value::as_u64).context("a past list has at")?;
    let first = exchange(connection, &get("/changes?limit=1")).await?;
    Ok((before, text(&first, "/data/0/origin").context("an event has an origin")?))
}

async fn exchange(connection: &mut Connection, request: &[u8]) -> Result<Value> {
    let response = connection.exchange(request).await.context("sending a request")?;
    let text = || String::from_utf8_lossy(response.body).into_owned();
    ensure!(response.status == 200, "a request was answered with {}: {}", response.status, text());
    serde_json::from_slice(response.body).with_context(text)
}
