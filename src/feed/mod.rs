//! Reads an account's log from a position on, for the relay, the change feed, SSE and webhooks.
//!
//! Events come from memory where the latest ones of the account are kept and follow the position, otherwise from the log
//! in PostgreSQL. The reader gets every event once and in order in both cases. A page is limited by events and by bytes.
//!
//! Followers of an account share the known end of its log, and read only when their position is before it. A commit of
//! this process and a hint of another replica announce a new end. Both may be missed, because [`Heads`] reads the ends of
//! all followed logs once a second, in one statement. This module knows nothing of HTTP or NATS.

mod dirty;
mod erased;
mod expiry;
mod follow;
mod heads;
mod restored;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use dirty::{Behind, Dirty};
pub use expiry::Expiry;
pub use follow::Follow;
pub use heads::Heads;
pub use restored::{Anchor, Onward};
use tail::Tail;

use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Seq};
pub use crate::store::log::{EventPage, PageLimit};
use crate::store::{Store, StoreError};

/// The page size, in bytes, of a reader that needs no other.
pub const PAGE_BYTES: usize = 1 << 20;

/// Reads the logs of all accounts. Cloning shares it.
#[derive(Clone)]
pub struct Feed {
    store: Store,
    shared: Arc<Shared>,
}

struct Shared {
    tail: Mutex<Tail>,
    /// The accounts that are followed.
    ends: Mutex<HashMap<AccountId, End>>,
    /// Followed accounts that another replica has written to.
    grown: Dirty,
    relay: Dirty,
    push: Dirty,
    settings: Mutex<HashSet<AccountId>>,
}

/// The known end of a log that is followed.
struct End {
    /// The last event.
    seq: watch::Sender<Seq>,
    /// The log's epoch, once it was read. A log of another epoch is another log.
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

    /// Announces events that this process has committed, in log order for each account, and wakes their readers.
    pub fn announce(&self, events: Vec<EncodedEvent>) {
        let mut ends: Vec<(AccountId, Seq)> = Vec::new();
        for event in &events {
            match ends.last_mut() {
                Some((account, end)) if *account == event.account => *end = event.seq,
                _ => ends.push((event.account, event.seq)),
            }
        }
        let accounts: Vec<AccountId> = ends.iter().map(|(account, _)| *account).collect();
        self.tail().append(events);
        self.mark(&accounts);
        self.reached(&ends);
    }

    /// Wakes the readers of accounts that another replica wrote to. Their events in memory are dropped, because they no
    /// longer reach the end of the log.
    pub fn written_elsewhere(&self, accounts: &[AccountId]) {
        {
            let mut tail = self.tail();
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

    /// Announces the ends of logs to their followers.
    fn reached(&self, reached: &[(AccountId, Seq)]) {
        let ends = self.ends();
        for (account, seq) in reached {
            if let Some(end) = ends.get(account) {
                end.seq.send_if_modified(|end| {
                    let has_grown = *end < *seq;
                    *end = (*end).max(*seq);
                    has_grown
                });
            }
        }
    }

    fn ends(&self) -> MutexGuard<'_, HashMap<AccountId, End>> {
        self.shared.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The accounts that the relay must publish.
    #[must_use]
    pub fn relay(&self) -> &Dirty {
        &self.shared.relay
    }

    /// The accounts whose push endpoints have work.
    #[must_use]
    pub fn push(&self) -> &Dirty {
        &self.shared.push
    }

    /// Announces that this process changed an account's push endpoints, and wakes their reader.
    pub fn settings_changed(&self, account: AccountId) {
        self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner).insert(account);
        self.shared.push.mark(&[account]);
    }

    /// Whether an account's push endpoints were changed since the last call.
    #[must_use]
    pub fn take_settings_changed(&self, account: AccountId) -> bool {
        self.shared.settings.lock().unwrap_or_else(PoisonError::into_inner).remove(&account)
    }

    /// The events after a position, in order and without a gap; none at the end of the log. A page without `more` means that
    /// this process knows of no more events; a reader that must be sure reads until it gets none.
    pub async fn after(&self, account: AccountId, after: Seq, limit: PageLimit) -> Result<EventPage, StoreError> {
        let kept = self.tail().after(account, after, limit);
        match kept {
            Some(page) => Ok(page),
            None => self.store.events_after(account, after, limit).await,
        }
    }

    /// Whether the event at a position is the last that this process knows of. Only [`Self::after`] finds events of another
    /// replica whose hint was lost.
    #[must_use]
    pub fn ends_at(&self, account: AccountId, at: Seq) -> bool {
        self.tail().ends_at(account, at)
    }
}
