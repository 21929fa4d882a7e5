//! Erased contacts in the memory of this replica.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock;
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::push::AttemptLog;
use crate::shard::{LEASE, Shards};
use crate::worker::{Step, Worker};

/// Events in memory are used for this time after the last look for erasures. It is shorter than the lease: once other
/// replicas take this one for dead and wait for it no longer, it uses nothing that it keeps.
const TRUSTED: Duration = Duration::from_secs(4);

/// Drops events that an erasure has changed from this replica's memory, and confirms it.
pub struct MemoryCleaner {
    feed: Feed,
    attempts: AttemptLog,
    shards: Shards,
    /// The owner session of the last step. A replica without one is not waited for.
    generation: Option<u64>,
    metrics: Metrics,
    wake: Arc<Notify>,
}

impl MemoryCleaner {
    /// From now on the feed uses its memory only between steps. `wake` is notified when the owner session has ended.
    #[must_use]
    pub fn new(feed: Feed, attempts: AttemptLog, shards: Shards, metrics: Metrics, wake: Arc<Notify>) -> Self {
        feed.trust_memory(clock::instant());
        Self { feed, attempts, shards, generation: None, metrics, wake }
    }
}

impl Worker for MemoryCleaner {
    const NAME: &'static str = "memory-cleaner";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        const { assert!(TRUSTED.as_secs() < LEASE.as_secs()) };
        let Some(owned) = self.shards.owned() else {
            self.generation = None;
            self.feed.forget_all();
            self.metrics.feed_memory_used.set(0);
            return Ok(Step::Idle);
        };
        if self.generation.replace(owned.generation) != Some(owned.generation) {
            // Erasures may have ended while this replica had no session.
            self.feed.forget_all();
        }
        let looked_at = clock::instant();
        let erased = owned.owner.unconfirmed_erasures().await?;
        for contact in &erased {
            self.feed.erase(contact.account, contact.through);
        }
        if !erased.is_empty() {
            // A statement that began before may write the response to an event of before. Later ones write none.
            self.attempts.written().await;
            owned.owner.confirm_erasures(&erased).await?;
        }
        self.feed.trust_memory(looked_at + TRUSTED);
        self.metrics.feed_memory_used.set(1);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
