//! Deliveries while events are written: latency, an outage of the receiver, an attack by another account's receiver.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::meter::Meter;
use super::sink::{Mode, Sink};
use super::writer::Writer;
use super::{PushBench, endpoints, latency, settle};
use crate::accounts::Account;
use crate::arrivals::wall_clock_micros;
use crate::database;
use crate::figures::say;
use crate::generator::Load;
use crate::machine;

const LIVE: Duration = Duration::from_secs(10);
const OUTAGE: Duration = Duration::from_secs(20);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of events of an attacked endpoint.
const ATTACKED: u64 = 620;

/// Latency from commit to arrival at 300 events a second, and the number of statements.
pub(super) async fn at_300(bench: &mut PushBench) -> Result<()> {
    let (account, sink) = (bench.account().await?, Sink::start(1, Mode::Accept).await?);
    let made = endpoints::make(&bench.target, &account, &sink, 0, json!({})).await?;
    settle().await;
    let before = Meter::read(&bench.stack).await?;
    let created = bench.create(&account, Some(300.0), Load::new(16, 0..1, LIVE)).await?;
    sink.wait(IDLE_TIMEOUT, |book| book.arrived() as u64 >= created).await;
    let after = Meter::read(&bench.stack).await?;
    let (p99, words) = latency(&mut sink.book().latencies());
    let arrived = sink.book().arrived();
    bench.figures.settle(&sink.book(), &[created]);
    bench.figures.p99_ms_300 = p99;
    bench.figures.statements_per_event = after.push_statements_since(&before, arrived);
    say(&format!("300 events/s, 1 endpoint: commit → received {words}; {}", after.since(&before, arrived)));
    endpoints::delete(&bench.target, &account, &made).await
}

/// Stops listening for 20 s while 100 events a second are written. Measures the time until all of them have arrived.
pub(super) async fn outage(bench: &mut PushBench) -> Result<()> {
    let (account, sink) = (bench.account().await?, Sink::start(1, Mode::Accept).await?);
    let made = endpoints::make(&bench.target, &account, &sink, 0, json!({})).await?;
    let writer = Writer::new(vec![bench.target.clone()], account.clone(), format!("{:x}", wall_clock_micros()));
    settle().await;
    let until = Instant::now() + Duration::from_secs(5) + OUTAGE + Duration::from_secs(8);
    let writing = tokio::spawn(writer.run(100.0, until));
    sleep(Duration::from_secs(5)).await;
    sink.behave(Mode::Down);
    sleep(OUTAGE).await;
    sink.behave(Mode::Accept);
    let back = wall_clock_micros();
    let written = writing.await.context("a writer's task ended in a panic")?;
    let head = head(bench, &account.public_id).await?;
    sink.wait(IDLE_TIMEOUT, |book| book.arrived() as u64 >= head).await;
    caught_up(bench, &sink, back, head);
    let Writer { answered, unanswered, .. } = written;
    say(&format!("         {answered} writes answered, {unanswered} not"));
    endpoints::delete(&bench.target, &account, &made).await
}

/// The time from the return until the last event arrived that was written before the return.
fn caught_up(bench: &mut PushBench, sink: &Sink, back: i64, head: u64) {
    let book = sink.book();
    let behind = book.arrivals().iter().filter(|one| one.decided < back && one.at > back);
    let last = behind.clone().map(|one| one.at).max();
    bench.figures.catch_up_s = last.map(|last| (last - back) as f64 / 1e6);
    say(&format!(
        "outage of 20 s at 100 events/s: {} events caught up {:.2} s after the receiver's return",
        behind.count(),
        bench.figures.catch_up_s.unwrap_or_default(),
    ));
    bench.figures.settle(&book, &[head]);
}

/// The latency of another account's deliveries while one endpoint hangs, drips or floods, and the service's memory.
pub(super) async fn attacked(bench: &mut PushBench) -> Result<()> {
    let pid = bench.stack.replicas.first().and_then(super::stack::Replica::pid).context("no replica runs")?;
    let (account, sink) = (bench.account().await?, Sink::start(1, Mode::Accept).await?);
    let made = endpoints::make(&bench.target, &account, &sink, 0, json!({})).await?;
    let mut head = 0;
    for mode in [Mode::Hang, Mode::Drip, Mode::Flood] {
        let (victim, attacker) = (bench.filled(ATTACKED).await?, Sink::start(1, mode).await?);
        settle().await;
        let before = machine::resident_mb(pid).unwrap_or_default();
        let from = sink.book().arrived();
        let attacked = endpoints::make(&bench.target, &victim, &attacker, 0, json!({"from": "start"})).await?;
        let (created, peak) = watched(bench, &account, pid).await?;
        head += created;
        sink.wait(IDLE_TIMEOUT, |book| book.arrived() as u64 >= head).await;
        let mut latencies = crate::tally::Latencies::default();
        sink.book().arrivals().iter().skip(from).for_each(|one| latencies.add(one.at - one.decided));
        let (p99, words) = latency(&mut latencies);
        say(&format!(
            "another account at 100 events/s while a receiver in mode {mode:?} has {ATTACKED} events: {words}; memory {before:.0} → {peak:.0} MB"
        ));
        let figures = &mut bench.figures;
        figures.attacked_p99_ms = worse(p99, figures.attacked_p99_ms);
        figures.attacked_rss_mb = worse(Some(peak - before), figures.attacked_rss_mb);
        endpoints::delete(&bench.target, &victim, &attacked).await?;
    }
    bench.figures.settle(&sink.book(), &[head]);
    endpoints::delete(&bench.target, &account, &made).await
}

/// Creates 100 contacts a second. Returns their number, and the service's peak memory meanwhile, in MB.
async fn watched(bench: &PushBench, account: &Account, pid: u32) -> Result<(u64, f64)> {
    let mut load = std::pin::pin!(bench.create(account, Some(100.0), Load::new(8, 0..1, LIVE)));
    let mut peak = 0.0;
    loop {
        tokio::select! {
            created = &mut load => return Ok((created?, peak)),
            () = sleep(Duration::from_millis(100)) => peak = machine::resident_mb(pid).unwrap_or_default().max(peak),
        }
    }
}

/// The number of events in an account's log.
async fn head(bench: &PushBench, public_id: &str) -> Result<u64> {
    let client = database::connect(&bench.stack.database_url()).await?;
    let row = client.query_one("select seq from head where account_id = $1::text::uuid", &[&public_id]).await?;
    Ok(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default())
}

/// The larger of the measured values.
fn worse(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}
