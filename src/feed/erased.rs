//! Erasures: events that were changed in the log are not used in their former form.
//!
//! A replica uses the events that it keeps only for as long as it is sure to learn of every erasure: after each look for new
//! ones it [may](Feed::trust_memory) use them for some seconds. A process that is paused for longer reads the log when it
//! resumes.

use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use super::Feed;
use super::tail::Tail;
use crate::clock;
use crate::domain::{AccountId, Seq};

impl Feed {
    /// Drops an account's events from memory, and keeps none up to this position from now on. Those after it were appended
    /// after the erasure.
    pub fn erase(&self, account: AccountId, through: Seq) {
        self.tail().erase(account, through);
    }

    /// The position up to which events of the account may have been changed in the log since they were read.
    #[must_use]
    pub fn erased_through(&self, account: AccountId) -> Seq {
        self.tail().erased_through(account)
    }

    /// Drops the events of all accounts from memory.
    pub fn forget_all(&self) {
        self.tail().clear();
    }

    /// Permits the use of events in memory until then.
    pub fn trust_memory(&self, until: Instant) {
        self.tail().trust(until);
    }

    /// The events in memory that may be used now.
    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        let mut tail = self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.drop_untrusted(clock::instant());
        tail
    }
}
