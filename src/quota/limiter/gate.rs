//! The revision gate: whether an account is still as the replica knows it, at a moment after its call arrived.
//!
//! A call that is taken from memory costs no reservation, which would report a deleted key or a changed tier. Therefore it
//! waits for the account's revision. All waiting callers, of all accounts, share one statement that only reads; those that
//! arrive meanwhile share the next one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::domain::AccountId;
use crate::store::accounts::AccountState;
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

type StateWaiters = BTreeMap<AccountId, Vec<oneshot::Sender<Option<AccountState>>>>;

/// The callers that wait for their accounts' revisions. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct RevisionGate {
    waiting: Arc<Mutex<StateWaiters>>,
    wake: Arc<Notify>,
}

impl RevisionGate {
    /// Returns the account's state at a moment after this call; `None` inside where there is no such account, and outside
    /// where the database did not respond.
    pub(super) async fn state(&self, account: AccountId) -> Option<Option<AccountState>> {
        let (sender, state) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting();
            let is_first = waiting.is_empty();
            waiting.entry(account).or_default().push(sender);
            is_first
        };
        // The reader of the others is awake already.
        if is_first {
            self.wake.notify_one();
        }
        state.await.ok()
    }

    /// Reads the states that callers wait for; false where none waits. After an error the callers get nothing.
    async fn read(&self, store: &Store) -> Result<bool, StoreError> {
        let waiting = std::mem::take(&mut *self.waiting());
        if waiting.is_empty() {
            return Ok(false);
        }
        let accounts: Vec<AccountId> = waiting.keys().copied().collect();
        let states: BTreeMap<AccountId, AccountState> = store.account_states(&accounts).await?.into_iter().collect();
        for (account, callers) in waiting {
            let state = states.get(&account).copied();
            for caller in callers {
                // A caller that has gone away needs no state.
                let _gone = caller.send(state);
            }
        }
        Ok(true)
    }

    fn waiting(&self) -> MutexGuard<'_, StateWaiters> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker that reads accounts' revisions when callers wait for them.
pub struct RevisionReader {
    gate: RevisionGate,
    store: Store,
}

impl RevisionReader {
    pub(super) fn new(gate: RevisionGate, store: Store) -> Self {
        Self { gate, store }
    }
}

impl Worker for RevisionReader {
    const NAME: &'static str = "revisions";
    const SWEEP: Duration = Duration::from_secs(1);
    /// Callers wait for the next statement after one that failed.
    const MAX_PAUSE: Duration = Duration::from_millis(500);

    async fn step(&mut self) -> anyhow::Result<Step> {
        // Requests that have arrived meanwhile join the statement: under load this makes it several times larger.
        tokio::task::yield_now().await;
        Ok(if self.gate.read(&self.store).await? { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.gate.wake)
    }
}
