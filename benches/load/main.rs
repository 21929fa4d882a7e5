//! `make load`: the speed of the service, and the limits of its Postgres and its NATS in the same run.
//!
//! Prints figures and asserts nothing about them. The generator, the service, Postgres and NATS share the cores of one
//! machine and use loopback, and pgbench alternates with the service, so that ratios are comparable between machines
//! where figures are not. The run removes everything that it creates (data, schema `unificus_limit`, stream `LIMIT`,
//! push endpoints), and stops only the services that it started. The last line is one JSON object.

#![expect(clippy::disallowed_methods, reason = "it measures: it reads the clock itself, and is no part of the service")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded before anyone reads them"
)]

mod accounts;
mod args;
mod arrivals;
mod connection;
mod contact;
mod creates;
mod database;
mod figures;
mod generator;
mod growth;
mod jetstream;
mod latency;
mod machine;
mod pgbench;
mod process;
mod push;
mod reads;
mod receipts;
mod receiver;
mod rounds;
mod service;
mod soak;
mod subscriber;
mod table;
mod tally;

use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser as _;
use tokio::time::timeout;

use crate::accounts::Account;
use crate::args::{Args, Part};
use crate::contact::{Creates, Target};
use crate::figures::{Figures, say};
use crate::generator::{Generator, Requests};
use crate::machine::{CpuSeconds, Processes};
use crate::receipts::Receipts;
use crate::service::Service;

/// The shared parts of every part of the run.
struct Bench {
    args: Args,
    service: Service,
    /// Unknown where a running service is measured without its pid, or its Postgres runs elsewhere.
    processes: Option<Processes>,
    /// First the many accounts, then the single one, then those of the growth.
    accounts: Vec<Account>,
    generator: Arc<Generator>,
    figures: Figures,
}

fn main() -> Result<()> {
    process::run(whole(Args::parse()))
}

async fn whole(args: Args) -> Result<()> {
    // These two start several replicas of their own.
    match args.only {
        Some(Part::Push) => return push::run().await,
        Some(Part::Soak) => return soak::run(&args).await,
        _ => {}
    }
    let service = match &args.env_file {
        Some(env_file) => Service::attach(env_file, args.pid)?,
        None => Service::start("all").await?,
    };
    say(&format!("service: {}", service.urls.base));
    let deadline = args.deadline();
    let mut bench = prepare(args, service).await?;
    let measured = timeout(deadline, measure(&mut bench)).await;
    let stopped = bench.service.stop().await;
    // A service that exited by itself is the cause of the failure.
    if let (Ok(Err(_)), Err(error)) = (&measured, &stopped) {
        say(&format!("{error:#}"));
    }
    measured.with_context(|| format!("given up after {} s", deadline.as_secs()))??;
    stopped?;
    bench.figures.print();
    Ok(())
}

async fn prepare(args: Args, service: Service) -> Result<Bench> {
    let run = format!("{:x}", arrivals::wall_clock_micros());
    let database = &service.urls.database;
    let mut accounts = accounts::make(&format!("load-{run}"), args.accounts + 1, database).await?;
    if args.runs(Part::Growth) {
        accounts.append(&mut accounts::make(&format!("growth-{run}"), growth::ACCOUNTS, database).await?);
    }
    say(&format!("accounts: {}", accounts.len()));
    if let Some(path) = &args.accounts_file {
        accounts::write(path, &accounts)?;
    }
    let target = Target::parse(&service.urls.base)?;
    let creates = Creates::new(&target, &accounts, run);
    let receipts = args.receipts.as_ref().map(|path| Receipts::open(path, &accounts)).transpose()?;
    let generator = Arc::new(Generator { target, requests: Requests::Creates(creates), receipts });
    let processes = Processes::of(&service).await?;
    Ok(Bench { args, service, processes, accounts, generator, figures: Figures::default() })
}

/// Growth runs first, on a log without other events.
async fn measure(bench: &mut Bench) -> Result<()> {
    creates::run(bench).await?;
    growth::measure(bench).await?;
    rounds::measure(bench).await?;
    latency::measure(bench).await?;
    reads::measure(bench).await?;
    if bench.figures.rss_mb.is_none() {
        bench.figures.rss_mb = bench.service.pid.and_then(machine::resident_mb);
        bench.figures.rss_at = "at the end of this run";
    }
    Ok(())
}

impl Bench {
    fn cpu(&self) -> Option<CpuSeconds> {
        CpuSeconds::read(self.processes?)
    }

    fn many_accounts(&self) -> Range<usize> {
        0..self.args.accounts
    }

    fn one_account(&self) -> Range<usize> {
        self.args.accounts..self.args.accounts + 1
    }

    fn growth_accounts(&self) -> Range<usize> {
        self.args.accounts + 1..self.accounts.len()
    }
}
