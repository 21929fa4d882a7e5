//! Whether a create costs more when the log is long: at ten thousand events and at a million, over ten thousand
//! accounts; and the memory of the idle service afterwards.
//!
//! The cost is CPU time of the service and of Postgres from the first create of a load until the machine is quiet
//! again, divided by the number of creates. It therefore contains the work after the responses (relay, vacuum).

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::args::Part;
use crate::figures::{Growth, say};
use crate::generator::{self, Load};
use crate::rounds::settle;
use crate::tally::median;
use crate::{Bench, database, machine};

/// Growth uses the accounts after those of the other parts.
pub(crate) const ACCOUNTS: usize = 10_000;
const SMALL: u64 = 10_000;
const LARGE: u64 = 1_000_000;
const CONNECTIONS: usize = 64;
/// The timeout for the growth of the log.
const TIMEOUT: Duration = Duration::from_mins(6);
/// One measurement is the median of this many loads.
const LOADS: usize = 3;
const LENGTH: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(15);

/// CPU time per create in microseconds, if known, and creates per second.
struct Cost {
    cpu_micros: Option<f64>,
    rate: f64,
}

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    if !bench.args.runs(Part::Growth) {
        return Ok(());
    }
    let events_small = grow(bench, SMALL).await?;
    let small = cost(bench).await?;
    let events_large = grow(bench, LARGE).await?;
    let large = cost(bench).await?;
    sleep(IDLE).await;
    bench.figures.rss_mb = bench.service.pid.and_then(machine::resident_mb);
    bench.figures.rss_at = "at 1 M events, 10 k accounts, idle for 15 s";
    if events_large < LARGE {
        bench.figures.rss_at = "idle for 15 s, with the events that were reached";
    }
    bench.figures.growth = Some(Growth {
        cpu_micros_small: small.cpu_micros,
        cpu_micros_large: large.cpu_micros,
        rate_small: small.rate,
        rate_large: large.rate,
        events_small,
        events_large,
    });
    Ok(())
}

/// Creates until the log has this many events, or the time is over. Returns the number of events.
async fn grow(bench: &Bench, until: u64) -> Result<u64> {
    let url = &bench.service.urls.database;
    let missing = until.saturating_sub(database::events(url).await?);
    let load = Load { max_requests: missing, ..Load::new(CONNECTIONS, bench.growth_accounts(), TIMEOUT) };
    let tally = generator::run(&bench.generator, &load).await?;
    let events = database::events(url).await?;
    say(&format!("the log has {events} events after {:.0} s{tally}", tally.length.as_secs_f64()));
    settle(bench).await;
    Ok(events)
}

async fn cost(bench: &Bench) -> Result<Cost> {
    let cpu = || bench.cpu().map(|cpu| cpu.service + cpu.postgres);
    let load = Load::new(CONNECTIONS, bench.growth_accounts(), LENGTH);
    let (mut costs, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..LOADS {
        let before = cpu();
        let tally = generator::run(&bench.generator, &load).await?;
        settle(bench).await;
        rates.push(tally.per_second());
        let spent = before.zip(cpu()).map(|(before, after)| after - before);
        costs.extend(spent.map(|seconds| seconds * 1e6 / tally.created().max(1) as f64));
    }
    let cost = Cost { cpu_micros: median(costs), rate: median(rates).unwrap_or_default() };
    let cpu = cost.cpu_micros.map_or_else(|| "unknown".to_owned(), |micros| format!("{micros:.0} µs"));
    say(&format!("         cost of a create: {cpu} CPU of service and Postgres; {:.0} creates/s", cost.rate));
    Ok(cost)
}
