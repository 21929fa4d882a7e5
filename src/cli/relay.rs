//! `unificus relay`: the stream against the log.

use anyhow::{Context as _, ensure};
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::say;
use crate::broker::Broker;
use crate::config::Config;
use crate::domain::{AccountId, Seq};
use crate::metrics::Metrics;
use crate::relay::verify::{self, RelayReport, Remedy};
use crate::store::Store;

#[derive(Debug, Subcommand)]
pub(super) enum RelayCommand {
    /// Compare the stream with the log, message by message, and say what is missing, repeated or foreign. Changes
    /// nothing.
    Verify {
        /// This account only, by its Public ID.
        #[arg(long)]
        account: Option<Uuid>,
        /// Print JSON, a line per account.
        #[arg(long)]
        json: bool,
    },
    /// Compare, and publish again what the stream lacks. A hole cannot be filled in place: of an account that has one, or
    /// has repeated or foreign messages, the messages are taken out and published again in order, under the same ids.
    Rewind {
        /// This account only, by its Public ID.
        #[arg(long)]
        account: Option<Uuid>,
        /// Print JSON, a line per account and one that counts them.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: &Config, store: &Store, command: RelayCommand) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("cannot register the metrics")?;
    let broker = Broker::connect(&config.nats, &metrics).await?;
    broker.connected().await?;
    let stream = broker.stream_facts().await?;
    // Where it is missing, the service makes it and fills it: it has no messages that could be wrong.
    let stream = stream.context("there is no stream yet; the service makes and fills it when it runs")?;
    let (only, json, mends) = match command {
        RelayCommand::Verify { account, json } => (account.map(AccountId), json, false),
        RelayCommand::Rewind { account, json } => (account.map(AccountId), json, true),
    };
    let mut accounts: Vec<AccountId> = store.accounts().await?.into_iter().map(|listed| listed.account).collect();
    if let Some(only) = only {
        accounts.retain(|account| *account == only);
        ensure!(!accounts.is_empty(), "there is no account {only}");
    }
    let (mut unsound, mut rewound) = (0_u64, 0_u64);
    for account in accounts {
        let report = verify::verify(store, &broker, stream, account).await?;
        unsound += u64::from(!report.is_sound());
        let remedy = report.remedy().filter(|_| mends);
        if let Some(remedy) = remedy {
            verify::request(store, account, remedy).await?;
            rewound += 1;
        }
        show(account, &report, remedy, json);
    }
    match (json, mends) {
        (true, true) => say(format_args!("{}", json!({"unsound": unsound, "rewound": rewound}))),
        (true, false) => say(format_args!("{}", json!({"unsound": unsound}))),
        (false, true) => say(format_args!("{unsound} accounts are unsound; the service mends {rewound} of them.")),
        (false, false) => say(format_args!("{unsound} accounts are unsound.")),
    }
    Ok(())
}

fn show(account: AccountId, report: &RelayReport, remedy: Option<Remedy>, json: bool) {
    let remedy = remedy.map(|remedy| match remedy {
        Remedy::PublishOn(after) => format!("is published on behind {after}"),
        Remedy::Refill => "is published again".to_owned(),
    });
    if json {
        let holes: Vec<[Seq; 2]> = report.holes.iter().map(|(from, through)| [*from, *through]).collect();
        say(format_args!(
            "{}",
            json!({"public_id": account, "sound": report.is_sound(), "messages": report.messages,
                "first": report.first, "last": report.last, "missing": report.missing, "holes": holes,
                "repeated": report.repeated, "foreign": report.foreign, "foreign_at": report.foreign_at,
                "remedy": remedy})
        ));
    } else if !report.is_sound() {
        let RelayReport { messages, missing, repeated, foreign, .. } = report;
        let remedy = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
        say(format_args!(
            "{account}: {messages} messages, {missing} missing, {repeated} repeated, {foreign} foreign{remedy}"
        ));
        for (from, through) in &report.holes {
            say(format_args!("  missing: {from} to {through}"));
        }
        for sequence in &report.foreign_at {
            say(format_args!("  foreign: the message at stream sequence {sequence}"));
        }
    }
}
