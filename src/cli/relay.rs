//! `unificus relay`: compares the stream with the log and repairs it.

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
    /// Compare the stream with the log, message by message, and list missing, repeated and foreign messages. Changes
    /// nothing.
    Verify {
        /// Only the account with this Public ID.
        #[arg(long)]
        account: Option<Uuid>,
        /// Print JSON, one line per account.
        #[arg(long)]
        json: bool,
    },
    /// Compare, and publish missing events again. A gap cannot be filled in place: where an account has a gap, or repeated
    /// or foreign messages, all of its messages are removed and published again in order, under the same ids.
    Rewind {
        /// Only the account with this Public ID.
        #[arg(long)]
        account: Option<Uuid>,
        /// Print JSON, one line per account and one with the totals.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: &Config, store: &Store, command: RelayCommand) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("cannot register the metrics")?;
    let broker = Broker::connect(&config.nats, &metrics).await?;
    broker.connected().await?;
    let stream = broker.stream_info().await?;
    let stream = stream.context("there is no stream yet; start the service, which makes and fills it")?;
    let (only, json, repairs) = match command {
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
        let remedy = report.remedy().filter(|_| repairs);
        if let Some(remedy) = remedy {
            verify::request(store, account, remedy).await?;
            rewound += 1;
        }
        show(account, &report, remedy, json);
    }
    match (json, repairs) {
        (true, true) => say(format_args!("{}", json!({"unsound": unsound, "rewound": rewound}))),
        (true, false) => say(format_args!("{}", json!({"unsound": unsound}))),
        (false, true) => say(format_args!("{unsound} accounts have errors; the service repairs {rewound} of them.")),
        (false, false) => say(format_args!("{unsound} accounts have errors.")),
    }
    Ok(())
}

fn show(account: AccountId, report: &RelayReport, remedy: Option<Remedy>, json: bool) {
    let remedy = remedy.map(|remedy| match remedy {
        Remedy::PublishAfter(after) => format!("publishing continues after {after}"),
        Remedy::Refill => "all messages are published again".to_owned(),
    });
    if json {
        let gaps: Vec<[Seq; 2]> = report.gaps.iter().map(|(from, through)| [*from, *through]).collect();
        say(format_args!(
            "{}",
            json!({"public_id": account, "sound": report.is_sound(), "messages": report.messages,
                "first": report.first, "last": report.last, "missing": report.missing, "holes": gaps,
                "repeated": report.repeated, "foreign": report.foreign, "foreign_at": report.foreign_at,
                "remedy": remedy})
        ));
    } else if !report.is_sound() {
        let RelayReport { messages, missing, repeated, foreign, .. } = report;
        let remedy = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
        say(format_args!(
            "{account}: {messages} messages, {missing} missing, {repeated} repeated, {foreign} foreign{remedy}"
        ));
        for (from, through) in &report.gaps {
            say(format_args!("  missing: {from} to {through}"));
        }
        for sequence in &report.foreign_at {
            say(format_args!("  foreign: the message at stream sequence {sequence}"));
        }
    }
}
