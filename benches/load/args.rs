//! The arguments of `make load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

/// Measures the service over HTTP, NATS and webhooks, and the bare limits of its Postgres and its NATS.
#[derive(Parser)]
#[command(name = "load")]
pub(crate) struct Args {
    /// One short round of about half a minute.
    #[arg(long, conflicts_with = "full")]
    pub(crate) quick: bool,
    /// Adds the cost of a create at a million events over ten thousand accounts, and reads; runs five rounds.
    #[arg(long)]
    pub(crate) full: bool,
    /// Runs only this part.
    #[arg(long, value_enum)]
    pub(crate) only: Option<Part>,
    /// Measures the running service whose `unificus dev --env-file` wrote this file, instead of starting one. It needs the
    /// tier `load` (`QUOTA` in service.rs has the settings).
    #[arg(long)]
    pub(crate) env_file: Option<PathBuf>,
    /// The pid of that running service, for its memory and its CPU time.
    #[arg(long, requires = "env_file")]
    pub(crate) pid: Option<u32>,
    /// The number of rounds in which pgbench and the service alternate; the medians count.
    #[arg(long)]
    rounds: Option<usize>,
    /// The duration of each load.
    #[arg(long)]
    seconds: Option<u64>,
    /// Arrivals per second of `--only creates`, and of the latencies in place of half of the maximum.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Connections of `--only creates`.
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Accounts that the load is spread over.
    #[arg(long, default_value_t = 100)]
    pub(crate) accounts: usize,
    /// Appends `public_id uid` for every created contact as soon as its response arrives.
    #[arg(long)]
    pub(crate) receipts: Option<PathBuf>,
    /// Writes the created accounts with their keys, one JSON object per line.
    #[arg(long)]
    pub(crate) accounts_file: Option<PathBuf>,
    /// With `--only creates`: receives every account's webhooks and appends each body as a line.
    #[arg(long)]
    pub(crate) hooks: Option<PathBuf>,
    /// The duration of the soak.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// The seed of the soak's faults: the same seed gives the same faults.
    #[arg(long, default_value_t = 20_261_124)]
    pub(crate) seed: u64,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true, action = ArgAction::Count)]
    bench: u8,
}

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Only creates, for crash tests.
    Creates,
    /// pgbench and the service in turns.
    Rounds,
    /// From commit to the NATS subscriber and to the webhook receiver.
    Latency,
    /// The cost of a create at a million events.
    Growth,
    /// Deliveries by webhook: rates, latency, outage, crash and attack (`make load-push`).
    Push,
    /// Faults under load, and then a check that every event arrived (`make soak`).
    Soak,
    /// Reads of one contact and of a page of a hundred thousand; every call consumes quota of an account.
    Reads,
}

impl Args {
    pub(crate) fn runs(&self, part: Part) -> bool {
        match self.only {
            Some(only) => only == part,
            None => match part {
                Part::Creates | Part::Push | Part::Soak => false,
                Part::Growth | Part::Reads => self.full,
                Part::Rounds | Part::Latency => true,
            },
        }
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
            .unwrap_or(if self.quick {
                1
            } else if self.full {
                5
            } else {
                3
            })
            .max(1)
    }

    /// The duration of each load and of each pgbench run.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 3 } else { 10 }).max(1))
    }

    /// The warm-up before each load that finds a maximum.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 2 })
    }

    /// The timeout of the whole run.
    pub(crate) fn deadline(&self) -> Duration {
        let rounds = self.rounds() as u64 * 4 * (self.length().as_secs() + 17);
        let growth = if self.runs(Part::Growth) { 900 } else { 0 };
        let reads = if self.runs(Part::Reads) { 300 + rounds } else { 0 };
        Duration::from_secs(300 + rounds + growth + reads)
    }
}
