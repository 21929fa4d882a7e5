//! The attempt log: what became of each delivery, written in batches, dropped by the day.
//!
//! It never holds a delivery up: rows wait in a bounded queue, and where Postgres does not take them, those that find
//! it full are counted and lost.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::Date;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::AccountId;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::attempts::Attempt;
use crate::worker::{self, Step, Worker};

/// Rows that wait at most, and the bytes of their bodies.
const MOST_ROWS: usize = 20_000;
const MOST_BYTES: usize = 16 << 20;

/// Rows in one statement.
const AT_ONCE: usize = 2_000;

/// An attempt is written so long after it was made, or when this many wait.
const SOON: Duration = Duration::from_secs(1);

/// Partitions are made so many days ahead, today's included.
const AHEAD: u16 = 3;

/// Takes attempts and writes them. Cloning shares it.
#[derive(Clone)]
pub struct AttemptLog {
    store: Store,
    metrics: Metrics,
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
    /// Told when rows were refused: their day's partition may be missing.
    refused: Arc<Notify>,
}

#[derive(Default)]
struct Queue {
    rows: Vec<(AccountId, Uuid, Attempt)>,
    bytes: usize,
}

impl AttemptLog {
    /// An empty one.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, queue: Arc::default(), wake: Arc::default(), refused: Arc::default() }
    }

    /// Writes until `stop`, and then what is left.
    pub async fn run(mut self, stop: CancellationToken) {
        worker::run(self.clone(), stop).await;
        loop {
            match self.step().await {
                Ok(Step::Advanced) => {}
                Ok(Step::Idle) => return,
                Err(error) => return tracing::warn!(error = format!("{error:#}"), "last attempts not logged"),
            }
        }
    }

    /// Takes an attempt, or counts it as lost.
    pub(super) fn put(&self, account: AccountId, endpoint: Uuid, attempt: Attempt) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.rows.len() >= MOST_ROWS || queue.bytes + attempt.body.len() > MOST_BYTES {
            self.metrics.push_attempts_unlogged_total.inc();
            return;
        }
        queue.bytes += attempt.body.len();
        queue.rows.push((account, endpoint, attempt));
        if queue.rows.len().is_multiple_of(AT_ONCE) {
            self.wake.notify_one();
        }
    }

    fn take(&self) -> Vec<(AccountId, Uuid, Attempt)> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let many = queue.rows.len().min(AT_ONCE);
        let rows: Vec<_> = queue.rows.drain(..many).collect();
        queue.bytes -= rows.iter().map(|(.., attempt)| attempt.body.len()).sum::<usize>();
        rows
    }
}

impl Worker for AttemptLog {
    const NAME: &'static str = "attempt log";
    const SWEEP: Duration = SOON;

    async fn step(&mut self) -> anyhow::Result<Step> {
        let rows = self.take();
        if rows.is_empty() {
            return Ok(Step::Idle);
        }
        let full = rows.len() == AT_ONCE;
        if let Err(error) = self.store.log_attempts(&rows).await {
            for (account, endpoint, attempt) in rows {
                self.put(account, endpoint, attempt);
            }
            self.refused.notify_one();
            return Err(error.into());
        }
        Ok(if full { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

/// Makes the partitions of the next days, and drops those of days that are over.
pub struct AttemptDays {
    store: Store,
    clock: Clock,
    days: u16,
    wake: Arc<Notify>,
}

impl AttemptDays {
    /// Those of a log, in which attempts are kept for so many days.
    #[must_use]
    pub fn of(log: &AttemptLog, clock: Clock, days: u16) -> Self {
        Self { store: log.store.clone(), clock, days, wake: Arc::clone(&log.refused) }
    }
}

impl Worker for AttemptDays {
    const NAME: &'static str = "attempt days";
    const SWEEP: Duration = Duration::from_mins(30);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let today = self.clock.now().date();
        let keep = today.checked_sub(time::Duration::days(self.days.into())).unwrap_or(Date::MIN);
        // A replica whose clock is behind ours may still write to yesterday.
        let from = today.previous_day().unwrap_or(today);
        let turned = self.store.turn_attempts(from, AHEAD + 1, keep.min(from)).await?;
        Ok(if turned > 0 { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
