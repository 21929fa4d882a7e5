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
const AT_ONCE: i64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum LogCommand {
    /// Say that the database was restored from a backup that is older than events which were already sent. The epoch of
    /// the log rises: new events have ids of their own, cursors from before are answered 410, and the relay and the
    /// webhooks go back to the end of the log.
    Restored {
        /// This account, by its Public ID.
        #[arg(long, required_unless_present = "all", conflicts_with = "all")]
        account: Option<Uuid>,
        /// All accounts.
        #[arg(long)]
        all: bool,
        /// Print JSON, a line per account.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(config: &Config, store: &Store, command: LogCommand) -> anyhow::Result<()> {
    let LogCommand::Restored { account, all: _, json } = command;
    let by = operator(store).await?;
    let mut raised: Vec<Raised> = Vec::new();
    loop {
        let after = raised.last().map_or(AccountId(Uuid::nil()), |last| last.account);
        match store.raise_epochs(after, account.map(AccountId), AT_ONCE, by).await? {
            RaiseOutcome::Raised(some) if some.is_empty() => break,
            RaiseOutcome::Raised(some) => raised.extend(some),
            RaiseOutcome::Broken(account) => {
                bail!("the log of account {account} does not end where its head says: the restore is not complete")
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
        say(format_args!("The epoch of {} accounts was raised.", raised.len()));
    }
    if let Err(error) = tell(config, &raised).await {
        tracing::warn!(error = format!("{error:#}"), "replicas were not told; they find out with the next read");
    }
    Ok(())
}

/// Lets every replica drop what it has in memory of these logs.
async fn tell(config: &Config, raised: &[Raised]) -> anyhow::Result<()> {
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
