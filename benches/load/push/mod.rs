//! `make load-push`: deliveries by webhook. The receiver shares the machine's cores.
//!
//! Rates are those of a backlog: the events are in the log before the endpoint is created, so that only delivery is
//! measured, from the first arrival to the last. Latencies are from an event's decision, just before its commit, to its
//! first arrival. Statements, WAL and fsyncs of the backlog are those of the whole database meanwhile; those of the
//! live load are the statements that only push executes, by their names. The last line is one JSON object, in which
//! unmeasured values are null.

mod bare;
pub(crate) mod book;
mod crash;
mod drain;
pub(crate) mod endpoints;
mod figures;
mod live;
mod meter;
mod quiet;
pub(crate) mod sink;
pub(crate) mod stack;
pub(crate) mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::timeout;

use self::figures::PushFigures;
use self::stack::Stack;
use crate::accounts::Account;
use crate::arrivals::wall_clock_micros;
use crate::contact::{Creates, Target};
use crate::figures::say;
use crate::generator::{self, Generator, Load, Requests};
use crate::machine;

/// The timeout of the whole run.
const DEADLINE: Duration = Duration::from_mins(7);
/// The timeout for the work that one measurement leaves behind.
const SETTLE: Duration = Duration::from_secs(5);
/// Other processes that use this many cores are reported.
const NOISE: f64 = 0.2;

/// The shared parts of every measurement.
struct PushBench {
    stack: Stack,
    target: Target,
    figures: PushFigures,
}

pub(crate) async fn run() -> Result<()> {
    timeout(DEADLINE, measure()).await.with_context(|| format!("given up after {} s", DEADLINE.as_secs()))?
}

async fn measure() -> Result<()> {
    let stack = Stack::start("push", 1).await?;
    let target = stack.target(0)?;
    let mut bench = PushBench { stack, target, figures: PushFigures::default() };
    drain::measure(&mut bench).await?;
    quiet::at_50(&mut bench).await?;
    live::at_300(&mut bench).await?;
    live::attacked(&mut bench).await?;
    live::outage(&mut bench).await?;
    crash::measure(&mut bench).await?;
    bench.stack.stop().await?;
    bench.figures.print();
    Ok(())
}

impl PushBench {
    async fn account(&self) -> Result<Account> {
        self.stack.accounts("push", 1).await?.pop().context("no account was created")
    }

    /// Creates contacts of an account: as fast as possible, or at a rate. Returns their number.
    async fn create(&self, account: &Account, rate: Option<f64>, load: Load) -> Result<u64> {
        let accounts = std::slice::from_ref(account);
        let creates = Creates::new(&self.target, accounts, format!("{:x}", wall_clock_micros()));
        let generator = Generator { target: self.target.clone(), requests: Requests::Creates(creates), receipts: None };
        let tally = generator::run(&Arc::new(generator), &Load { rate, ..load }).await?;
        ensure!(tally.created() > 0, "nothing was created{tally}");
        Ok(tally.created())
    }

    /// Creates an account with this many events, each of its own record.
    async fn filled(&self, events: u64) -> Result<Account> {
        let account = self.account().await?;
        let load = Load { max_requests: events, ..Load::new(64, 0..1, Duration::from_mins(1)) };
        let created = self.create(&account, None, load).await?;
        ensure!(created == events, "{created} contacts were created of {events}");
        Ok(account)
    }
}

/// p50 and p99 as text.
fn latency(latencies: &mut crate::tally::Latencies) -> (Option<f64>, String) {
    let shares = latencies.at(&[0.5, 0.99]);
    let [p50, p99] = [0, 1].map(|at| shares.get(at).copied().flatten());
    (p99, format!("p50 {:.1} ms, p99 {:.1} ms", p50.unwrap_or_default(), p99.unwrap_or_default()))
}

/// Waits until the work that the last measurement left behind is done, and reports other load on the machine.
async fn settle() {
    // Replicas, Postgres and NATS are this process's children.
    let Some(seen) = machine::settle(Some(std::process::id()), SETTLE).await else { return };
    if seen.others > NOISE {
        say(&format!("         (other processes use {:.1} cores)", seen.others));
    }
}
