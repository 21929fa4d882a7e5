//! Follows one account's log.

use std::time::Duration;

use tokio::sync::watch;

use super::{EventPage, Feed, PageLimit};
use crate::domain::{AccountId, Seq};
use crate::store::StoreError;
use crate::store::log::Head;

/// Events that are announced and cannot be read yet are read again after this time.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A reader of one account's log. It runs no statement while nothing is written.
pub struct Follow {
    feed: Feed,
    account: AccountId,
    at: Seq,
    end: watch::Receiver<Seq>,
}

impl Feed {
    /// Follows an account's log from its end on. Returns the end too, or `None` where there is no such account.
    pub async fn follow(&self, account: AccountId) -> Result<Option<(Follow, Head)>, StoreError> {
        loop {
            // Subscribes before it reads the end, so that no event in between is missed.
            let end = self.ends().entry(account).or_default().seq.subscribe();
            let Some(head) = self.head(account).await? else { return Ok(None) };
            if self.is_of_epoch(account, head.epoch) {
                self.reached(&[(account, head.seq)]);
                return Ok(Some((Follow { feed: self.clone(), account, at: head.seq, end }, head)));
            }
        }
    }
}

impl Follow {
    /// The position after which events are read.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.at
    }

    /// Moves to another position.
    pub fn seek(&mut self, to: Seq) {
        self.at = to;
    }

    /// Whether events after the position are known.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        *self.end.borrow() > self.at
    }

    /// Whether the log has ended, because it was restored from a backup. The restored log is another one.
    fn is_over(&self) -> bool {
        // The feed keeps the sender of a log that continues as long as it has a receiver.
        self.end.has_changed().is_err()
    }

    /// Waits until it [`Self::is_behind`], or the log has ended.
    pub async fn grown(&mut self) {
        let at = self.at;
        // An error means that the log has ended, which the caller checks.
        let _grown_or_over = self.end.wait_for(|end| *end > at).await;
    }

    /// Waits for events and reads at least one, or none where the log has ended. The position does not change, so that
    /// dropping the future loses nothing.
    pub async fn next(&mut self, limit: PageLimit) -> Result<EventPage, StoreError> {
        loop {
            self.grown().await;
            if self.is_over() {
                return Ok(EventPage { events: Vec::new(), more: false });
            }
            let page = self.feed.after(self.account, self.at, limit).await?;
            if !page.events.is_empty() {
                return Ok(page);
            }
            // Announced events are missing where the log was restored, or where a standby lags.
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }
}
