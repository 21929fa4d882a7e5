//! `make load-sync`: the speed of synchronization, and the limits of its Postgres in the same run.
//!
//! Prints figures and asserts nothing about them. A service of its own runs with enforced quotas, on fresh data that is
//! removed at the end. Where a limit is measured too, the service and the limit alternate, and medians count. The last line
//! is one JSON object.

#![expect(clippy::disallowed_methods, reason = "it measures: it reads the clock itself, and is no part of the service")]

#[expect(dead_code, reason = "the load uses more of it")]
#[path = "../load/accounts.rs"]
mod accounts;
mod bare;
mod batch;
#[expect(dead_code, reason = "the load uses more of it")]
#[path = "../load/connection.rs"]
mod connection;
#[expect(dead_code, reason = "the load uses more of it")]
#[path = "../load/contact.rs"]
mod contact;
#[expect(dead_code, reason = "the load uses more of it")]
#[path = "../load/database.rs"]
mod database;
mod feed;
mod import;
#[path = "../load/process.rs"]
mod process;
mod revert;
mod round_trip;
#[expect(dead_code, reason = "the load uses more of it")]
#[path = "../load/service.rs"]
mod service;
#[path = "../load/table.rs"]
mod table;
#[expect(dead_code, reason = "the load uses more of it")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded before anyone reads them"
)]
#[path = "../load/tally.rs"]
mod tally;

use anyhow::{Context, Result};
use clap::{ArgAction, Parser, ValueEnum};
use serde_json::json;

use crate::accounts::Account;
use crate::contact::Target;
use crate::service::Service;
use crate::table::{rate, rounded, row, say, shown, unit};

/// Measures synchronization.
#[derive(Parser)]
#[command(name = "sync")]
struct Args {
    /// Runs only this part.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// The number of measurements of each figure; the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Passed by `cargo bench`.
    #[arg(long, hide = true, action = ArgAction::Count)]
    bench: u8,
}

/// A part of the run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `/sync/batch` and a bare client in turns.
    Batch,
    /// The feed from its beginning.
    Feed,
    /// `unificus import`.
    Import,
    /// Commands by HTTP and by NATS in turns.
    RoundTrip,
    /// Undoing what an origin wrote.
    Revert,
}

/// The parts that the measurements share.
struct Bench {
    service: Service,
    target: Target,
    rounds: usize,
    /// Differs from run to run.
    run: String,
}

/// Figures that were not measured are `None`.
#[derive(Default)]
struct Figures {
    batch: Option<batch::Rates>,
    feed: Option<feed::Rates>,
    import: Option<f64>,
    round_trip: Option<round_trip::Medians>,
    revert: Option<f64>,
}

fn main() -> Result<()> {
    process::run(whole(Args::parse()))
}

async fn whole(args: Args) -> Result<()> {
    let service = Service::start("sync").await?;
    say(&format!("service: {}", service.urls.base));
    let target = Target::parse(&service.urls.base)?;
    let run = format!("{:08x}", std::process::id());
    let bench = Bench { service, target, rounds: args.rounds.max(1), run };
    let measured = measure(&bench, args.only).await;
    bench.service.stop().await?;
    measured?.print();
    Ok(())
}

async fn measure(bench: &Bench, only: Option<Part>) -> Result<Figures> {
    let runs = |part| only.is_none_or(|only| only == part);
    let mut figures = Figures::default();
    if runs(Part::Batch) || runs(Part::Feed) {
        let account = bench.account("batch").await?;
        if runs(Part::Batch) {
            figures.batch = Some(batch::measure(bench, &account).await?);
        }
        if runs(Part::Feed) {
            figures.feed = Some(feed::measure(bench, &account).await?);
        }
    }
    if runs(Part::RoundTrip) {
        figures.round_trip = Some(round_trip::measure(bench).await?);
    }
    if runs(Part::Revert) {
        figures.revert = revert::measure(bench).await?;
    }
    if runs(Part::Import) {
        figures.import = import::measure(bench).await?;
    }
    Ok(figures)
}

impl Bench {
    /// A new account.
    async fn account(&self, name: &str) -> Result<Account> {
        let accounts = accounts::make(&format!("{name}-{}", self.run), 1, &self.service.urls.database).await?;
        accounts.into_iter().next().context("an account")
    }
}

impl Figures {
    fn print(&self) {
        let Self { batch, feed, import, round_trip, revert } = self;
        let (service, limit) = (batch.as_ref().map(|rates| rates.service), batch.as_ref().map(|rates| rates.bare));
        let batch_ratio = service.zip(limit).map(|(service, limit)| service / limit);
        let (json_rate, protobuf) = (feed.as_ref().map(|rates| rates.json), feed.as_ref().map(|rates| rates.protobuf));
        let alone = round_trip.as_ref().map(|medians| medians.alone);
        let together = round_trip.as_ref().map(|medians| medians.together);
        let trip = |label: &str, pair: Option<round_trip::Pair>, target: &str, aim: &str| {
            let [nats, http] = [pair.map(|pair| pair.nats_ms), pair.map(|pair| pair.http_ms)];
            let ratio = shown(pair.map(round_trip::Pair::ratio), 2);
            row([label, &unit(nats, 2, "ms"), &unit(http, 2, "ms"), &ratio, target, aim])
        };
        let rows = [
            row([
                "records/s by /sync/batch, 100 per call, 8 connections ÷ a bare client",
                &rate(service),
                &rate(limit),
                &shown(batch_ratio, 2),
                "≥ 0.3",
                "0.6",
            ]),
            row(["events/s of the feed, one client", &rate(json_rate), "", "", "≥ 50,000 /s", "150,000 /s"]),
            row(["the same as protobuf", &rate(protobuf), "", "", "", ""]),
            row(["import of 100,000 contacts, records/s", &rate(*import), "", "", "≥ 5,000 /s", "15,000 /s"]),
            trip("command by NATS, p50 ÷ by HTTP, one at a time", alone, "≤ 1.2", "0.9"),
            trip("the same with 16 in flight", together, "", ""),
            row(["revert of 10,000 records by one origin", &unit(*revert, 2, "s"), "", "", "≤ 30 s", "5 s"]),
        ];
        table::print(&rows);
        let json = json!({
            "batch_records_per_s": rounded(service, 0),
            "bare_records_per_s": rounded(limit, 0),
            "ratio_batch": rounded(batch_ratio, 3),
            "feed_events_per_s": rounded(json_rate, 0),
            "feed_events_per_s_protobuf": rounded(protobuf, 0),
            "import_records_per_s": rounded(*import, 0),
            "nats_p50_ms": rounded(alone.map(|pair| pair.nats_ms), 3),
            "http_p50_ms": rounded(alone.map(|pair| pair.http_ms), 3),
            "ratio_nats": rounded(alone.map(round_trip::Pair::ratio), 3),
            "nats_p50_ms_16": rounded(together.map(|pair| pair.nats_ms), 3),
            "http_p50_ms_16": rounded(together.map(|pair| pair.http_ms), 3),
            "ratio_nats_16": rounded(together.map(round_trip::Pair::ratio), 3),
            "revert_s": rounded(*revert, 2),
        });
        say(&json.to_string());
    }
}
