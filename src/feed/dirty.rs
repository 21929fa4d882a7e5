//! Accounts that a worker must process.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::AccountId;

/// A set of accounts, and the notification of its reader. An account that is marked while it is processed is processed
/// again.
#[derive(Default)]
pub struct Dirty {
    accounts: Mutex<HashSet<AccountId>>,
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

    /// The notification of the reader.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
