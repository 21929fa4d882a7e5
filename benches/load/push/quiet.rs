//! The cost of webhooks at a low rate: what a small installation pays for each event.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::time::sleep;

use super::meter::Meter;
use super::sink::{Mode, Sink};
use super::{PushBench, endpoints, settle};
use crate::figures::say;
use crate::generator::Load;

const LENGTH: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const RATE: f64 = 50.0;

/// 50 creates a second to one account, without an endpoint and with one, after the same time without any load.
pub(super) async fn at_50(bench: &mut PushBench) -> Result<()> {
    let account = bench.account().await?;
    settle().await;
    let before = Meter::read(&bench.stack).await?;
    sleep(LENGTH).await;
    let idle = Meter::read(&bench.stack).await?.since_reading(&before);

    let before = Meter::read(&bench.stack).await?;
    let load = || Load::new(4, 0..1, LENGTH);
    let written = bench.create(&account, Some(RATE), load()).await?;
    let writes = Meter::read(&bench.stack).await?.since_reading(&before);

    let sink = Sink::start(1, Mode::Accept).await?;
    let made = endpoints::make(&bench.target, &account, &sink, 0, json!({})).await?;
    settle().await;
    let before = Meter::read(&bench.stack).await?;
    let created = bench.create(&account, Some(RATE), load()).await?;
    sink.wait(IDLE_TIMEOUT, |book| book.arrived() as u64 >= created).await;
    let with = Meter::read(&bench.stack).await?.since_reading(&before);
    endpoints::delete(&bench.target, &account, &made).await?;

    let seconds = LENGTH.as_secs_f64();
    say(&format!(
        "idle: {:.1} ms CPU of the service a second, {:.1} ms of Postgres, {:.1} ms of NATS, {:.1} statements",
        idle.service_cpu / seconds * 1e3,
        idle.postgres_cpu / seconds * 1e3,
        idle.nats_cpu / seconds * 1e3,
        idle.statements / seconds
    ));
    say(&format!("50 writes/s: {}", writes.per(written)));
    say(&format!("50 writes/s and an endpoint: {}", with.per(created)));
    let per = |with: f64, without: f64| with / created as f64 - without / written as f64;
    let beside = with.beside_writes / created as f64;
    bench.figures.statements_beside_write_50 = Some(beside);
    bench.figures.cpu_us_event_50 = Some((with.service_cpu - idle.service_cpu) / created as f64 * 1e6);
    say(&format!(
        "         {beside:.3} statements beside the write; the endpoint: {:.3} statements, {:.0} µs CPU of the service, {:.0} µs of Postgres",
        per(with.statements, writes.statements),
        per(with.service_cpu, writes.service_cpu) * 1e6,
        per(with.postgres_cpu, writes.postgres_cpu) * 1e6,
    ));
    Ok(())
}
