//! Writes endpoints' cursors and retry entries: all of them together, at most every 20 ms.
//!
//! A cursor that is not written yet holds its shard's lease, so that a shard is released only after every delivery is
//! recorded. Deliveries that a crash leaves unrecorded are made again, with the same ids.
//!
//! A cursor that Postgres refuses is queued and written again, and no worker is started from the older cursor that is
//! stored: it would deliver again, and write retry entries of the same events beside those that are still to be written.

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

/// The shortest time between two writes.
const INTERVAL: Duration = Duration::from_millis(20);

/// Bounds of the time between two writes after one that failed; it doubles with each failure in a row.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// Cursors to be written. Cloning shares it.
#[derive(Clone)]
pub struct CursorFlusher {
    metrics: Metrics,
    pending: Arc<Mutex<Pending>>,
    wake: Arc<Notify>,
    /// Held during a write.
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
    /// A flusher with nothing to write.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, pending: Arc::default(), wake: Arc::default(), writing: Arc::default() }
    }

    /// Takes a save, to be written through the session that owns its shard.
    pub(super) fn put(&self, save: EndpointSave, owner: &Arc<ShardOwner>, lease: &ShardLease) {
        let key = (save.cursor.account, save.cursor.endpoint);
        let mut pending = self.lock();
        let save = match pending.remove(&key) {
            Some(earlier) if Arc::ptr_eq(&earlier.owner, owner) => merge(earlier.save, save),
            // That session has ended, and its deliveries start again from the stored cursor.
            Some(_) | None => save,
        };
        pending.insert(key, Unsaved { save, owner: Arc::clone(owner), lease: Arc::clone(lease) });
        drop(pending);
        self.wake.notify_one();
    }

    /// Writes until `stop`, and then once more.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = INTERVAL;
        let mut some_left = false;
        while !stop.is_cancelled() {
            if !some_left {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = stop.cancelled() => {}
                }
            }
            some_left = !self.flush().await.is_empty();
            pause = if some_left { (pause * 2).clamp(MIN_BACKOFF, MAX_BACKOFF) } else { INTERVAL };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        let left = self.flush().await;
        if !left.is_empty() {
            tracing::warn!(endpoints = left.len(), "write last cursors failed; their deliveries are repeated");
        }
    }

    /// Writes all cursors now. Returns the account's endpoints whose cursor could not be written.
    pub(super) async fn flush_account(&self, account: AccountId) -> BTreeSet<Uuid> {
        let left = self.flush().await.into_iter();
        left.filter(|(other, _)| *other == account).map(|(_, endpoint)| endpoint).collect()
    }

    /// Writes all cursors. Returns the endpoints whose cursor could not be written.
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

    /// Writes the cursors of one session. Returns the endpoints whose cursor could not be written. Saves of a session that has
    /// ended are dropped: its shards were lost with it.
    async fn write(&self, owner: &Arc<ShardOwner>, unsaved: Vec<Unsaved>) -> BTreeSet<Key> {
        if owner.is_closed() {
            return BTreeSet::new();
        }
        let saves: Vec<EndpointSave> = unsaved.iter().map(|unsaved| unsaved.save.clone()).collect();
        match owner.save_push(&saves).await {
            Ok(()) => BTreeSet::new(),
            // One save that is refused must not keep the others from being written.
            Err(StoreError::Refused(_)) if unsaved.len() > 1 => {
                let mut left = BTreeSet::new();
                for unsaved in unsaved {
                    if let Err(error) = owner.save_push(std::slice::from_ref(&unsaved.save)).await {
                        left.extend(self.requeue_failed(&error, vec![unsaved]));
                    }
                }
                left
            }
            Err(error) => self.requeue_failed(&error, unsaved),
        }
    }

    /// Queues saves that could not be written again, and returns their endpoints.
    fn requeue_failed(&self, error: &StoreError, unsaved: Vec<Unsaved>) -> BTreeSet<Key> {
        tracing::warn!(error = error.report(), endpoints = unsaved.len(), "write cursors failed; will retry");
        self.metrics.push_saves_failed_total.inc_by(unsaved.len() as u64);
        let requeue = |Unsaved { save, owner, lease }: Unsaved| {
            let key = (save.cursor.account, save.cursor.endpoint);
            self.requeue(save, &owner, &lease);
            key
        };
        unsaved.into_iter().map(requeue).collect()
    }

    /// Queues a save that could not be written again, merged with a later one: a save holds only changes.
    fn requeue(&self, save: EndpointSave, owner: &Arc<ShardOwner>, lease: &ShardLease) {
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

/// Merges two saves of one endpoint. For a retry entry the later save counts: no event is in both lists.
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
