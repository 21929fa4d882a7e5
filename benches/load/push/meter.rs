//! The cost of deliveries: CPU time, statements, WAL.

use std::collections::BTreeMap;

use anyhow::Result;

use super::stack::Stack;
use crate::{database, machine};

/// The statements that only push executes, by the name in their first line.
const PUSH: [&str; 3] = ["push", "log.at", "log.after"];

/// Statements without a name, such as the frame of a transaction.
const UNNAMED: &str = "(unnamed)";

/// A reading of all meters, or the difference between two.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    pub(crate) service_cpu: f64,
    pub(crate) postgres_cpu: f64,
    pub(crate) nats_cpu: f64,
    pub(crate) statements: f64,
    /// Statements that read the log, or write and read cursors and attempts: what an event costs besides its write.
    pub(crate) beside_writes: f64,
    /// Calls of each statement by its name.
    calls: BTreeMap<String, f64>,
    wal_bytes: f64,
    wal_syncs: f64,
}

impl Meter {
    pub(crate) async fn read(stack: &Stack) -> Result<Self> {
        let client = database::connect(&stack.database_url()).await?;
        let wal = "select wal_bytes::float8, wal_sync::float8 from pg_stat_wal";
        let wal = client.query_one(wal, &[]).await?;
        let named = format!(
            "select coalesce(substring(query from '^-- ([a-z_.]+)'), '{UNNAMED}') as name, sum(calls)::float8
            from pg_stat_statements group by name"
        );
        let named = client.query(&named, &[]).await?;
        let calls: BTreeMap<String, f64> =
            named.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
        let pid = stack.replicas.first().and_then(super::stack::Replica::pid);
        Ok(Self {
            service_cpu: pid.and_then(machine::cpu_seconds).unwrap_or_default(),
            postgres_cpu: stack.services.postgres.pid().and_then(machine::cpu_seconds_of_family).unwrap_or_default(),
            nats_cpu: stack.services.nats.pid().and_then(machine::cpu_seconds).unwrap_or_default(),
            statements: calls.values().sum(),
            beside_writes: sum(&calls, |name| is_any(name, &["push", "log.", "relay_cursor"])),
            calls,
            wal_bytes: wal.try_get(0)?,
            wal_syncs: wal.try_get(1)?,
        })
    }

    /// The difference to an earlier reading.
    pub(crate) fn since_reading(&self, before: &Self) -> Self {
        let then = |name: &String| before.calls.get(name).copied().unwrap_or_default();
        Self {
            service_cpu: self.service_cpu - before.service_cpu,
            postgres_cpu: self.postgres_cpu - before.postgres_cpu,
            nats_cpu: self.nats_cpu - before.nats_cpu,
            statements: self.statements - before.statements,
            beside_writes: self.beside_writes - before.beside_writes,
            calls: self.calls.iter().map(|(name, calls)| (name.clone(), calls - then(name))).collect(),
            wal_bytes: self.wal_bytes - before.wal_bytes,
            wal_syncs: self.wal_syncs - before.wal_syncs,
        }
    }

    /// Statements of push per delivered event since an earlier reading.
    pub(crate) fn push_statements_since(&self, before: &Self, events: usize) -> Option<f64> {
        let since = self.since_reading(before);
        (events > 0).then(|| sum(&since.calls, |name| is_any(name, &PUSH)) / events as f64)
    }

    /// All figures per event, as text, with the calls of every statement.
    pub(crate) fn per(&self, events: u64) -> String {
        self.shown(events as f64, |_| true)
    }

    /// All figures per delivered event since an earlier reading, as text, with the calls of push's statements.
    pub(crate) fn since(&self, before: &Self, events: usize) -> String {
        self.since_reading(before).shown(events.max(1) as f64, |name| is_any(name, &PUSH))
    }

    fn shown(&self, events: f64, which: impl Fn(&str) -> bool) -> String {
        let calls = self.calls.iter().filter(|(name, calls)| **calls > 0.0 && which(name));
        let calls: Vec<String> = calls.map(|(name, calls)| format!("{name} {:.4}", calls / events)).collect();
        format!(
            "per event: {:.0} µs CPU of the service, {:.0} µs of Postgres, {:.0} µs of NATS, {:.4} statements ({}), \
             {:.0} bytes of WAL, {:.4} fsyncs",
            self.service_cpu / events * 1e6,
            self.postgres_cpu / events * 1e6,
            self.nats_cpu / events * 1e6,
            self.statements / events,
            calls.join(", "),
            self.wal_bytes / events,
            self.wal_syncs / events,
        )
    }
}

fn is_any(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn sum(calls: &BTreeMap<String, f64>, which: impl Fn(&str) -> bool) -> f64 {
    calls.iter().filter(|(name, _)| which(name)).map(|(_, calls)| calls).sum()
}
