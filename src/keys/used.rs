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

/// The interval at which uses are written, those of all keys together: of an installation with many accounts, each of
/// which calls seldom, a statement for each use would be one for each call.
const WRITES: Duration = Duration::from_secs(1);

/// Keys of one statement.
const MAX_WRITTEN: usize = 1_000;

/// Records uses of keys and writes them in the background, so that no call waits for the write or fails with it. Cloning
/// shares the record.
#[derive(Clone)]
pub struct LastUsed {
    store: Store,
    notes: Arc<Mutex<Notes>>,
}

/// Used keys, by a monotonic clock; the database's clock dates the use when it is written.
#[derive(Default)]
struct Notes {
    /// The last use of each key that was written or is to be.
    noted: BTreeMap<(AccountId, Uuid), Instant>,
    /// Those that are not written yet.
    unwritten: BTreeMap<(AccountId, Uuid), Instant>,
    /// The last removal of old notes.
    swept_at: Option<Instant>,
}

impl LastUsed {
    /// No use is recorded yet.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, notes: Arc::default() }
    }

    /// Records that a key is used now.
    pub fn note(&self, account: AccountId, key_id: Uuid) {
        self.notes().note((account, key_id), clock::instant());
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Records a use; it is written unless another one was noted within the last minute.
    fn note(&mut self, key: (AccountId, Uuid), now: Instant) {
        let noted_at = self.noted.get(&key);
        if noted_at.is_none_or(|at| now.saturating_duration_since(*at) >= WRITE_INTERVAL) {
            self.noted.insert(key, now);
            self.unwritten.insert(key, now);
        }
    }

    /// The uses to be written. Forgets old ones that are written.
    fn unwritten(&mut self, now: Instant) -> Vec<((AccountId, Uuid), Instant)> {
        if self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= WRITE_INTERVAL) {
            self.swept_at = Some(now);
            self.noted.retain(|_, at| now.saturating_duration_since(*at) < WRITE_INTERVAL);
        }
        self.unwritten.iter().map(|(key, at)| (*key, *at)).collect()
    }

    fn written(&mut self, uses: &[((AccountId, Uuid), Instant)]) {
        for (key, at) in uses {
            // A use since then is another one.
            if self.unwritten.get(key) == Some(at) {
                self.unwritten.remove(key);
            }
        }
    }
}

impl Worker for LastUsed {
    const NAME: &'static str = "last-used";
    const SWEEP: Duration = WRITES;

    async fn step(&mut self) -> anyhow::Result<Step> {
        let now = clock::instant();
        let uses = self.notes().unwritten(now);
        for uses in uses.chunks(MAX_WRITTEN) {
            let used = uses.iter().map(|((account, key_id), at)| Used {
                account: *account,
                key_id: *key_id,
                ago: now.saturating_duration_since(*at),
            });
            self.store.keys_used(&used.collect::<Vec<_>>()).await?;
            self.notes().written(uses);
        }
        Ok(Step::Idle)
    }

    async fn finish(&mut self) -> anyhow::Result<()> {
        self.step().await.map(drop)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
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
        notes.note(key, at(0));
        assert_eq!(notes.unwritten(at(1)), [(key, at(0))]);
        assert_eq!(notes.unwritten(at(1)), [(key, at(0))], "what is not written is written later");
        notes.written(&[(key, at(0))]);
        notes.note(key, at(59));
        assert_eq!(notes.unwritten(at(59)), []);
        notes.note(key, at(60));
        notes.written(&[(key, at(0))]);
        assert_eq!(notes.unwritten(at(61)), [(key, at(60))], "a use since then is another one");
    }
}
