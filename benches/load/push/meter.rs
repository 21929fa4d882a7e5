//! The cost of deliveries: CPU time, statements, WAL.

use std::collections::BTreeMap;

use anyhow::Result;

use super::stack::Stack;
use crate::{database, machine};

/// The statements that only push executes, by the name in their first line.
const PUSH: &str = "query like '-- push%' or query like '-- log.at%' or query like '-- log.after%'";

/// A reading of all meters.
#[derive(Debug, Clone)]
pub(crate) struct Meter {
    service_cpu: f64,
    postgres_cpu: f64,
    statements: f64,
    /// Calls of each statement of push by its name.
    push: BTreeMap<String, f64>,
    wal_bytes: f64,
    wal_syncs: f64,
}

impl Meter {
    pub(crate) async fn read(stack: &Stack) -> Result<Self> {
        let client = database::connect(&stack.database_url()).await?;
        let all = "select coalesce(sum(calls), 0)::float8, (select wal_bytes::float8 from pg_stat_wal),
            (select wal_sync::float8 from pg_stat_wal) from pg_stat_statements";
        let row = client.query_one(all, &[]).await?;
        let named = format!(
            "select substring(query from '^-- ([a-z_.]+)') as name, sum(calls)::float8 from pg_stat_statements
            where {PUSH} group by name"
        );
        let named = client.query(&named, &[]).await?;
        let push = named.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
        let pid = stack.replicas.first().and_then(super::stack::Replica::pid);
        Ok(Self {
            service_cpu: pid.and_then(machine::cpu_seconds).unwrap_or_default(),
            postgres_cpu: stack.services.postgres.pid().and_then(machine::cpu_seconds_of_family).unwrap_or_default(),
            statements: row.try_get(0)?,
            push,
            wal_bytes: row.try_get(1)?,
            wal_syncs: row.try_get(2)?,
        })
    }

    /// Statements of push per delivered event since an earlier reading.
    pub(crate) fn push_statements_since(&self, before: &Self, events: usize) -> Option<f64> {
        (events > 0).then(|| self.push_since(before).map(|(_, calls)| calls).sum::<f64>() / events as f64)
    }

    fn push_since(&self, before: &Self) -> impl Iterator<Item = (&str, f64)> {
        let then = |name: &str| before.push.get(name).copied().unwrap_or_default();
        self.push.iter().map(move |(name, calls)| (name.as_str(), calls - then(name)))
    }

    /// All figures per delivered event since then, as text.
    pub(crate) fn since(&self, before: &Self, events: usize) -> String {
        let per = |now: f64, then: f64| (now - then) / events.max(1) as f64;
        let push = self.push_since(before).filter(|(_, calls)| *calls > 0.0);
        let push: Vec<String> =
            push.map(|(name, calls)| format!("{name} {:.4}", calls / events.max(1) as f64)).collect();
        format!(
            "per event: {:.0} µs CPU of the service, {:.0} µs of Postgres, {:.4} statements (of push: {}), \
             {:.0} bytes of WAL, {:.4} fsyncs",
            per(self.service_cpu, before.service_cpu) * 1e6,
            per(self.postgres_cpu, before.postgres_cpu) * 1e6,
            per(self.statements, before.statements),
            push.join(", "),
            per(self.wal_bytes, before.wal_bytes),
            per(self.wal_syncs, before.wal_syncs),
        )
    }
}
