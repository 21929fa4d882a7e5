//! The commands that wait in a lane: a queue per account, served in turns, so that one account's import does not delay the
//! other accounts.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::Pending;
use super::blocked::Blocked;
use crate::domain::AccountId;

/// The most commands of one account in a row; then it is the next account's turn.
const TURN: usize = 8;

/// Bounded per account and in total. Commands that are put back were within the bounds before and are accepted beyond them.
pub(super) struct Queue {
    per_account: usize,
    total: usize,
    waiting: HashMap<AccountId, VecDeque<Pending>>,
    /// Accounts with waiting commands that are not blocked, each once, in the order of their turns.
    turns: VecDeque<AccountId>,
    blocked: Blocked,
    len: usize,
}

/// The command was not queued, because a bound is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(per_account: usize, total: usize) -> Self {
        let (waiting, turns, blocked) = (HashMap::new(), VecDeque::new(), Blocked::default());
        Self { per_account, total, waiting, turns, blocked, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The arrival of the command that has waited longest. Looks at every account with waiting commands.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting.values().filter_map(|waiting| Some(waiting.front()?.arrived)).min()
    }

    /// The number of blocked accounts.
    pub(super) fn blocked(&self) -> usize {
        self.blocked.len()
    }

    pub(super) fn push(&mut self, pending: Pending) -> Result<(), Full> {
        self.push_all(pending.envelope.account, vec![pending])
    }

    /// Queues commands of one account, all or none.
    pub(super) fn push_all(&mut self, account: AccountId, all_pending: Vec<Pending>) -> Result<(), Full> {
        let (own, all) = self.blocked.in_flight(account);
        let own = own + self.waiting.get(&account).map_or(0, VecDeque::len);
        let more = all_pending.len();
        if self.len + all + more > self.total || own + more > self.per_account {
            return Err(Full);
        }
        let waiting = self.waiting.entry(account).or_default();
        if waiting.is_empty() && !self.blocked.contains(account) {
            self.turns.push_back(account);
        }
        waiting.extend(all_pending);
        self.len += more;
        Ok(())
    }

    /// Takes the next batch: up to `commands` commands, ending with the one that reaches `bytes` bytes. The commands of an
    /// account keep their order. Commands of blocked accounts are left out.
    pub(super) fn take(&mut self, commands: usize, bytes: usize) -> Vec<Pending> {
        let mut turns = std::mem::take(&mut self.turns);
        let batch = self.drain(&mut turns, commands, bytes);
        self.turns = turns;
        batch
    }

    /// Takes the next batch of blocked accounts whose pause is over.
    pub(super) fn take_due(&mut self, now: Instant, commands: usize, bytes: usize) -> Vec<Pending> {
        self.take_blocked(self.blocked.due(now).into(), commands, bytes)
    }

    /// Takes the next batch of one starving account, see [`Blocked::starved`].
    pub(super) fn take_starved(&mut self, commands: usize, bytes: usize) -> Vec<Pending> {
        self.take_blocked(self.blocked.starved().into_iter().collect(), commands, bytes)
    }

    /// The time at which [`Self::take_due`] has a batch.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.blocked.next_due()
    }

    /// Blocks the accounts of these commands, because another transaction holds their locks, and puts the commands back
    /// before those that wait, in their order. Removes and returns the commands that have waited for `max_wait`.
    pub(super) fn put_back(&mut self, commands: Vec<Pending>, now: Instant, max_wait: Duration) -> Vec<Pending> {
        let mut accounts = BTreeSet::new();
        for pending in commands.into_iter().rev() {
            let account = pending.envelope.account;
            accounts.insert(account);
            self.waiting.entry(account).or_default().push_front(pending);
            self.len += 1;
        }
        let mut expired = Vec::new();
        for account in accounts {
            self.turns.retain(|other| *other != account);
            if self.blocked.block(account, now) {
                tracing::warn!(%account, "locking an account failed: another transaction holds the lock; its writes wait");
            }
            let Some(waiting) = self.waiting.get_mut(&account) else { continue };
            // Saturates, because a command may have arrived after `now`.
            let is_expired = |pending: &mut Pending| now.saturating_duration_since(pending.arrived) >= max_wait;
            while let Some(pending) = waiting.pop_front_if(is_expired) {
                expired.push(pending);
                self.len -= 1;
            }
            if waiting.is_empty() {
                self.waiting.remove(&account);
                self.blocked.release(account);
            }
        }
        expired
    }

    /// Records that the commands which were taken of these accounts have ended. Accounts that were blocked take turns again.
    pub(super) fn finish(&mut self, accounts: impl IntoIterator<Item = AccountId>) {
        for account in accounts {
            if self.blocked.release(account) && self.waiting.contains_key(&account) {
                self.turns.push_back(account);
            }
        }
    }

    fn take_blocked(&mut self, mut turns: VecDeque<AccountId>, commands: usize, bytes: usize) -> Vec<Pending> {
        let batch = self.drain(&mut turns, commands, bytes);
        for pending in &batch {
            self.blocked.start(pending.envelope.account);
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
                weight += pending.envelope.bytes;
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
