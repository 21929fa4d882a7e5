//! The guarantee behind every wake-up: accounts with unprocessed events are found and marked, even without a hint.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{self, Clock};
use crate::command::IDEMPOTENCY_TTL;
use crate::feed::{Behind, Feed};
use crate::metrics::{Metrics, gauge_value};
use crate::store::Store;
use crate::worker::{Step, Worker};

/// Compares the ends of logs with the cursors of the relay and of push endpoints.
pub struct Sweep {
    store: Store,
    feed: Feed,
    clock: Clock,
    wake: Arc<Notify>,
    metrics: Metrics,
}

impl Sweep {
    /// `wake` requests a sweep at once, because shards were taken.
    #[must_use]
    pub fn new(store: Store, feed: Feed, clock: Clock, wake: Arc<Notify>, metrics: Metrics) -> Self {
        Self { store, feed, clock, wake, metrics }
    }
}

impl Worker for Sweep {
    const NAME: &'static str = "sweep";
    const SWEEP: Duration = Duration::from_secs(2);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let seen_at = clock::instant();
        let relay = self.store.behind_relay().await?;
        let lag: u64 = relay.iter().map(|(_, lag, _)| lag).sum();
        self.metrics.relay_lag_events.set(gauge_value(lag));
        let behind = relay.into_iter().map(|(account, _, head)| Behind { account, head, seen_at });
        self.feed.relay().report(behind.collect());

        let push = self.store.behind_push(self.clock.now()).await?;
        let lag: u64 = push.iter().map(|(_, lag)| lag).sum();
        self.metrics.push_lag_events.set(gauge_value(lag));
        self.feed.push().mark(&push.iter().map(|(account, _)| *account).collect::<Vec<_>>());
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

/// Deletes idempotency records after their day.
pub struct IdempotencyCleanup {
    store: Store,
}

impl IdempotencyCleanup {
    /// The database's clock decides how old a record is.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

impl Worker for IdempotencyCleanup {
    const NAME: &'static str = "idempotency-cleanup";
    const SWEEP: Duration = Duration::from_mins(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let deleted = self.store.delete_idempotency_records(IDEMPOTENCY_TTL).await?;
        Ok(if deleted > 0 { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
