//! Writes where endpoints stand: all of them together, at most every few tens of milliseconds.
//!
//! A place that is not written yet holds its shard's lease, so that a shard is given up only once everything that was
//! delivered is on record. What a crash leaves unwritten is delivered again, under the same ids.
//!
//! A place that Postgres does not take is kept and tried again, and no runner is started from the older one that is
//! stored: it would deliver again, and write the same events' exceptions beside those that are still to be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::endpoint::{EndpointSave, RetryEntry};
use crate::domain::{AccountId, Seq};
use crate::metrics::Metrics;
use crate::shard::ShardLease;
use crate::store::StoreError;
use crate::store::owner::ShardOwner;

/// Places are written at most this often.
const EVERY: Duration = Duration::from_millis(20);

/// Where some were not taken: at most this often, twice as long with each time in a row.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_AT_MOST: Duration = Duration::from_secs(2);

/// Places to be written. Cloning shares it.
#[derive(Clone)]
pub struct CursorFlusher {
    metrics: Metrics,
    pending: Arc<Mutex<Pending>>,
    wake: Arc<Notify>,
    /// Held while places are on their way.
    writing: Arc<tokio::sync::Mutex<()>>,
}

type Key = (AccountId, Uuid);
type Pending = HashMap<Key, Unsaved>;

struct Unsaved {
    save: EndpointSave,
    owner: Arc<ShardOwner>,
    lease: ShardLease,
}

impl CursorFlusher {
    /// One with nothing to write.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, pending: Arc::default(), wake: Arc::default(), writing: Arc::default() }
    }

    /// Takes a place, to be written through the session that owns its shard.
    pub(super) fn put(&self, save: EndpointSave, owner: &Arc<ShardOwner>, lease: &ShardLease) {
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
        let mut pause = EVERY;
        let mut some_left = false;
        while !stop.is_cancelled() {
            if !some_left {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = stop.cancelled() => {}
                }
            }
            some_left = !self.flush().await.is_empty();
            pause = if some_left { (pause * 2).clamp(AGAIN, AGAIN_AT_MOST) } else { EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        let left = self.flush().await;
        if !left.is_empty() {
            tracing::warn!(endpoints = left.len(), "last places not written; these deliveries go again");
        }
    }

    /// Writes all places now; returns which of the account's endpoints have one that Postgres did not take.
    pub(super) async fn settle(&self, account: AccountId) -> BTreeSet<Uuid> {
        let left = self.flush().await.into_iter();
        left.filter(|(other, _)| *other == account).map(|(_, endpoint)| endpoint).collect()
    }

    /// Returns what is left.
    async fn flush(&self) -> BTreeSet<Key> {
        let _alone = self.writing.lock().await;
        let mut left = BTreeSet::new();
        let mut rest: Vec<Unsaved> = std::mem::take(&mut *self.lock()).into_values().collect();
        while let Some(owner) = rest.last().map(|unsaved| Arc::clone(&unsaved.owner)) {
            let (ours, others) = rest.into_iter().partition(|unsaved| Arc::ptr_eq(&unsaved.owner, &owner));
            rest = others;
            left.extend(self.write(&owner, ours).await);
        }
        left
    }

    /// Writes places of one session; returns what is left. What belongs to a session that has ended is void: its shards were
    /// lost with it.
    async fn write(&self, owner: &Arc<ShardOwner>, unsaved: Vec<Unsaved>) -> BTreeSet<Key> {
        if owner.is_closed() {
            return BTreeSet::new();
        }
        let saves: Vec<EndpointSave> = unsaved.iter().map(|unsaved| unsaved.save.clone()).collect();
        match owner.save_push(&saves).await {
            Ok(()) => BTreeSet::new(),
            // One that is refused is refused alone.
            Err(StoreError::Refused(_)) if unsaved.len() > 1 => {
                let mut left = BTreeSet::new();
                for unsaved in unsaved {
                    if let Err(error) = owner.save_push(std::slice::from_ref(&unsaved.save)).await {
                        left.extend(self.keep(&error, vec![unsaved]));
                    }
                }
                left
            }
            Err(error) => self.keep(&error, unsaved),
        }
    }

    /// Keeps what could not be written, to be tried again.
    fn keep(&self, error: &StoreError, unsaved: Vec<Unsaved>) -> BTreeSet<Key> {
        tracing::warn!(error = error.report(), endpoints = unsaved.len(), "places not written, will be repeated");
        self.metrics.push_saves_failed_total.inc_by(unsaved.len() as u64);
        let keep = |Unsaved { save, owner, lease }: Unsaved| {
            let key = (save.cursor.account, save.cursor.endpoint);
            self.put_back(save, &owner, &lease);
            key
        };
        unsaved.into_iter().map(keep).collect()
    }

    /// What could not be written is written with what came after it: a save holds only what changed.
    fn put_back(&self, save: EndpointSave, owner: &Arc<ShardOwner>, lease: &ShardLease) {
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
fn merge(earlier: EndpointSave, later: EndpointSave) -> EndpointSave {
    let mut retries: BTreeMap<Seq, RetryEntry> = earlier.retries.into_iter().map(|entry| (entry.seq, entry)).collect();
    for seq in &later.settled {
        retries.remove(seq);
    }
    retries.extend(later.retries.into_iter().map(|entry| (entry.seq, entry)));
    let settled = earlier.settled.into_iter().chain(later.settled);
    let settled = settled.filter(|seq| !retries.contains_key(seq)).collect::<BTreeSet<Seq>>().into_iter().collect();
    EndpointSave { cursor: later.cursor, retries: retries.into_values().collect(), settled }
}
