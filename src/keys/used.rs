//! When keys were last used, to the minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::{AccountId, Timestamp};
use crate::store::Store;
use crate::store::keys::Used;
use crate::worker::{Step, Worker};

/// A key's use is written again after this time at the earliest.
const WRITTEN_EVERY: time::Duration = time::Duration::MINUTE;

/// Notes that keys are used, and writes it down aside from the calls: none of them waits for it or fails by it. Cloning
/// shares the notes.
#[derive(Clone)]
pub struct LastUsed {
    store: Store,
    clock: Clock,
    notes: Arc<Mutex<BTreeMap<(AccountId, Uuid), Note>>>,
    wake: Arc<Notify>,
}

#[derive(Debug, Clone, Copy)]
struct Note {
    at: Timestamp,
    written: bool,
}

impl LastUsed {
    /// Nothing is noted yet.
    #[must_use]
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, notes: Arc::default(), wake: Arc::default() }
    }

    /// The key is used now.
    pub fn note(&self, account: AccountId, key_id: Uuid, at: Timestamp) {
        let mut notes = self.notes();
        let known = notes.get(&(account, key_id));
        if known.is_some_and(|note| at < note.at + WRITTEN_EVERY) {
            return;
        }
        notes.insert((account, key_id), Note { at, written: false });
        drop(notes);
        self.wake.notify_one();
    }

    fn unwritten(&self) -> Vec<Used> {
        let mut notes = self.notes();
        let now = self.clock.now();
        notes.retain(|_, note| !note.written || now < note.at + WRITTEN_EVERY);
        let unwritten = notes.iter().filter(|(_, note)| !note.written);
        unwritten.map(|((account, key_id), note)| Used { account: *account, key_id: *key_id, at: note.at }).collect()
    }

    fn notes(&self) -> MutexGuard<'_, BTreeMap<(AccountId, Uuid), Note>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker for LastUsed {
    const NAME: &'static str = "last-used";
    const SWEEP: Duration = Duration::from_mins(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let used = self.unwritten();
        if used.is_empty() {
            return Ok(Step::Idle);
        }
        self.store.keys_used(&used).await?;
        let mut notes = self.notes();
        for used in &used {
            if let Some(note) = notes.get_mut(&(used.account, used.key_id)) {
                note.written |= note.at == used.at;
            }
        }
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
