//! Reading an account's log from a position on: the one reader behind the relay, the change feed, SSE and webhooks.
//!
//! Events come from memory where the last ones of an account are kept and fit at the position, else from the log in
//! PostgreSQL; the reader cannot tell, and gets every event once and in order. A page is bounded by events and by bytes.
//!
//! Followers of an account share what is known of the end of its log, and read only when they are behind it. A commit of
//! this process and a hint of another replica tell of a new end; both are hints, for [`Heads`] asks for the ends of all
//! followed logs once a second, in one statement. It knows nothing of HTTP or NATS.

mod dirty;
mod follow;
mod heads;
mod restored;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use dirty::Dirty;
pub use follow::Follow;
pub use heads::Heads;
pub use restored::{Anchor, Onward};
use tail::Tail;

use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Seq};
pub use crate::store::log::{EventPage, PageLimit};
use crate::store::{Store, StoreError};

/// The most bytes of a page whose reader does not say.
pub const PAGE_BYTES: usize = 1 << 20;

/// The logs of all accounts, to be read. Cloning shares it.
#[derive(Clone)]
pub struct Feed {
    store: Store,
    shared: Arc<Shared>,
}

struct Shared {
    tail: Mutex<Tail>,
    /// The accounts that are followed.
    ends: Mutex<HashMap<AccountId, End>>,
    /// Accounts that are followed, and whose logs have grown by what another replica wrote.
    grown: Dirty,
    relay: Dirty,
    push: Dirty,
    settings: Mutex<HashSet<AccountId>>,
}

/// The known end of a log that is followed.
struct End {
    /// The last event.
    seq: watch::Sender<Seq>,
    /// The log's epoch, once it was asked for. A log of another epoch is another log.
    epoch: Option<i32>,
}

impl Default for End {
    fn default() -> Self {
        Self { seq: watch::channel(Seq::ZERO).0, epoch: None }
    }
}

impl Feed {
    /// A feed that keeps at most `tail_bytes` of the latest events in memory.
    #[must_use]
    pub fn new(store: Store, tail_bytes: usize) -> Self {
        let shared = Shared {
            tail: Mutex::new(Tail::new(tail_bytes)),
            ends: Mutex::default(),
            grown: Dirty::default(),
            relay: Dirty::default(),
            push: Dirty::default(),
            settings: Mutex::default(),
        };
        Self { store, shared: Arc::new(shared) }
    }

    /// Takes in what this process just committed, in the order of the log for each account, and wakes its readers.
    pub fn announce(&self, events: Vec<EncodedEvent>) {
        let mut ends: Vec<(AccountId, Seq)> = Vec::new();
        for event in &events {
            match ends.last_mut() {
                Some((account, end)) if *account == event.account => *end = event.seq,
                _ => ends.push((event.account, event.seq)),
            }
        }
        let accounts: Vec<AccountId> = ends.iter().map(|(account, _)| *account).collect();
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).append(events);
        self.mark(&accounts);
        self.reached(&ends);
    }

    /// Wakes the readers of accounts that another replica wrote to. What is in memory of them no longer leads up to the
    /// end of the log, so it goes.
    pub fn written_elsewhere(&self, accounts: &[AccountId]) {
        {
            let mut tail = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
            for account in accounts {
                tail.forget(*account);
            }
        }
        self.mark(accounts);
        let followed: Vec<AccountId> = {
            let ends = self.ends();
            accounts.iter().copied().filter(|account| ends.contains_key(account)).collect()
        };
        self.shared.grown.mark(&followed);
    }

    fn mark(&self, accounts: &[AccountId]) {
        self.shared.relay.mark(accounts);
        self.shared.push.mark(accounts);
    }

    /// Tells the followers of accounts how far their logs go.
    fn reached(&self, reached: &[(AccountId, Seq)]) {
        let ends = self.ends();
        for (account, seq) in reached {
            if let Some(end) = ends.get(account) {
                end.seq.send_if_modified(|end| {
                    let is_news = *end < *seq;
                    *end = (*end).max(*seq);
                    is_news
                });
            }
        }
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<AccountId, End>> {
        self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts that the relay shall look at.
    #[must_use]
    pub fn relay(&self) -> &Dirty {
        &self.shared.relay
    }

    /// The accounts whose push endpoints shall be looked at.
    #[must_use]
    pub fn push(&self) -> &Dirty {
        &self.shared.push
    }

    /// Says that this process changed an account's push endpoints, and wakes their reader.
    pub fn settings_changed(&self, account: AccountId) {
        self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        self.shared.push.mark(&[account]);
    }

    /// Whether they were changed since this was last asked.
    #[must_use]
    pub fn take_settings_changed(&self, account: AccountId) -> bool {
        self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner).remove(&account)
    }

    /// The events after a position, in order, without a gap; none at the end of the log. Where the page says that there
    /// is no more, this process knows of no more: a reader that wants to be sure asks again until it gets none.
    pub async fn after(&self, account: AccountId, after: Seq, limit: PageLimit) -> Result<EventPage, StoreError> {
        let kept = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).after(account, after, limit);
        match kept {
            Some(page) => Ok(page),
            None => self.store.events_after(account, after, limit).await,
        }
    }

    /// Whether the event at a position is the last that this process knows of. Where another replica wrote more and its
    /// hint was lost, only [`Self::after`] can tell.
    #[must_use]
    pub fn ends_at(&self, account: AccountId, at: Seq) -> bool {
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).ends_at(account, at)
    }
}
