//! Asks for the ends of the logs that are followed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Feed;
use crate::clock;
use crate::domain::AccountId;
use crate::worker::{Step, Worker};

/// Accounts that one statement asks for.
const AT_ONCE: usize = 1_000;

/// Tells followers of what other replicas wrote: at once where a hint came, and within a second where none did. What it
/// costs depends on the accounts that are followed, not on how many follow them.
pub struct Heads {
    feed: Feed,
    /// When the ends of all followed logs were last known.
    swept_at: Option<Instant>,
}

impl Heads {
    /// Asks on behalf of the feed's followers.
    #[must_use]
    pub fn new(feed: Feed) -> Self {
        Self { feed, swept_at: None }
    }

    /// The accounts that are followed; those that no longer are, are forgotten.
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
        for accounts in accounts.chunks(AT_ONCE) {
            let mut heads = self.feed.store.heads(accounts).await?;
            heads.retain(|(account, head)| self.feed.is_of_epoch(*account, head.epoch));
            self.feed.reached(&heads.iter().map(|(account, head)| (*account, head.seq)).collect::<Vec<_>>());
        }
        // Where it failed nothing stands here, and the next step asks for all.
        self.swept_at = if is_due { Some(began) } else { last };
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        self.feed.shared.grown.wake()
    }
}
