//! Writes endpoints' cursors and retry entries, all of them together.
//!
//! A crash repeats the deliveries that are not recorded yet, with the same ids. So a write is due when [`MAX_UNSAVED`]
//! deliveries are not recorded, or after [`MAX_DELAY`], whichever comes first: a busy endpoint is written every 20 ms, and
//! a quiet one costs a statement per second instead of one per event. Retry entries and failures of endpoints are written
//! at once.
//!
//! A cursor that is not written yet holds its shard's lease, so that a shard is released only after every delivery is
//! recorded.
//!
//! A cursor that Postgres refuses is queued and written again after a pause of its own, alone, so that it delays no other
//! endpoint. Meanwhile no worker is started from the older cursor that is stored: it would deliver again, and write retry
//! entries of the same events beside those that are still to be written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::domain::endpoint::{EndpointSave, RetryEntry};
use crate::domain::{AccountId, Seq};
use crate::metrics::Metrics;
use crate::shard::ShardLease;
use crate::store::StoreError;
use crate::store::owner::ShardOwner;

/// The shortest time between two writes.
const INTERVAL: Duration = Duration::from_millis(20);

/// The longest time that a cursor waits for its write.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Deliveries whose cursors wait for their write, over all endpoints: as many as an endpoint's default window.
const MAX_UNSAVED: usize = 32;

/// Bounds of the time until a cursor whose write failed is written again; it doubles with each failure in a row.
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

#[derive(Default)]
struct Pending {
    unsaved: HashMap<Key, Unsaved>,
    /// The time since which a cursor waits whose write has not failed.
    since: Option<Instant>,
    /// Deliveries that those cursors would record.
    deliveries: usize,
    /// True where retry entries or the failure of an endpoint wait.
    is_urgent: bool,
    written_at: Option<Instant>,
}

struct Unsaved {
    save: EndpointSave,
    owner: Arc<ShardOwner>,
    /// Held until the cursor is written.
    _lease: ShardLease,
    failure: Option<Failure>,
}

/// The last failure of a write.
#[derive(Clone, Copy)]
struct Failure {
    backoff: Duration,
    retry_at: Instant,
    /// Postgres refused this very save, which is written alone from then on.
    is_refused: bool,
}

impl CursorFlusher {
    /// A flusher with nothing to write.
    #[must_use]
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics, pending: Arc::default(), wake: Arc::default(), writing: Arc::default() }
    }

    /// Takes a save that records this many deliveries, to be written through the session that owns its shard.
    pub(super) fn put(&self, save: EndpointSave, deliveries: usize, owner: &Arc<ShardOwner>, lease: &ShardLease) {
        let key = (save.cursor.account, save.cursor.endpoint);
        let is_urgent = !save.retries.is_empty() || !save.settled.is_empty() || save.cursor.failing_since.is_some();
        let mut pending = self.lock();
        let (save, failure) = match pending.unsaved.remove(&key) {
            Some(earlier) if Arc::ptr_eq(&earlier.owner, owner) => (merge(earlier.save, save), earlier.failure),
            // That session has ended, and its deliveries start again from the stored cursor.
            Some(_) | None => (save, None),
        };
        pending.unsaved.insert(key, Unsaved { save, owner: Arc::clone(owner), _lease: Arc::clone(lease), failure });
        if failure.is_none() && pending.add(deliveries, is_urgent) {
            drop(pending);
            self.wake.notify_one();
        }
    }

    /// Writes until `stop`, and then once more.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let due_at = self.lock().due_at();
            let due = async {
                match due_at {
                    Some(due_at) => tokio::time::sleep_until(due_at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => drop(self.flush(Unsaved::is_due).await),
                () = self.wake.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        let left = self.flush(|_| true).await;
        if !left.is_empty() {
            tracing::warn!(endpoints = left.len(), "write last cursors failed; their deliveries are repeated");
        }
    }

    /// Writes all cursors now. Returns the account's endpoints whose cursor could not be written.
    pub(super) async fn flush_account(&self, account: AccountId) -> BTreeSet<Uuid> {
        let is_wanted = |unsaved: &Unsaved| unsaved.is_due() || unsaved.save.cursor.account == account;
        let left = self.flush(is_wanted).await.into_iter();
        left.filter(|(other, _)| *other == account).map(|(_, endpoint)| endpoint).collect()
    }

    /// Writes those cursors for which `which` holds. Returns the endpoints whose cursor could not be written.
    async fn flush(&self, which: impl Fn(&Unsaved) -> bool) -> BTreeSet<Key> {
        let _alone = self.writing.lock().await;
        let mut left = BTreeSet::new();
        let mut rest = self.lock().take(which);
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
        let (mut alone, together): (Vec<_>, Vec<_>) = unsaved.into_iter().partition(Unsaved::is_refused);
        let mut left = BTreeSet::new();
        let saves: Vec<EndpointSave> = together.iter().map(|unsaved| unsaved.save.clone()).collect();
        if !saves.is_empty() {
            match owner.save_push(&saves).await {
                Ok(()) => {}
                // One save that is refused must not keep the others from being written.
                Err(StoreError::Refused(_)) if together.len() > 1 => alone.extend(together),
                Err(error) => left.extend(self.requeue_failed(&error, together)),
            }
        }
        for unsaved in alone {
            if let Err(error) = owner.save_push(std::slice::from_ref(&unsaved.save)).await {
                left.extend(self.requeue_failed(&error, vec![unsaved]));
            }
        }
        left
    }

    /// Queues saves that could not be written again, and returns their endpoints.
    fn requeue_failed(&self, error: &StoreError, unsaved: Vec<Unsaved>) -> BTreeSet<Key> {
        tracing::warn!(error = error.report(), endpoints = unsaved.len(), "write cursors failed; will retry");
        self.metrics.push_saves_failed_total.inc_by(unsaved.len() as u64);
        let (now, is_refused) = (clock::instant(), matches!(error, StoreError::Refused(_)));
        let mut pending = self.lock();
        let requeue = |unsaved: Unsaved| {
            let key = (unsaved.save.cursor.account, unsaved.save.cursor.endpoint);
            let backoff = unsaved.failure.map_or(MIN_BACKOFF, |failure| (failure.backoff * 2).min(MAX_BACKOFF));
            let failure = Some(Failure { backoff, retry_at: now + backoff, is_refused });
            pending.requeue(key, Unsaved { failure, ..unsaved });
            key
        };
        let left = unsaved.into_iter().map(requeue).collect();
        drop(pending);
        // Another task may have written, so that the loop must look for the time of the next attempt.
        self.wake.notify_one();
        left
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unsaved {
    fn is_due(&self) -> bool {
        self.failure.is_none_or(|failure| failure.retry_at <= clock::instant())
    }

    fn is_refused(&self) -> bool {
        self.failure.is_some_and(|failure| failure.is_refused)
    }
}

impl Pending {
    /// Adds to what waits. Returns true where the next write may be due earlier than before.
    fn add(&mut self, deliveries: usize, is_urgent: bool) -> bool {
        let (had_none, was_due) = (self.since.is_none(), self.is_due());
        self.since.get_or_insert_with(clock::instant);
        self.deliveries += deliveries;
        self.is_urgent |= is_urgent;
        had_none || !was_due && self.is_due()
    }

    /// True where a write waits only for [`INTERVAL`].
    fn is_due(&self) -> bool {
        self.is_urgent || self.deliveries >= MAX_UNSAVED
    }

    /// The time of the next write; `None` where nothing waits.
    fn due_at(&self) -> Option<Instant> {
        let earliest = self.written_at.map(|at| at + INTERVAL);
        let first = self.since.map(|since| if self.is_due() { since } else { since + MAX_DELAY });
        let first = first.map(|first| earliest.map_or(first, |earliest| first.max(earliest)));
        let retries = self.unsaved.values().filter_map(|unsaved| Some(unsaved.failure?.retry_at));
        first.into_iter().chain(retries).min()
    }

    /// Takes out what is to be written.
    fn take(&mut self, which: impl Fn(&Unsaved) -> bool) -> Vec<Unsaved> {
        self.written_at = Some(clock::instant());
        (self.since, self.deliveries, self.is_urgent) = (None, 0, false);
        self.unsaved.extract_if(|_, unsaved| which(unsaved)).map(|(_, unsaved)| unsaved).collect()
    }

    /// Queues a save that could not be written again, merged with a later one: a save holds only changes.
    fn requeue(&mut self, key: Key, failed: Unsaved) {
        let unsaved = match self.unsaved.remove(&key) {
            Some(later) if Arc::ptr_eq(&later.owner, &failed.owner) => {
                Unsaved { save: merge(failed.save, later.save), ..failed }
            }
            Some(later) => later,
            None => failed,
        };
        self.unsaved.insert(key, unsaved);
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
