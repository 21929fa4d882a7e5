//! Accounts that a worker must process.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Instant;

use tokio::sync::Notify;

use crate::domain::{AccountId, Seq};

/// An account whose stored cursor was found before the end of its log.
#[derive(Debug, Clone, Copy)]
pub struct Behind {
    /// The account.
    pub account: AccountId,
    /// The end of the log.
    pub head: Seq,
    /// A moment before both were read: a cursor that was saved later may not have been seen.
    pub seen_at: Instant,
}

/// A set of accounts, and the notification of its reader. An account that is marked while it is processed is processed
/// again.
#[derive(Default)]
pub struct Dirty {
    accounts: Mutex<HashSet<AccountId>>,
    behind: Mutex<Vec<Behind>>,
    wake: Arc<Notify>,
}

impl Dirty {
    /// Adds accounts and wakes the reader.
    pub fn mark(&self, accounts: &[AccountId]) {
        if accounts.is_empty() {
            return;
        }
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).extend(accounts);
        self.wake.notify_one();
    }

    /// Takes all accounts out and returns those for which `ours` holds; the others belong to another replica.
    pub fn take(&self, ours: impl Fn(AccountId) -> bool) -> Vec<AccountId> {
        let taken = std::mem::take(&mut *self.accounts.lock().unwrap_or_else(PoisonError::into_inner));
        taken.into_iter().filter(|account| ours(*account)).collect()
    }

    /// Reports all accounts that a sweep found, in place of those of the sweep before, and wakes the reader.
    pub fn report(&self, behind: Vec<Behind>) {
        if behind.is_empty() {
            return;
        }
        *self.behind.lock().unwrap_or_else(PoisonError::into_inner) = behind;
        self.wake.notify_one();
    }

    /// Takes the accounts of the last report.
    pub fn take_reported(&self) -> Vec<Behind> {
        std::mem::take(&mut *self.behind.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The notification of the reader.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
