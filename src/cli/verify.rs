//! `unificus verify`: compares the read models with the logs.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{progress, say};
use crate::domain::{AccountId, Entity, Uid};
use crate::rebuild::{AccountReport, Damage, Difference, Finding, RunProgress, verify};
use crate::store::Store;

/// The exit status where something differs.
const DIFFERENT: u8 = 1;
/// The exit status where the comparison did not end. The command line's own errors have it too.
pub(super) const NOT_COMPARED: u8 = 2;
/// The characters of a value that are shown.
const SHOWN: usize = 80;

/// The accounts to compare, and the form of the report.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyOptions {
    /// Only the account with this Public ID; may be repeated.
    #[arg(long = "account")]
    accounts: Vec<Uuid>,
    /// Connections to the database.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    connections: u16,
    /// Show where something differs, but no values, which may be personal data.
    #[arg(long)]
    hide_values: bool,
    /// Print JSON, one line per account with a difference and one with the totals, and lines with the progress.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(store: &Store, options: VerifyOptions) -> anyhow::Result<ExitCode> {
    store.check_schema().await?;
    let only = accounts(&options.accounts);
    let progress = Arc::new(RunProgress::default());
    let work = verify(store, only.as_deref(), options.connections.into(), &progress);
    let report = progress::shown(&progress, "events", options.json, work).await?;
    let named = only.map_or(0, |only| u64::try_from(only.len()).unwrap_or(u64::MAX));
    if report.accounts < named {
        bail!("{} of the {named} accounts do not exist", named - report.accounts);
    }
    for unsound in &report.unsound {
        show(unsound, &options);
    }
    let unsound = report.unsound.len();
    if options.json {
        let totals = json!({"accounts": report.accounts, "events": report.events, "unsound": unsound});
        say(format_args!("{totals}"));
    } else {
        let what = format!("{} accounts with {} events", report.accounts, report.events);
        match unsound {
            0 => say(format_args!("{what}: every read model equals the log.")),
            _ => say(format_args!("{what}: {unsound} accounts have differences.")),
        }
    }
    Ok(if unsound == 0 { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// The accounts that were named, sorted, each once; `None` for all.
pub(super) fn accounts(named: &[Uuid]) -> Option<Vec<AccountId>> {
    let accounts: BTreeSet<AccountId> = named.iter().copied().map(AccountId).collect();
    (!accounts.is_empty()).then(|| accounts.into_iter().collect())
}

fn show(report: &AccountReport, options: &VerifyOptions) {
    let AccountReport { account, finding } = report;
    let (entity, uid, field, expected, stored) = parts(finding);
    let value = |value: &str| {
        if options.hide_values { format!("{} characters", value.chars().count()) } else { shortened(value) }
    };
    let (expected, stored) = (value(expected), value(stored));
    if options.json {
        let seq = if let Finding::Damage(damage) = finding { json!(damage.seq) } else { Json::Null };
        let (of, entity) = (if seq.is_null() { "read_model" } else { "log" }, entity.map(Entity::name));
        let line = json!({"public_id": account, "different": of, "seq": seq, "entity": entity, "uid": uid, "field": field,
            "expected": expected, "stored": stored});
        say(format_args!("{line}"));
        return;
    }
    let record = match (entity, uid) {
        (Some(entity), Some(uid)) => format!(" {} {uid},", entity.noun()),
        (None, Some(uid)) => format!(" record {uid},"),
        (_, None) => String::new(),
    };
    match finding {
        Finding::Damage(damage) => {
            let seq = damage.seq;
            say(format_args!(
                "{account}: the log is damaged at {seq}:{record} {field}: expected {expected}, stored {stored}"
            ));
        }
        Finding::Difference(_) => {
            say(format_args!("{account}:{record} {field}: the log has {expected}, the read model has {stored}"));
        }
    }
}

fn parts(finding: &Finding) -> (Option<Entity>, Option<Uid>, &str, &str, &str) {
    match finding {
        Finding::Damage(Damage { seq: _, record, field, expected, stored }) => {
            let (entity, uid) = record.map_or((None, None), |(entity, uid)| (entity, Some(uid)));
            (entity, uid, field, expected, stored)
        }
        Finding::Difference(Difference { record, field, expected, stored }) => {
            let (entity, uid) = record.map_or((None, None), |(entity, uid)| (Some(entity), Some(uid)));
            (entity, uid, field, expected, stored)
        }
    }
}

fn shortened(value: &str) -> String {
    let length = value.chars().count();
    if length <= SHOWN {
        return value.to_owned();
    }
    let beginning: String = value.chars().take(SHOWN).collect();
    format!("{beginning}… ({length} characters)")
}
