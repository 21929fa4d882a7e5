//! `unificus log`: the accounts' logs.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{operator, say};
use crate::broker::Broker;
use crate::config::Config;
use crate::domain::AccountId;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::restored::{RaiseOutcome, Raised};

/// Accounts of one transaction.
const BATCH: i64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Begin a new epoch after the database was restored from a backup that lacks published events. New events get other
    /// ids than the lost ones, cursors of the old epoch are answered 410, and the relay and webhooks continue from the
    /// end of the log.
    Restored {
        /// The account with this Public ID.
        #[arg(long, required_unless_present = "all", conflicts_with = "all")]
        account: Option<Uuid>,
        /// All accounts.
        #[arg(long)]
        all: bool,
        /// Print JSON, one line per account.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: &Config, store: &Store, command: LogCommand) -> anyhow::Result<()> {
    let LogCommand::Restored { account, all: _, json } = command;
    if store.is_recovering().await? {
        bail!(
            "the database is still being recovered, or is a standby: wait until `select pg_is_in_recovery()` is false, \
             and run this command before any replica starts"
        );
    }
    let by = operator(store).await?;
    let mut raised: Vec<Raised> = Vec::new();
    loop {
        let after = raised.last().map_or(AccountId(Uuid::nil()), |last| last.account);
        match store.raise_epochs(after, account.map(AccountId), BATCH, by).await? {
            RaiseOutcome::Raised(some) if some.is_empty() => break,
            RaiseOutcome::Raised(some) => raised.extend(some),
            RaiseOutcome::Broken(account) => {
                bail!("the log of account {account} does not end at its recorded head: the restore is not complete")
            }
        }
    }
    if raised.is_empty() {
        bail!("there is no such account");
    }
    for Raised { account, head, epoch } in &raised {
        if json {
            say(format_args!("{}", json!({"public_id": account, "epoch": epoch, "head": head})));
        }
    }
    if !json {
        say(format_args!("A new epoch began for {} accounts.", raised.len()));
    }
    if let Err(error) = send_hints(config, &raised).await {
        tracing::warn!(
            error = format!("{error:#}"),
            "send hints failed; replicas notice the restore with their next read"
        );
    }
    Ok(())
}

/// Lets every replica drop events of these logs from memory.
async fn send_hints(config: &Config, raised: &[Raised]) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("cannot register the metrics")?;
    let broker = Broker::connect(&config.nats, &metrics).await?;
    broker.connected().await?;
    let hints = broker.hints();
    // This process is no replica itself.
    hints.set_replicas(usize::MAX);
    for some in raised.chunks(1_000) {
        hints.written(&some.iter().map(|raised| raised.account).collect::<Vec<_>>());
    }
    Ok(hints.flush().await?)
}
