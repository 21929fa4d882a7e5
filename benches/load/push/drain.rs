//! A backlog, delivered as fast as possible.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::meter::Meter;
use super::sink::{Mode, Sample, Sink};
use super::{PushBench, bare, endpoints, settle};
use crate::accounts::Account;
use crate::figures::say;

/// The number of events for one endpoint, for ten, and for receivers that answer after 50 ms.
const ONE: u64 = 50_000;
const TEN: u64 = 20_000;
const LATE: u64 = 3_000;
const LATENCY: Duration = Duration::from_millis(50);

/// Missing events count as lost when nothing has arrived for this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn measure(bench: &mut PushBench) -> Result<()> {
    let (one, ten, late) = (bench.filled(ONE).await?, bench.filled(TEN).await?, bench.filled(LATE).await?);
    let single = json!({"from": "start"});
    let drained = drain(bench, "1 endpoint, receiver at 0 ms", &one, ONE, 1, Mode::Accept, &single).await?;
    bench.figures.per_s_1 = drained.per_second;
    bench.figures.share_of_bare = drained.share_of_bare(ONE).await?;
    let drained = drain(bench, "10 endpoints, receiver at 0 ms", &ten, TEN, 10, Mode::Accept, &single).await?;
    (bench.figures.per_s_10, bench.figures.connections_10) = (drained.per_second, Some(drained.connections as f64));
    let late_mode = Mode::Late(LATENCY);
    drain(bench, "1 endpoint, receiver at 50 ms", &late, LATE, 1, late_mode, &single).await?;
    drain(bench, "10 endpoints, receiver at 50 ms", &late, LATE, 10, late_mode, &single).await?;
    let batch = json!({"from": "start", "mode": "batch"});
    let drained = drain(bench, "batches, 1 endpoint", &one, ONE, 1, Mode::Accept, &batch).await?;
    bench.figures.batch_per_s = drained.per_second;
    Ok(())
}

/// The result of a backlog.
struct Drained {
    /// First arrivals per second; `None` where events are missing.
    per_second: Option<f64>,
    /// The CPU seconds of the service for one delivery.
    service_cpu: f64,
    /// Connections that were opened.
    connections: u64,
    sample: Option<Sample>,
}

impl Drained {
    /// Deliveries per CPU second of the service, divided by the posts per CPU second of a bare hyper client.
    async fn share_of_bare(self, posts: u64) -> Result<Option<f64>> {
        let Some(sample) = self.sample.filter(|_| self.service_cpu > 0.0) else { return Ok(None) };
        settle().await;
        let bare = bare::cpu_per_post(sample, posts).await?;
        say(&format!(
            "         a bare hyper client that posts the same bytes: {:.1} µs CPU of a post, {:.2} of a delivery's",
            bare * 1e6,
            bare / self.service_cpu
        ));
        Ok(Some(bare / self.service_cpu))
    }
}

async fn drain(
    bench: &mut PushBench,
    label: &str,
    account: &Account,
    events: u64,
    count: usize,
    mode: Mode,
    settings: &Value,
) -> Result<Drained> {
    settle().await;
    let sink = Sink::start(count, mode).await?;
    let before = Meter::read(&bench.stack).await?;
    let (mut made, made_at) = (Vec::new(), Instant::now());
    for number in 0..count {
        made.push(endpoints::make(&bench.target, account, &sink, number, settings.clone()).await?);
    }
    let all = events as usize * count;
    sink.wait(IDLE_TIMEOUT, |book| book.arrived() >= all).await;
    let took = made_at.elapsed().as_secs_f64();
    let after = Meter::read(&bench.stack).await?;
    let per_second = bench.figures.settle(&sink.book(), &vec![events; count]);
    say(&format!(
        "{label}: {:.0} delivered/s, {all} in {took:.2} s after its creation, {} connections; {}",
        per_second.unwrap_or_default(),
        sink.connections(),
        after.since(&before, all)
    ));
    for id in made {
        endpoints::delete(&bench.target, account, &id).await?;
    }
    Ok(Drained {
        per_second,
        service_cpu: after.since_reading(&before).service_cpu / all as f64,
        connections: sink.connections(),
        sample: sink.sample(),
    })
}
