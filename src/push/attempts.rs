//! The attempt log: the result of each attempt, written in batches, dropped by the day.
//!
//! It never delays a delivery: rows wait in a bounded queue. A row is counted and lost when the queue is full because
//! Postgres accepts no rows, or when its day has no partition because this replica's clock is wrong. Partitions are made
//! and dropped by Postgres's clock, so that no replica's clock does it for all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::Date;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client;
use crate::clock;
use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Seq, Timestamp};
use crate::metrics::Metrics;
use crate::store::attempts::AttemptRow;
use crate::store::{Store, StoreError};
use crate::worker::{self, Step, Worker};

/// Limits of the queue: rows, and the bytes of their bodies. Further rows are counted and lost.
const MAX_ROWS: usize = 20_000;
const MAX_BYTES: usize = 16 << 20;

/// Rows in one statement. Few, because a statement occupies a core of the server, and writes wait for it where they need
/// that core.
const BATCH_ROWS: usize = 250;

/// Rows in one statement while at least this many wait: a row takes less time in a larger statement.
const BACKLOG_ROWS: usize = 2_000;

/// The longest time that a row waits while the queue has fewer than [`BATCH_ROWS`].
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Days for which partitions are made ahead.
const DAYS_AHEAD: u16 = 2;

/// An attempt with its endpoint.
type Row = (AccountId, Uuid, AttemptRow);

/// Takes attempts and writes them. Cloning shares it.
#[derive(Clone)]
pub struct AttemptLog {
    store: Store,
    metrics: Metrics,
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    /// Held while a statement writes attempts.
    writing: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Queue {
    attempts: Vec<Row>,
    bytes: usize,
}

impl AttemptLog {
    /// An empty attempt log.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, queue: Arc::default(), wake: Arc::default(), writing: Arc::default() }
    }

    /// Writes until `stop`, and then the rest of the queue.
    pub async fn run(mut self, stop: CancellationToken) {
        worker::run(self.clone(), stop, self.metrics.clone()).await;
        loop {
            match self.step().await {
                Ok(Step::Advanced) => {}
                Ok(Step::Idle) => return,
                Err(error) => return tracing::warn!(error = format!("{error:#}"), "log last attempts failed"),
            }
        }
    }

    /// Queues an attempt, or counts it as lost where the queue is full.
    pub(super) fn put(&self, account: AccountId, endpoint: Uuid, attempt: AttemptRow) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.attempts.len() >= MAX_ROWS || queue.bytes + attempt.body.len() > MAX_BYTES {
            self.metrics.push_attempts_unlogged_total.inc();
            return;
        }
        queue.bytes += attempt.body.len();
        queue.attempts.push((account, endpoint, attempt));
        if queue.attempts.len().is_multiple_of(BATCH_ROWS) {
            self.wake.notify_one();
        }
    }

    /// Waits until every statement has ended that was begun before.
    pub async fn written(&self) {
        drop(self.writing.lock().await);
    }

    async fn write(&self, attempts: &[Row]) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        self.store.log_attempts(attempts).await
    }

    fn put_back(&self, attempts: Vec<Row>) {
        for (account, endpoint, attempt) in attempts {
            self.put(account, endpoint, attempt);
        }
    }

    /// Writes the rows of a refused batch day by day, so that days with a partition do not wait for one without.
    async fn write_by_day(&self, attempts: Vec<Row>) -> anyhow::Result<()> {
        // The partition of today may not exist yet.
        if let Err(error) = self.store.make_attempt_days(DAYS_AHEAD).await {
            self.put_back(attempts);
            return Err(error.into());
        }
        let mut days: BTreeMap<Date, Vec<Row>> = BTreeMap::new();
        for row in attempts {
            days.entry(row.2.at.date()).or_default().push(row);
        }
        let mut failed = Ok(());
        for (day, attempts) in days {
            match self.write(&attempts).await {
                Ok(()) => {}
                Err(error @ StoreError::Refused(_)) => {
                    self.metrics.push_attempts_unlogged_total.inc_by(attempts.len() as u64);
                    tracing::warn!(%day, attempts = attempts.len(), error = error.report(), "log attempts failed; rows are lost");
                }
                Err(error) => {
                    self.put_back(attempts);
                    failed = Err(error.into());
                }
            }
        }
        failed
    }

    fn take(&self) -> Vec<Row> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let count = statement_rows(queue.attempts.len());
        let attempts: Vec<_> = queue.attempts.drain(..count).collect();
        queue.bytes -= attempts.iter().map(|(.., attempt)| attempt.body.len()).sum::<usize>();
        attempts
    }
}

impl Worker for AttemptLog {
    const NAME: &'static str = "attempt-log";
    const SWEEP: Duration = MAX_DELAY;

    async fn step(&mut self) -> anyhow::Result<Step> {
        let attempts = self.take();
        if attempts.is_empty() {
            return Ok(Step::Idle);
        }
        let is_full = attempts.len() >= BATCH_ROWS;
        match self.write(&attempts).await {
            Ok(()) => {}
            Err(StoreError::Refused(_)) => self.write_by_day(attempts).await?,
            Err(error) => {
                self.put_back(attempts);
                return Err(error.into());
            }
        }
        Ok(if is_full { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

/// The number of rows of the next statement, where this many wait.
fn statement_rows(waiting: usize) -> usize {
    if waiting < BACKLOG_ROWS { waiting.min(BATCH_ROWS) } else { BACKLOG_ROWS }
}

/// The row of an attempt that delivered these events; of none, where it was a test.
pub(super) fn row(
    webhook_id: String,
    seq: Seq,
    events: &[EncodedEvent],
    trigger: &str,
    attempt: &client::Attempt,
    now: Timestamp,
) -> AttemptRow {
    AttemptRow {
        attempt_id: clock::fresh_uid().0,
        at: now,
        seq,
        webhook_id,
        uids: events.iter().map(|event| event.uid).collect::<BTreeSet<_>>().into_iter().collect(),
        trigger: trigger.to_owned(),
        outcome: attempt.outcome.shown().to_owned(),
        status: attempt.status.map(i32::from),
        error: attempt.error.clone(),
        // Both are far below their limits: an attempt takes at most 60 s and reads at most 64 KiB.
        duration_ms: i32::try_from(attempt.elapsed.as_millis()).unwrap_or(i32::MAX),
        bytes: i64::try_from(attempt.bytes_read).unwrap_or(i64::MAX),
        body: attempt.body.to_vec(),
    }
}

/// Makes the partitions of the next days, and drops those of days that are over.
pub struct AttemptDays {
    store: Store,
    days: u16,
}

impl AttemptDays {
    /// Keeps attempts for this many days.
    #[must_use]
    pub fn new(store: Store, days: u16) -> Self {
        Self { store, days }
    }
}

impl Worker for AttemptDays {
    const NAME: &'static str = "attempt-days";
    const SWEEP: Duration = Duration::from_mins(30);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let made = self.store.make_attempt_days(DAYS_AHEAD).await?;
        let dropped = self.store.drop_attempt_days(self.days).await?;
        Ok(if made + dropped > 0 { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_ROWS, statement_rows};

    #[test]
    fn statements_are_small_until_rows_pile_up() {
        let counts = [0, 1, 250, 251, 1_999, 2_000, MAX_ROWS].map(statement_rows);
        assert_eq!(counts, [0, 1, 250, 250, 250, 2_000, 2_000]);
    }
}
