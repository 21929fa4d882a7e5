//! Writes where endpoints stand: all of them together, at most every few tens of milliseconds.
//!
//! A place that is not written yet holds its shard's lease, so that a shard is given up only once everything that was
//! delivered is on record. What a crash leaves unwritten is delivered again, under the same ids.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::{AccountId, Seq};
use crate::shard::Lease;
use crate::store::owner::{Owner, PushSave, Waiting};

/// Places are written at most this often.
const EVERY: Duration = Duration::from_millis(20);

/// Places to be written. Cloning shares it.
#[derive(Clone, Default)]
pub struct Saver {
    pending: Arc<Mutex<Pending>>,
    wake: Arc<Notify>,
    /// Held while places are on their way.
    writing: Arc<tokio::sync::Mutex<()>>,
}

type Pending = HashMap<(AccountId, Uuid), Unsaved>;

struct Unsaved {
    save: PushSave,
    owner: Arc<Owner>,
    lease: Lease,
}

impl Saver {
    /// Takes a place, to be written through the session that owns its shard.
    pub(super) fn put(&self, save: PushSave, owner: &Arc<Owner>, lease: &Lease) {
        let key = (save.cursor.account, save.cursor.endpoint);
        let mut pending = self.lock();
        let save = match pending.remove(&key) {
            Some(earlier) if Arc::ptr_eq(&earlier.owner, owner) => merge(earlier.save, save),
            // That session has ended, and what it had is read again from its last place.
            Some(_) | None => save,
        };
        pending.insert(key, Unsaved { save, owner: Arc::clone(owner), lease: Arc::clone(lease) });
        drop(pending);
        self.wake.notify_one();
    }

    /// Writes until `stop`, and then what is left.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = self.wake.notified() => {}
                () = stop.cancelled() => {}
            }
            self.flush().await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => {}
            }
        }
        self.flush().await;
    }

    /// Writes an account's places now; whether none is left unwritten.
    pub(super) async fn settle(&self, account: AccountId) -> bool {
        self.flush().await;
        self.lock().keys().all(|(other, _)| *other != account)
    }

    async fn flush(&self) {
        let _alone = self.writing.lock().await;
        let mut rest: Vec<Unsaved> = std::mem::take(&mut *self.lock()).into_values().collect();
        while let Some(owner) = rest.last().map(|unsaved| Arc::clone(&unsaved.owner)) {
            let (ours, others) = rest.into_iter().partition(|unsaved| Arc::ptr_eq(&unsaved.owner, &owner));
            rest = others;
            self.write(&owner, ours).await;
        }
    }

    /// Writes places of one session. What belongs to one that has ended is void: its shards were lost with it.
    async fn write(&self, owner: &Arc<Owner>, unsaved: Vec<Unsaved>) {
        if owner.is_closed() {
            return;
        }
        let saves: Vec<PushSave> = unsaved.iter().map(|unsaved| unsaved.save.clone()).collect();
        if let Err(error) = owner.save_push(&saves).await {
            tracing::warn!(error = %error, endpoints = saves.len(), "places not written, will be repeated");
            for Unsaved { save, owner, lease } in unsaved {
                self.put_back(save, &owner, &lease);
            }
        }
    }

    /// What could not be written is written with what came after it: a save holds only what changed.
    fn put_back(&self, save: PushSave, owner: &Arc<Owner>, lease: &Lease) {
        let key = (save.cursor.account, save.cursor.endpoint);
        let mut pending = self.lock();
        let save = match pending.remove(&key) {
            Some(later) if Arc::ptr_eq(&later.owner, owner) => merge(save, later.save),
            Some(later) => {
                pending.insert(key, later);
                return;
            }
            None => save,
        };
        pending.insert(key, Unsaved { save, owner: Arc::clone(owner), lease: Arc::clone(lease) });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two saves of one endpoint as one. What ended and then waited again waits, what waited and then ended has ended: no
/// event is in both lists.
fn merge(earlier: PushSave, later: PushSave) -> PushSave {
    let mut waiting: BTreeMap<Seq, Waiting> = earlier.waiting.into_iter().map(|event| (event.seq, event)).collect();
    for seq in &later.settled {
        waiting.remove(seq);
    }
    waiting.extend(later.waiting.into_iter().map(|event| (event.seq, event)));
    let settled = earlier.settled.into_iter().chain(later.settled);
    let settled = settled.filter(|seq| !waiting.contains_key(seq)).collect::<BTreeSet<Seq>>().into_iter().collect();
    PushSave { cursor: later.cursor, waiting: waiting.into_values().collect(), settled }
}
