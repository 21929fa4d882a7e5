//! Following one account's log.

use std::time::Duration;

use tokio::sync::watch;

use super::{EventPage, Feed, PageLimit};
use crate::domain::{AccountId, Seq};
use crate::store::StoreError;
use crate::store::log::Head;

/// Where events are known of and cannot be read yet, they are looked for again after this time.
const AGAIN: Duration = Duration::from_millis(500);

/// A reader of one account's log. While nothing is written it costs no statement of its own.
pub struct Follow {
    feed: Feed,
    account: AccountId,
    at: Seq,
    end: watch::Receiver<Seq>,
}

impl Feed {
    /// Follows an account's log from its end on, and says where that is; `None` where there is no such account.
    pub async fn follow(&self, account: AccountId) -> Result<Option<(Follow, Head)>, StoreError> {
        loop {
            // Subscribed before the log is asked, so that what is written meanwhile is heard of.
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

    /// Goes to another position.
    pub fn seek(&mut self, to: Seq) {
        self.at = to;
    }

    /// Whether there are events behind the position, as far as is known.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        *self.end.borrow() > self.at
    }

    /// Whether the log has ended, since it was restored from a backup: what it is now is another one.
    fn is_over(&self) -> bool {
        // The feed keeps the sender of a log that goes on as long as we listen.
        self.end.has_changed().is_err()
    }

    /// Waits until it [`Self::is_behind`], or the log has ended.
    pub async fn grown(&mut self) {
        let at = self.at;
        // An error says that the log has ended, which the caller asks for itself.
        let _grown_or_over = self.end.wait_for(|end| *end > at).await;
    }

    /// Waits for events and reads them: one at least, or none where the log has ended. The position stays, so that dropping
    /// the future loses nothing.
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
            // Known of and not there: a log that was restored, or a database that lags behind the one that was written.
            tokio::time::sleep(AGAIN).await;
        }
    }
}
