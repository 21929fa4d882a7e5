//! `kill -9` of the service while 500 events wait, each for its own retry.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::sink::{Mode, Sink};
use super::{PushBench, endpoints};
use crate::database;
use crate::figures::say;

/// Every fifth of these events fails.
const EVENTS: u64 = 2_500;
const WAITING: i64 = 500;
/// The first retry is due after 5 s.
const SOON: Duration = Duration::from_secs(4);
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

pub(super) async fn measure(bench: &mut PushBench) -> Result<()> {
    let (account, sink) = (bench.filled(EVENTS).await?, Sink::start(1, Mode::FailFifths).await?);
    let client = database::connect(&bench.stack.database_url()).await?;
    let made = endpoints::make(&bench.target, &account, &sink, 0, json!({"from": "start"})).await?;
    let until = Instant::now() + SOON;
    let waiting = loop {
        let row = client
            .query_one("select count(*) from push_retry where account_id = $1::text::uuid", &[&account.public_id])
            .await?;
        let waiting: i64 = row.try_get(0)?;
        if waiting >= WAITING || Instant::now() > until {
            break waiting;
        }
        sleep(Duration::from_millis(5)).await;
    };
    let replica = bench.stack.replicas.first_mut().context("there is no replica")?;
    replica.kill().await?;
    sink.behave(Mode::Accept);
    let before = sink.book().duplicates;
    let killed = Instant::now();
    replica.restart().await?;
    ensure!(waiting > 0, "no retry was waiting");
    sink.wait(IDLE_TIMEOUT, |book| book.arrived() as u64 >= EVENTS).await;
    report(bench, &sink, before, waiting, killed.elapsed());
    endpoints::delete(&bench.target, &account, &made).await
}

fn report(bench: &mut PushBench, sink: &Sink, duplicates_before: u64, waiting: i64, took: Duration) {
    let book = sink.book();
    say(&format!(
        "kill -9 with {waiting} retries waiting: {} lost, {} duplicates, all delivered {:.1} s later",
        book.missing(0, EVENTS),
        book.duplicates - duplicates_before,
        took.as_secs_f64()
    ));
    bench.figures.settle(&book, &[EVENTS]);
}
