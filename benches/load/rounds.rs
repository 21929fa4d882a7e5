//! Alternates pgbench and the service, so that both run under the same conditions; the median of each counts.

use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::figures::say;
use crate::generator::{self, Load};
use crate::machine;
use crate::pgbench::{CLIENTS, Pgbench};
use crate::tally::median;
use crate::{args::Part, jetstream};

/// The timeout for the work that one load leaves behind.
const SETTLE: Duration = Duration::from_secs(15);
/// Other processes that use this many cores are reported.
const NOISE: f64 = 0.2;

/// The rates of each kind of load, round by round.
#[derive(Default)]
struct Rates {
    pgbench: Vec<f64>,
    many_accounts: Vec<f64>,
    one_account: Vec<f64>,
    many_connections: Vec<f64>,
}

pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    if !bench.args.runs(Part::Rounds) {
        return Ok(());
    }
    let urls = &bench.service.urls;
    let published = jetstream::publishes_per_second(&urls.nats, Duration::from_secs(3)).await?;
    say(&format!("bare JetStream, 1,000 bytes, 256 in flight: {published:.0} messages/s"));
    bench.figures.jetstream = Some(published);

    let pgbench = Pgbench::new(&urls.database).await?;
    let mut rates = Rates::default();
    let mut measured = Ok(());
    for number in 1..=bench.args.rounds() {
        measured = round(bench, &pgbench, &mut rates, number).await;
        if measured.is_err() {
            break;
        }
    }
    pgbench.finish().await?;
    measured?;

    bench.figures.pgbench = median(rates.pgbench);
    bench.figures.creates_100 = median(rates.many_accounts);
    bench.figures.creates_1 = median(rates.one_account);
    bench.figures.creates_256 = median(rates.many_connections);
    Ok(())
}

async fn round(bench: &Bench, pgbench: &Pgbench, rates: &mut Rates, number: usize) -> Result<()> {
    let all = bench.many_accounts();
    let one = bench.one_account();
    settle(bench).await;
    let limit = pgbench.per_second(bench.args.length()).await?;
    say(&format!("round {number}: pgbench, {CLIENTS} clients: {limit:.0}/s"));
    rates.pgbench.push(limit);
    rates.many_accounts.push(maximum(bench, 64, all.clone(), limit).await?);
    rates.one_account.push(maximum(bench, 64, one, limit).await?);
    rates.many_connections.push(maximum(bench, 256, all, limit).await?);
    Ok(())
}

/// The maximum of creates per second with this many connections.
async fn maximum(bench: &Bench, connections: usize, accounts: std::ops::Range<usize>, limit: f64) -> Result<f64> {
    settle(bench).await;
    let spread = accounts.len();
    let load = Load { warm_up: bench.args.warm_up(), ..Load::new(connections, accounts, bench.args.length()) };
    let mut tally = generator::run(&bench.generator, &load).await?;
    let rate = tally.per_second();
    let shares = tally.latencies.at(&[0.5, 0.99]);
    let [p50, p99] = [0, 1].map(|at| shares.get(at).copied().flatten().unwrap_or_default());
    say(&format!(
        "         service, connections {connections}, accounts {spread}: {rate:.0}/s ({:.2}), p50 {p50:.1} ms, \
         p99 {p99:.1} ms{tally}",
        rate / limit
    ));
    Ok(rate)
}

/// Waits until the service, its Postgres and its NATS are quiet, and reports other load on the machine.
pub(crate) async fn settle(bench: &Bench) {
    let Some(seen) = machine::settle(bench.service.pid, SETTLE).await else { return };
    if !seen.quiet {
        say(&format!("         (not quiet within {} s)", SETTLE.as_secs()));
    }
    if seen.others > NOISE {
        say(&format!("         (other processes use {:.1} cores)", seen.others));
    }
}
