//! Logs that are restored from a backup while this process runs: what it remembers of them is no piece of them any more.

use std::sync::PoisonError;

use super::{EventPage, Feed, PageLimit};
use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Seq};
use crate::store::StoreError;
use crate::store::log::Head;

/// The log from a position on.
#[expect(missing_docs, reason = "the names say it")]
pub struct Onward {
    pub anchor: Anchor,
    pub page: EventPage,
}

/// The log's event at a position.
pub enum Anchor {
    /// This event.
    Event(EncodedEvent),
    /// Nothing: it ends before.
    Missing,
    /// It was not at hand, and what comes after it was.
    Unknown,
}

impl Feed {
    /// The events after a position, as [`Self::after`], with what the log now has at that position: a reader that saw
    /// another event there reads a log that was restored since.
    pub async fn onward(&self, account: AccountId, from: Seq, limit: PageLimit) -> Result<Onward, StoreError> {
        {
            let tail = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(page) = tail.after(account, from, limit) {
                let anchor = tail.at(account, from).map_or(Anchor::Unknown, Anchor::Event);
                return Ok(Onward { anchor, page });
            }
        }
        if from == Seq::ZERO {
            let page = self.store.events_after(account, from, limit).await?;
            return Ok(Onward { anchor: Anchor::Unknown, page });
        }
        // The event itself is read along: one row more, where the limit is not all that there is.
        let with_anchor = PageLimit { events: limit.events.saturating_add(1), ..limit };
        let mut page = self.store.events_after(account, Seq(from.0 - 1), with_anchor).await?;
        if page.events.first().is_none_or(|first| first.seq != from) {
            return Ok(Onward { anchor: Anchor::Missing, page });
        }
        let anchor = Anchor::Event(page.events.remove(0));
        if page.events.is_empty() && page.more {
            page = self.store.events_after(account, from, limit).await?;
        }
        Ok(Onward { anchor, page })
    }

    /// The end of the log; `None` where there is no such account. Events in memory that the log does not have, or that are
    /// of another epoch than the log, are dropped: it was restored.
    pub async fn head(&self, account: AccountId) -> Result<Option<Head>, StoreError> {
        let tail = || self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before the log is: what is announced was committed before.
        let last = tail().last(account).map(|last| (last.seq, last.epoch));
        let head = self.store.head(account).await?;
        let is_piece = |(seq, epoch)| head.is_some_and(|head| seq <= head.seq && epoch == head.epoch);
        if !last.is_none_or(is_piece) {
            tail().forget(account);
        }
        Ok(head)
    }

    /// Drops what is in memory of an account's log, which is not what it was.
    pub fn forget(&self, account: AccountId) {
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).forget(account);
    }

    /// Notes the epoch of a log. Where it was another one before, its followers are told that their log has ended, what
    /// is in memory of it goes, and this is false.
    pub(super) fn is_of_epoch(&self, account: AccountId, epoch: i32) -> bool {
        let mut ends = self.ends();
        let Some(end) = ends.get_mut(&account) else { return true };
        if *end.epoch.get_or_insert(epoch) == epoch {
            return true;
        }
        ends.remove(&account);
        drop(ends);
        self.forget(account);
        false
    }
}
