//! Reading an account's log from a position on: the one reader behind the relay, the change feed, SSE and webhooks.
//!
//! Events come from memory where the last ones of an account are kept and fit at the position, else from the log in
//! PostgreSQL; the reader cannot tell, and gets every event once and in order. What wakes a reader is a hint: a
//! reader that is never woken still sees everything on its sweep. It knows nothing of HTTP or NATS.

mod dirty;
mod tail;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

pub use dirty::Dirty;
use tail::Tail;

use crate::contract::Wire;
use crate::domain::{AccountId, Seq};
use crate::store::{Store, StoreError};

/// A follower that nothing woke looks again after this time.
const SWEEP: Duration = Duration::from_secs(2);

/// The logs of all accounts, to be read. Cloning shares it.
#[derive(Clone)]
pub struct Feed {
    store: Store,
    shared: Arc<Shared>,
}

struct Shared {
    tail: Mutex<Tail>,
    followers: Mutex<HashMap<AccountId, watch::Sender<()>>>,
    relay: Dirty,
    push: Dirty,
    settings: Mutex<HashSet<AccountId>>,
}

impl Feed {
    /// A feed that keeps at most `tail_bytes` of the latest events in memory.
    #[must_use]
    pub fn new(store: Store, tail_bytes: usize) -> Self {
        let shared = Shared {
            tail: Mutex::new(Tail::new(tail_bytes)),
            followers: Mutex::default(),
            relay: Dirty::default(),
            push: Dirty::default(),
            settings: Mutex::default(),
        };
        Self { store, shared: Arc::new(shared) }
    }

    /// Takes in what this process just committed, in the order of the log for each account, and wakes its readers.
    pub fn announce(&self, events: Vec<Wire>) {
        let mut accounts: Vec<AccountId> = events.iter().map(|event| event.account).collect();
        accounts.dedup();
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).append(events);
        self.wake(&accounts);
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
        self.wake(accounts);
    }

    fn wake(&self, accounts: &[AccountId]) {
        self.shared.relay.mark(accounts);
        self.shared.push.mark(accounts);
        let followers = self.shared.followers.lock().unwrap_or_else(PoisonError::into_inner);
        for account in accounts {
            if let Some(follower) = followers.get(account) {
                follower.send_replace(());
            }
        }
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

    /// At most `limit` events after a position, in order, without a gap; empty at the end of the log. Fewer than `limit`
    /// are all that this process knows of: a reader that wants to be sure asks again until it gets none.
    pub async fn after(&self, account: AccountId, after: Seq, limit: usize) -> Result<Vec<Wire>, StoreError> {
        let kept = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).after(account, after, limit);
        match kept {
            Some(events) => Ok(events),
            None => self.store.events_after(account, after, limit).await,
        }
    }

    /// Whether the event at a position is the last that this process knows of. Where another replica wrote more and its
    /// hint was lost, only [`Self::after`] can tell.
    #[must_use]
    pub fn ends_at(&self, account: AccountId, at: Seq) -> bool {
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).ends_at(account, at)
    }

    /// Follows an account's log from a position on.
    #[must_use]
    pub fn follow(&self, account: AccountId, from: Seq) -> Follow {
        let mut followers = self.shared.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.retain(|_, sender| sender.receiver_count() > 0);
        let woken = followers.entry(account).or_insert_with(|| watch::channel(()).0).subscribe();
        Follow { feed: self.clone(), account, at: from, woken }
    }
}

/// A reader of one account's log.
pub struct Follow {
    feed: Feed,
    account: AccountId,
    at: Seq,
    woken: watch::Receiver<()>,
}

impl Follow {
    /// The position of the last event that was read.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.at
    }

    /// The next events, at least one and at most `limit`; waits for them. Dropping the future loses nothing.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Wire>, StoreError> {
        loop {
            // Seen before looking, so that nothing that comes while we look is missed.
            self.woken.borrow_and_update();
            let events = self.feed.after(self.account, self.at, limit).await?;
            if let Some(last) = events.last() {
                self.at = last.seq;
                return Ok(events);
            }
            // The time-out is the sweep; that the sender is gone cannot be, for the feed holds it while we listen.
            let _woken_or_swept = tokio::time::timeout(SWEEP, self.woken.changed()).await;
        }
    }
}
