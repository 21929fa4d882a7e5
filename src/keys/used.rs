//! The last use of each key, to the minute.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock;
use crate::domain::AccountId;
use crate::store::Store;
use crate::store::keys::Used;
use crate::worker::{Step, Worker};

/// The shortest interval between two writes of one key's use.
const WRITE_INTERVAL: Duration = Duration::from_mins(1);

/// Records uses of keys and writes them in the background, so that no call waits for the write or fails with it. Cloning
/// shares the record.
#[derive(Clone)]
pub struct LastUsed {
    store: Store,
    notes: Arc<Mutex<Notes>>,
    wake: Arc<Notify>,
}

/// Used keys, by a monotonic clock; the database's clock dates the use when it is written.
#[derive(Default)]
struct Notes(BTreeMap<(AccountId, Uuid), Note>);

#[derive(Debug, Clone, Copy)]
struct Note {
    at: Instant,
    written: bool,
}

impl LastUsed {
    /// No use is recorded yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, notes: Arc::default(), wake: Arc::default() }
    }

    /// Records that a key is used now.
    pub fn note(&self, account: AccountId, key_id: Uuid) {
        if self.notes().note((account, key_id), clock::instant()) {
            self.wake.notify_one();
        }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Records a use; returns whether it must be written.
    fn note(&mut self, key: (AccountId, Uuid), now: Instant) -> bool {
        let known = self.0.get(&key);
        let is_due = known.is_none_or(|note| now.saturating_duration_since(note.at) >= WRITE_INTERVAL);
        if is_due {
            self.0.insert(key, Note { at: now, written: false });
        }
        is_due
    }

    fn unwritten(&mut self, now: Instant) -> Vec<((AccountId, Uuid), Instant)> {
        let age = |note: &Note| now.saturating_duration_since(note.at);
        self.0.retain(|_, note| !note.written || age(note) < WRITE_INTERVAL);
        self.0.iter().filter(|(_, note)| !note.written).map(|(key, note)| (*key, note.at)).collect()
    }

    fn written(&mut self, uses: &[((AccountId, Uuid), Instant)]) {
        for (key, at) in uses {
            if let Some(note) = self.0.get_mut(key) {
                note.written |= note.at == *at;
            }
        }
    }
}

impl Worker for LastUsed {
    const NAME: &'static str = "last-used";
    const SWEEP: Duration = Duration::from_mins(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let now = clock::instant();
        let uses = self.notes().unwritten(now);
        if uses.is_empty() {
            return Ok(Step::Idle);
        }
        let used = uses.iter().map(|((account, key_id), at)| Used {
            account: *account,
            key_id: *key_id,
            ago: now.saturating_duration_since(*at),
        });
        self.store.keys_used(&used.collect::<Vec<_>>()).await?;
        self.notes().written(&uses);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_a_minute_of_a_clock_that_nobody_sets() {
        let (mut notes, began) = (Notes::default(), clock::instant());
        let key = (AccountId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(notes.note(key, at(0)));
        assert_eq!(notes.unwritten(at(1)), [(key, at(0))]);
        assert_eq!(notes.unwritten(at(1)), [(key, at(0))], "what is not written is written later");
        notes.written(&[(key, at(0))]);
        assert!(!notes.note(key, at(59)));
        assert_eq!(notes.unwritten(at(59)), []);
        assert!(notes.note(key, at(60)));
        notes.written(&[(key, at(0))]);
        assert_eq!(notes.unwritten(at(61)), [(key, at(60))], "a use since then is another one");
    }
}
