//! What waits in a lane: a queue per account, served in turn, so that one importer does not delay the others.

use std::collections::{HashMap, VecDeque};

use super::Pending;
use crate::domain::AccountId;

/// Commands that one account may put into a batch before the next account's turn.
const TURN: usize = 8;

/// Bounded per account and in all.
pub(super) struct Queue {
    per_account: usize,
    in_all: usize,
    waiting: HashMap<AccountId, VecDeque<Pending>>,
    /// Accounts with something waiting, each once, in the order of their turns.
    turns: VecDeque<AccountId>,
    len: usize,
}

/// The order was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(per_account: usize, in_all: usize) -> Self {
        Self { per_account, in_all, waiting: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, pending: Pending) -> Result<(), Full> {
        let account = pending.order.account;
        let own = self.waiting.get(&account).map_or(0, VecDeque::len);
        if self.len >= self.in_all || own >= self.per_account {
            return Err(Full);
        }
        let waiting = self.waiting.entry(account).or_default();
        if waiting.is_empty() {
            self.turns.push_back(account);
        }
        waiting.push_back(pending);
        self.len += 1;
        Ok(())
    }

    /// The next batch: at most so many commands and bytes, but at least one where any waits. An account's commands
    /// keep their order.
    pub(super) fn take(&mut self, commands: usize, bytes: usize) -> Vec<Pending> {
        let mut batch = Vec::with_capacity(self.len.min(commands));
        let mut weight = 0;
        while let Some(account) = self.turns.pop_front() {
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
                self.turns.push_back(account);
            }
            if batch.len() >= commands || weight >= bytes {
                break;
            }
        }
        batch
    }
}
