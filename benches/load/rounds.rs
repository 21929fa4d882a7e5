//! Alternates pgbench and the service, so that both run under the same conditions; the median of each counts.

use std::time::Duration;

use anyhow::Result;

use crate::Bench;
use crate::figures::say;
use crate::generator::{self, Load};
use crate::machine::{self, CpuMicros, MachineTicks};
use crate::pgbench::{CLIENTS, Pgbench};
use crate::tally::median;
use crate::{args::Part, jetstream};

/// The timeout for the work that one load leaves behind.
const SETTLE: Duration = Duration::from_secs(15);
/// Other processes that use this many cores are reported.
const NOISE: f64 = 0.2;

/// The results of each kind of load, round by round.
#[derive(Default)]
struct Rounds {
    pgbench: Vec<f64>,
    many_accounts: Vec<Maximum>,
    one_account: Vec<Maximum>,
    many_connections: Vec<Maximum>,
}

/// The result of a load that was as fast as it could be.
struct Maximum {
    /// Creates per second.
    rate: f64,
    /// CPU time per create from its start until the machine was quiet again, so with the work after the responses.
    cpu: Option<CpuMicros>,
    /// The idle share of the machine during the load.
    idle_share: Option<f64>,
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
    let mut rounds = Rounds::default();
    let mut measured = Ok(());
    for number in 1..=bench.args.rounds() {
        measured = round(bench, &pgbench, &mut rounds, number).await;
        if measured.is_err() {
            break;
        }
    }
    pgbench.finish().await?;
    measured?;

    let rate = |loads: &[Maximum]| median(loads.iter().map(|load| load.rate));
    let figures = &mut bench.figures;
    figures.pgbench = median(rounds.pgbench);
    figures.creates_100 = rate(&rounds.many_accounts);
    figures.creates_1 = rate(&rounds.one_account);
    figures.creates_256 = rate(&rounds.many_connections);
    figures.cpu_of_create = CpuMicros::medians(rounds.many_accounts.iter().filter_map(|load| load.cpu));
    figures.idle_share_256 = median(rounds.many_connections.iter().filter_map(|load| load.idle_share));
    Ok(())
}

async fn round(bench: &Bench, pgbench: &Pgbench, rounds: &mut Rounds, number: usize) -> Result<()> {
    let all = bench.many_accounts();
    let one = bench.one_account();
    settle(bench).await;
    let limit = pgbench.per_second(bench.args.length()).await?;
    say(&format!("round {number}: pgbench, {CLIENTS} clients: {limit:.0}/s"));
    rounds.pgbench.push(limit);
    rounds.many_accounts.push(maximum(bench, 64, all.clone(), limit).await?);
    rounds.one_account.push(maximum(bench, 64, one, limit).await?);
    rounds.many_connections.push(maximum(bench, 256, all, limit).await?);
    Ok(())
}

/// Creates as fast as this many connections can.
async fn maximum(bench: &Bench, connections: usize, accounts: std::ops::Range<usize>, limit: f64) -> Result<Maximum> {
    settle(bench).await;
    let spread = accounts.len();
    let load = Load { warm_up: bench.args.warm_up(), ..Load::new(connections, accounts, bench.args.length()) };
    let (cpu_before, ticks_before) = (bench.cpu(), MachineTicks::read());
    let mut tally = generator::run(&bench.generator, &load).await?;
    let idle_share = ticks_before.zip(MachineTicks::read()).map(|(before, now)| now.idle_share(&before));
    settle(bench).await;
    let cpu = cpu_before.zip(bench.cpu()).map(|(before, now)| now.micros_per(&before, tally.created()));
    let rate = tally.per_second();
    let shares = tally.latencies.at(&[0.5, 0.99]);
    let [p50, p99] = [0, 1].map(|at| shares.get(at).copied().flatten().unwrap_or_default());
    say(&format!(
        "         service, connections {connections}, accounts {spread}: {rate:.0}/s ({:.2}), p50 {p50:.1} ms, \
         p99 {p99:.1} ms{tally}; {}, idle {:.0} %",
        rate / limit,
        cpu.map_or_else(|| "CPU unknown".to_owned(), |cpu| cpu.to_string()),
        idle_share.unwrap_or_default() * 100.0
    ));
    Ok(Maximum { rate, cpu, idle_share })
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
