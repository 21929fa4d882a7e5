//! Blocked accounts: another transaction holds their lock for longer than a lane may wait.
//!
//! The commands of a blocked account stay in its queue, in their order, and the lane skips them. After a pause they are tried
//! again: one batch has the commands of all accounts that are due, and waits for no lock. That may fail again and again, for
//! example for an account that two replicas write at the same time. An account that failed [`STARVED`] times is therefore
//! tried alone with a lock that waits: PostgreSQL queues those who wait for a lock, so that the account gets its turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::AccountId;

/// The failed attempts after which an account is tried alone.
const STARVED: u32 = 3;

/// The first pause. It doubles with each attempt up to 256 ms and is varied by a random factor between 0.5 and 1.5.
const PAUSE: Duration = Duration::from_millis(2);
const DOUBLINGS: u32 = 7;

#[derive(Default)]
pub(super) struct Blocked {
    accounts: BTreeMap<AccountId, Entry>,
    /// Commands of blocked accounts in batches that are being executed.
    in_flight: usize,
}

struct Entry {
    /// Failed attempts.
    attempts: u32,
    due: Instant,
    /// Its commands in a batch that is being executed. While there are any, the account is in no other batch.
    in_flight: usize,
}

impl Blocked {
    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn contains(&self, account: AccountId) -> bool {
        self.accounts.contains_key(&account)
    }

    /// Commands in batches that are being executed: of one account and of all blocked accounts.
    pub(super) fn in_flight(&self, account: AccountId) -> (usize, usize) {
        (self.accounts.get(&account).map_or(0, |entry| entry.in_flight), self.in_flight)
    }

    /// Accounts whose pause is over, beginning with the one that is due for longest.
    pub(super) fn due(&self, now: Instant) -> Vec<AccountId> {
        let due = self.waiting().filter(|(_, entry)| entry.due <= now);
        let mut due: Vec<(Instant, AccountId)> = due.map(|(account, entry)| (entry.due, account)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, account)| account).collect()
    }

    /// The account that is to be tried alone next, if any: the one with the most failed attempts.
    pub(super) fn starved(&self) -> Option<AccountId> {
        let starved = self.waiting().filter(|(_, entry)| entry.attempts >= STARVED);
        starved.max_by_key(|(_, entry)| entry.attempts).map(|(account, _)| account)
    }

    /// The end of the first pause to end.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting().map(|(_, entry)| entry.due).min()
    }

    /// Counts one command of a blocked account that is now in a batch.
    pub(super) fn start(&mut self, account: AccountId) {
        if let Some(entry) = self.accounts.get_mut(&account) {
            entry.in_flight += 1;
            self.in_flight += 1;
        }
    }

    /// Records a failed attempt to lock an account. Returns true when the account starves from now on.
    pub(super) fn block(&mut self, account: AccountId, now: Instant) -> bool {
        let entry = self.accounts.entry(account).or_insert(Entry { attempts: 0, due: now, in_flight: 0 });
        let pause = PAUSE * 2_u32.pow(entry.attempts.min(DOUBLINGS));
        // Saturates, because an account may stay blocked for ever and more than [`STARVED`] attempts make no difference.
        entry.attempts = entry.attempts.saturating_add(1);
        entry.due = now + pause.mul_f64(0.5 + rand::random::<f64>());
        self.in_flight -= std::mem::take(&mut entry.in_flight);
        entry.attempts == STARVED
    }

    /// Ends the block of an account, because its lock was acquired or no command of it waits. Returns whether it was blocked.
    pub(super) fn release(&mut self, account: AccountId) -> bool {
        let entry = self.accounts.remove(&account);
        self.in_flight -= entry.as_ref().map_or(0, |entry| entry.in_flight);
        entry.is_some()
    }

    fn waiting(&self) -> impl Iterator<Item = (AccountId, &Entry)> {
        self.accounts.iter().filter(|(_, entry)| entry.in_flight == 0).map(|(account, entry)| (*account, entry))
    }
}
