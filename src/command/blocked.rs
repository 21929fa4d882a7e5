//! Accounts whose lock another transaction holds for longer than a lane may wait.
//!
//! Their commands stay in the account's queue, in their order, and the lane passes them by. They are tried again after a
//! pause, all that are due in one batch that waits for no lock. An account that was not got a few times, as one that two
//! replicas write at once may not be, is then tried alone with a lock that waits: the locks of PostgreSQL queue, so it
//! gets its turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::AccountId;

/// An account that was not got so often is tried alone.
const STARVED: u32 = 3;

/// The first pause doubles with each attempt up to 256 ms.
const PAUSE: Duration = Duration::from_millis(2);
const DOUBLINGS: u32 = 7;

#[derive(Default)]
pub(super) struct Blocked {
    accounts: BTreeMap<AccountId, Entry>,
    /// Commands that are being tried.
    in_flight: usize,
}

struct Entry {
    /// How often it was not got.
    attempts: u32,
    due: Instant,
    /// Its commands that are being tried; nobody else tries the account then.
    in_flight: usize,
}

impl Blocked {
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn contains(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Commands that are being tried: of one account, and in all.
    pub(super) fn in_flight(&self, account: AccountId) -> (usize, usize) {
        (self.accounts.get(&account).map_or(0, |entry| entry.in_flight), self.in_flight)
    }

    /// Accounts that may be tried now, those that have waited longest first.
    pub(super) fn due(&self, now: Instant) -> Vec<AccountId> {
        let due = self.waiting().filter(|(_, entry)| entry.due <= now);
        let mut due: Vec<(Instant, AccountId)> = due.map(|(account, entry)| (entry.due, account)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, account)| account).collect()
    }

    /// The account that is to be tried alone next, where there is one.
    pub(super) fn starved(&self) -> Option<AccountId> {
        let starved = self.waiting().filter(|(_, entry)| entry.attempts >= STARVED);
        starved.max_by_key(|(_, entry)| entry.attempts).map(|(account, _)| account)
    }

    /// When the next account may be tried.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting().map(|(_, entry)| entry.due).min()
    }

    /// The number of an account's commands that are being tried.
    pub(super) fn tried(&mut self, account: AccountId, commands: usize) {
        if let Some(entry) = self.accounts.get_mut(&account) {
            entry.in_flight += commands;
            self.in_flight += commands;
        }
    }

    /// The account's lock was not got. Returns whether that is now known of an account that starves.
    pub(super) fn block(&mut self, account: AccountId, now: Instant) -> bool {
        let entry = self.accounts.entry(account).or_insert(Entry { attempts: 0, due: now, in_flight: 0 });
        let pause = PAUSE * 2_u32.pow(entry.attempts.min(DOUBLINGS));
        entry.attempts = entry.attempts.saturating_add(1);
        entry.due = now + pause.mul_f64(0.5 + rand::random::<f64>());
        self.in_flight -= std::mem::take(&mut entry.in_flight);
        entry.attempts == STARVED
    }

    /// The account's lock was got, or nothing of it waits any more. Returns whether it was blocked.
    pub(super) fn release(&mut self, account: AccountId) -> bool {
        let entry = self.accounts.remove(&account);
        self.in_flight -= entry.as_ref().map_or(0, |entry| entry.in_flight);
        entry.is_some()
    }

    fn waiting(&self) -> impl Iterator<Item = (AccountId, &Entry)> {
        self.accounts.iter().filter(|(_, entry)| entry.in_flight == 0).map(|(account, entry)| (*account, entry))
    }
}
