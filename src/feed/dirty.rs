//! Accounts that a worker shall look at.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::domain::AccountId;

/// A set of accounts and what wakes its reader. An account that is marked while it is looked at is looked at again.
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

    /// Takes the accounts out for which `ours` holds; the others are dropped, since another replica looks at them.
    pub fn take(&self, ours: impl Fn(AccountId) -> bool) -> Vec<AccountId> {
        let taken = std::mem::take(&mut *self.accounts.lock().unwrap_or_else(PoisonError::into_inner));
        taken.into_iter().filter(|account| ours(*account)).collect()
    }

    /// What wakes the reader.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
