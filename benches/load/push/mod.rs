//! `make load-push`: deliveries by webhook, the receiver sharing the machine's cores.
//!
//! Rates are those of a backlog: the events are in the log before the endpoint is made, so that nothing but delivering
//! is measured, from the first arrival to the last. Latencies are from an event's decision, just before its commit, to
//! its first arrival. Statements, WAL and fsyncs of the backlog are all that the database did meanwhile; those of the
//! live load are the statements that push alone makes, by their names. The last line is one JSON object, in which what
//! was not measured is null.

pub(crate) mod book;
mod crash;
mod drain;
pub(crate) mod endpoints;
mod figures;
mod live;
mod meter;
pub(crate) mod sink;
pub(crate) mod stack;
pub(crate) mod writer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::timeout;

use self::figures::Figures;
use self::stack::Stack;
use crate::accounts::Account;
use crate::arrivals::wall_clock_micros;
use crate::contact::{Creates, Target};
use crate::figures::say;
use crate::generator::{self, Generator, Load, Requests};
use crate::machine;

/// The whole run is given up after this.
const DEADLINE: Duration = Duration::from_mins(5);
/// What one measurement left behind may take so long.
const SETTLE: Duration = Duration::from_secs(5);
/// Other processes that use so much of a core are worth a remark.
const NOISE: f64 = 0.2;

/// What every measurement works with.
struct Bench {
    stack: Stack,
    target: Target,
    figures: Figures,
}

pub(crate) async fn run() -> Result<()> {
    timeout(DEADLINE, measure()).await.with_context(|| format!("given up after {} s", DEADLINE.as_secs()))?
}

async fn measure() -> Result<()> {
    let stack = Stack::start("push", 1).await?;
    let target = stack.target(0)?;
    let mut bench = Bench { stack, target, figures: Figures::default() };
    drain::measure(&mut bench).await?;
    live::at_300(&mut bench).await?;
    live::attacked(&mut bench).await?;
    live::outage(&mut bench).await?;
    crash::measure(&mut bench).await?;
    bench.stack.stop().await?;
    bench.figures.print();
    Ok(())
}

impl Bench {
    async fn account(&self) -> Result<Account> {
        self.stack.accounts("push", 1).await?.pop().context("no account was made")
    }

    /// Creates contacts of an account: as fast as can be, or at a rate. Returns how many.
    async fn create(&self, account: &Account, rate: Option<f64>, load: Load) -> Result<u64> {
        let accounts = std::slice::from_ref(account);
        let creates = Creates::new(&self.target, accounts, format!("{:x}", wall_clock_micros()));
        let generator = Generator { target: self.target.clone(), requests: Requests::Creates(creates), receipts: None };
        let tally = generator::run(&Arc::new(generator), &Load { rate, ..load }).await?;
        ensure!(tally.created() > 0, "nothing was created{tally}");
        Ok(tally.created())
    }

    /// An account with so many events, each of its own record.
    async fn filled(&self, events: u64) -> Result<Account> {
        let account = self.account().await?;
        let load = Load { at_most: events, ..Load::new(64, 0..1, Duration::from_mins(1)) };
        let created = self.create(&account, None, load).await?;
        ensure!(created == events, "{created} contacts were created of {events}");
        Ok(account)
    }
}

/// p50 and p99 in words.
fn latency(latencies: &mut crate::tally::Latencies) -> (Option<f64>, String) {
    let shares = latencies.at(&[0.5, 0.99]);
    let [p50, p99] = [0, 1].map(|at| shares.get(at).copied().flatten());
    (p99, format!("p50 {:.1} ms, p99 {:.1} ms", p50.unwrap_or_default(), p99.unwrap_or_default()))
}

/// Waits until what the last measurement left behind is done, and says what disturbs the next.
async fn settle() {
    // Replicas, Postgres and NATS are this process's children.
    let Some(seen) = machine::settle(Some(std::process::id()), SETTLE).await else { return };
    if seen.others > NOISE {
        say(&format!("         (other processes use {:.1} cores)", seen.others));
    }
}
