//! Reads the ends of the logs that are followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Feed;
use crate::clock;
use crate::domain::AccountId;
use crate::worker::{Step, Worker};

/// Accounts of one statement.
const BATCH: usize = 1_000;

/// Announces events of other replicas to followers: at once after a hint, and within a second without one. The cost
/// depends on the number of followed accounts, not on the number of their followers.
pub struct Heads {
    feed: Feed,
    /// The last time that the ends of all followed logs were read.
    swept_at: Option<Instant>,
}

impl Heads {
    /// Reads for the feed's followers.
    #[must_use]
    pub fn new(feed: Feed) -> Self {
        Self { feed, swept_at: None }
    }

    /// The accounts that are followed; others are forgotten.
    fn followed(&self) -> Vec<AccountId> {
        let mut ends = self.feed.ends();
        ends.retain(|_, end| end.seq.receiver_count() > 0);
        ends.keys().copied().collect()
    }
}

impl Worker for Heads {
    const NAME: &'static str = "heads";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let grown = self.feed.shared.grown.take(|_| true);
        let began = clock::instant();
        let last = self.swept_at.take();
        let is_due = last.is_none_or(|at| at.elapsed() >= Self::SWEEP);
        let accounts = if is_due { self.followed() } else { grown };
        for accounts in accounts.chunks(BATCH) {
            let mut heads = self.feed.store.heads(accounts).await?;
            heads.retain(|(account, head)| self.feed.is_of_epoch(*account, head.epoch));
            self.feed.reached(&heads.iter().map(|(account, head)| (*account, head.seq)).collect::<Vec<_>>());
        }
        // After an error this is not set, so that the next step reads all ends.
        self.swept_at = if is_due { Some(began) } else { last };
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.feed.shared.grown.wake()
    }
}
