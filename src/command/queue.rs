//! What waits in a lane: a queue per account, served in turn, so that one importer does not delay the others.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Pending;
use super::blocked::Blocked;
use crate::domain::AccountId;

/// Commands that one account may put into a batch before the next account's turn.
const TURN: usize = 8;

/// Bounded per account and in all. What is put back was within the bounds before, and is taken beyond them.
pub(super) struct Queue {
    per_account: usize,
    in_all: usize,
    waiting: HashMap<AccountId, VecDeque<Pending>>,
    /// Accounts with something waiting that are not blocked, each once, in the order of their turns.
    turns: VecDeque<AccountId>,
    blocked: Blocked,
    len: usize,
}

/// The order was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(per_account: usize, in_all: usize) -> Self {
        let (waiting, turns, blocked) = (HashMap::new(), VecDeque::new(), Blocked::default());
        Self { per_account, in_all, waiting, turns, blocked, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many accounts are blocked.
    pub(super) fn blocked(&self) -> usize {
        self.blocked.len()
    }

    pub(super) fn push(&mut self, pending: Pending) -> Result<(), Full> {
        let account = pending.order.account;
        let (own, all) = self.blocked.in_flight(account);
        let own = own + self.waiting.get(&account).map_or(0, VecDeque::len);
        if self.len + all >= self.in_all || own >= self.per_account {
            return Err(Full);
        }
        let waiting = self.waiting.entry(account).or_default();
        if waiting.is_empty() && !self.blocked.contains(account) {
            self.turns.push_back(account);
        }
        waiting.push_back(pending);
        self.len += 1;
        Ok(())
    }

    /// The next batch: at most so many commands and bytes, but at least one where any waits. An account's commands
    /// keep their order. Nothing of blocked accounts is in it.
    pub(super) fn take(&mut self, commands: usize, bytes: usize) -> Vec<Pending> {
        let mut turns = std::mem::take(&mut self.turns);
        let batch = self.drain(&mut turns, commands, bytes);
        self.turns = turns;
        batch
    }

    /// The next batch of blocked accounts that may be tried again.
    pub(super) fn take_due(&mut self, now: Instant, commands: usize, bytes: usize) -> Vec<Pending> {
        self.take_blocked(self.blocked.due(now).into(), commands, bytes)
    }

    /// The next batch of one account that is to be tried alone.
    pub(super) fn take_starved(&mut self, commands: usize, bytes: usize) -> Vec<Pending> {
        self.take_blocked(self.blocked.starved().into_iter().collect(), commands, bytes)
    }

    /// When [`Self::take_due`] has something.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.blocked.next_due()
    }

    /// Puts commands back before those that wait, in their order: another transaction holds the lock on their accounts,
    /// which are blocked from now on. Takes out those that have waited for longer than `patience`.
    pub(super) fn put_back(&mut self, commands: Vec<Pending>, now: Instant, patience: Duration) -> Vec<Pending> {
        let mut accounts = BTreeSet::new();
        for pending in commands.into_iter().rev() {
            let account = pending.order.account;
            accounts.insert(account);
            self.waiting.entry(account).or_default().push_front(pending);
            self.len += 1;
        }
        let mut late = Vec::new();
        for account in accounts {
            self.turns.retain(|other| *other != account);
            if self.blocked.block(account, now) {
                tracing::warn!(%account, "writes wait: another transaction holds the lock on the account");
            }
            let Some(waiting) = self.waiting.get_mut(&account) else { continue };
            let is_late = |pending: &mut Pending| now.saturating_duration_since(pending.arrived) >= patience;
            while let Some(pending) = waiting.pop_front_if(is_late) {
                late.push(pending);
                self.len -= 1;
            }
            if waiting.is_empty() {
                self.waiting.remove(&account);
                self.blocked.release(account);
            }
        }
        late
    }

    /// The commands of these accounts that were taken have ended. Where one was blocked, it takes turns again.
    pub(super) fn ended(&mut self, accounts: impl IntoIterator<Item = AccountId>) {
        for account in accounts {
            if self.blocked.release(account) && self.waiting.contains_key(&account) {
                self.turns.push_back(account);
            }
        }
    }

    fn take_blocked(&mut self, mut turns: VecDeque<AccountId>, commands: usize, bytes: usize) -> Vec<Pending> {
        let batch = self.drain(&mut turns, commands, bytes);
        for pending in &batch {
            self.blocked.tried(pending.order.account, 1);
        }
        batch
    }

    fn drain(&mut self, turns: &mut VecDeque<AccountId>, commands: usize, bytes: usize) -> Vec<Pending> {
        let mut batch = Vec::with_capacity(self.len.min(commands));
        let mut weight = 0;
        while let Some(account) = turns.pop_front() {
            let Some(waiting) = self.waiting.get_mut(&account) else { continue };
            for _ in 0..TURN {
                let full = batch.len() >= commands || weight >= bytes;
                let Some(pending) = (if full { None } else { waiting.pop_front() }) else { break };
                weight += pending.order.bytes;
                batch.push(pending);
                self.len -= 1;
            }
            if waiting.is_empty() {
                self.waiting.remove(&account);
            } else {
                turns.push_back(account);
            }
            if batch.len() >= commands || weight >= bytes {
                break;
            }
        }
        batch
    }
}
