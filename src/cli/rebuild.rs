//! `unificus rebuild`: computes the read models from the logs.

use std::sync::Arc;

use serde_json::json;
use uuid::Uuid;

use super::{progress, say, verify};
use crate::clock;
use crate::rebuild::{RunProgress, discard, rebuild};
use crate::store::Store;
use crate::store::rebuild::Scope;

/// The accounts to rebuild, and the form of the report.
#[derive(Debug, clap::Args)]
pub(super) struct RebuildOptions {
    /// Only the account with this Public ID; may be repeated.
    #[arg(long = "account")]
    accounts: Vec<Uuid>,
    /// Connections to the database that read, and as many that write.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Remove the tables that a killed run left, and rebuild nothing.
    #[arg(long, conflicts_with = "accounts")]
    discard: bool,
    /// Print JSON: lines with the progress, and one with the result.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(store: &Store, options: RebuildOptions) -> anyhow::Result<()> {
    store.check_schema().await?;
    store.check_owner().await?;
    if options.discard {
        discard(store).await?;
        if options.json {
            say(format_args!("{}", json!({"discarded": true})));
        } else {
            say(format_args!("No tables of an earlier run are left."));
        }
        return Ok(());
    }
    let scope = verify::accounts(&options.accounts).map_or(Scope::All, Scope::Accounts);
    let (progress, began) = (Arc::new(RunProgress::default()), clock::instant());
    let announce = |bytes: i64| {
        if options.json {
            say(format_args!("{}", json!({"live_bytes": bytes})));
        } else {
            let megabytes = bytes >> 20;
            say(format_args!(
                "The read models take {megabytes} MiB; tables for the rebuilt rows take at most as much, until the swap."
            ));
        }
    };
    let work = rebuild(store, scope, options.connections.into(), &progress, announce);
    let report = Box::pin(progress::shown(&progress, "events", options.json, work)).await?;
    let seconds = began.elapsed().as_secs_f64();
    if options.json {
        let result = json!({"accounts": report.accounts, "events": report.events, "continued": report.continued,
            "mended": report.mended, "seconds": seconds});
        say(format_args!("{result}"));
    } else {
        let mended = report.mended.map_or_else(String::new, |mended| format!("; {mended} rows and counts were wrong"));
        let continued = if report.continued { ", continuing an earlier run" } else { "" };
        say(format_args!(
            "The read models of {} accounts with {} events were rebuilt in {seconds:.1} s{continued}{mended}.",
            report.accounts, report.events
        ));
    }
    Ok(())
}
