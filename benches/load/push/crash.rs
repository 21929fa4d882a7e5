//! `kill -9` of the service while 500 events wait, each for its own retry. It returns when all of them are overdue, so that
//! the time until they arrive is the time that the return takes.

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
    ensure!(waiting > 0, "no retry was waiting");
    let replica = bench.stack.replicas.first_mut().context("there is no replica")?;
    replica.kill().await?;
    sink.behave(Mode::Accept);
    let before = sink.book().duplicates;
    overdue(&client, &account.public_id).await?;
    let started = Instant::now();
    replica.restart().await?;
    let start = started.elapsed();
    let serving = Instant::now();
    sink.wait(IDLE_TIMEOUT, |book| book.arrived() as u64 >= EVENTS).await;
    report(bench, &sink, before, waiting, (start, serving.elapsed()));
    endpoints::delete(&bench.target, &account, &made).await
}

/// Waits until the time of every retry has come.
async fn overdue(client: &tokio_postgres::Client, account: &str) -> Result<()> {
    let until = Instant::now() + IDLE_TIMEOUT;
    let left = "select count(*) from push_retry where account_id = $1::text::uuid and next_at > clock_timestamp()";
    loop {
        let left: i64 = client.query_one(left, &[&account]).await?.try_get(0)?;
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{left} retries are not due after {IDLE_TIMEOUT:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn report(bench: &mut PushBench, sink: &Sink, duplicates: u64, waiting: i64, (start, took): (Duration, Duration)) {
    let book = sink.book();
    say(&format!(
        "kill -9 with {waiting} retries waiting: {} lost, {} duplicates; started in {:.2} s, all overdue retries \
         delivered {:.2} s later",
        book.missing(0, EVENTS),
        book.duplicates - duplicates,
        start.as_secs_f64(),
        took.as_secs_f64()
    ));
    bench.figures.overdue_retries_s = (book.missing(0, EVENTS) == 0).then_some(took.as_secs_f64());
    bench.figures.settle(&book, &[EVENTS]);
}
