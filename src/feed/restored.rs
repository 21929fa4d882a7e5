//! Logs that are restored from a backup while this process runs: events in memory may not be part of them any more.

use super::{EventPage, Feed, PageLimit};
use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Seq};
use crate::store::StoreError;
use crate::store::log::Head;

/// The log from a position on, with the event at it.
#[expect(missing_docs, reason = "the names say it")]
pub struct Onward {
    pub anchor: Anchor,
    pub page: EventPage,
}

/// The log's event at a position.
pub enum Anchor {
    /// This event.
    Event(EncodedEvent),
    /// No event: the log ends before.
    Missing,
    /// Not known: the events after it came from memory without it.
    Unknown,
}

impl Feed {
    /// The events after a position, as [`Self::after`], with what the log now has at that position: a reader that saw
    /// another event there reads a log that was restored since.
    pub async fn onward(&self, account: AccountId, from: Seq, limit: PageLimit) -> Result<Onward, StoreError> {
        {
            let tail = self.tail();
            if let Some(page) = tail.after(account, from, limit) {
                let anchor = tail.at(account, from).map_or(Anchor::Unknown, Anchor::Event);
                return Ok(Onward { anchor, page });
            }
        }
        if from == Seq::ZERO {
            let page = self.store.events_after(account, from, limit).await?;
            return Ok(Onward { anchor: Anchor::Unknown, page });
        }
        // One row more, for the event itself; a limit of `usize::MAX` already has it.
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
        // Memory is read before the log, so that each of its events is in the log already.
        let last = self.tail().last(account).map(|last| (last.seq, last.epoch));
        let head = self.store.head(account).await?;
        let is_in_log = |(seq, epoch)| head.is_some_and(|head| seq <= head.seq && epoch == head.epoch);
        if !last.is_none_or(is_in_log) {
            self.forget(account);
        }
        Ok(head)
    }

    /// Drops an account's events from memory.
    pub fn forget(&self, account: AccountId) {
        self.tail().forget(account);
    }

    /// Records the epoch of a log. Where it was another one before, this ends the log for its followers, drops its events
    /// from memory and returns false.
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
