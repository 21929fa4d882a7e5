//! The arguments of `make load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

/// Measures the service over HTTP, NATS and webhooks beside what its Postgres and its NATS can do bare.
#[derive(Parser)]
#[command(name = "load")]
pub(crate) struct Args {
    /// About half a minute: one short round.
    #[arg(long, conflicts_with = "full")]
    pub(crate) quick: bool,
    /// Also the cost of a create at a million events over ten thousand accounts, and reads; five rounds.
    #[arg(long)]
    pub(crate) full: bool,
    /// Runs this part alone.
    #[arg(long, value_enum)]
    pub(crate) only: Option<Part>,
    /// Measures the running service of which `unificus dev --env-file` wrote this, instead of one of its own.
    #[arg(long)]
    pub(crate) env_file: Option<PathBuf>,
    /// The pid of that running service, for its memory and its CPU time.
    #[arg(long, requires = "env_file")]
    pub(crate) pid: Option<u32>,
    /// How often pgbench and the service take turns; the medians count.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long each load is.
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
    /// Appends `public_id uid` for every contact created, as its answer arrives.
    #[arg(long)]
    pub(crate) receipts: Option<PathBuf>,
    /// Writes the accounts that were made with their keys, one JSON object per line.
    #[arg(long)]
    pub(crate) accounts_file: Option<PathBuf>,
    /// With `--only creates`: receives every account's webhooks meanwhile and appends each body as a line.
    #[arg(long)]
    pub(crate) hooks: Option<PathBuf>,
    /// How long the soak is.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// What the soak's accidents are drawn from: the same seed, the same accidents.
    #[arg(long, default_value_t = 20_261_124)]
    pub(crate) seed: u64,
    /// What `cargo bench` adds.
    #[arg(long, hide = true, action = ArgAction::Count)]
    bench: u8,
}

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Creates alone, for crash tests.
    Creates,
    /// pgbench and the service in turns.
    Rounds,
    /// Commit to NATS subscriber and to webhook receiver.
    Latency,
    /// The cost of a create at a million events.
    Growth,
    /// Deliveries by webhook: rates, latency, outage, crash and attack (`make load-push`).
    Push,
    /// Accidents under load, and then whether every event arrived (`make soak`).
    Soak,
    /// Reads of one contact and of a page of a hundred thousand, every call taken from an account's month.
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

    /// Of each load and of each pgbench.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 3 } else { 10 }).max(1))
    }

    /// Before each load that finds a maximum.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs(if self.quick { 1 } else { 2 })
    }

    /// The whole run is given up after this.
    pub(crate) fn deadline(&self) -> Duration {
        let rounds = self.rounds() as u64 * 4 * (self.length().as_secs() + 17);
        let growth = if self.runs(Part::Growth) { 900 } else { 0 };
        let reads = if self.runs(Part::Reads) { 300 + rounds } else { 0 };
        Duration::from_secs(300 + rounds + growth + reads)
    }
}
