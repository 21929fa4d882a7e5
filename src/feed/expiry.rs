//! Drops events from memory when they have become old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Feed;
use crate::clock;
use crate::worker::{Step, Worker};

/// Gives back the memory of the latest events some seconds after they were committed.
pub struct Expiry {
    feed: Feed,
}

impl Expiry {
    /// Drops old events of this feed.
    #[must_use]
    pub fn new(feed: Feed) -> Self {
        Self { feed }
    }
}

impl Worker for Expiry {
    const NAME: &'static str = "tail-expiry";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        self.feed.tail().expire(clock::instant());
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
