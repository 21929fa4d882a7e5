//! Events that were rescheduled: each waits for its own retry, and later events of the same record wait for it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::policy::{DeliveryPolicy, OrderKey};
use crate::domain::endpoint::RetryEntry;
use crate::domain::{Seq, Timestamp, Uid};

/// Retry entries, and which of them changed since they were saved.
#[derive(Debug, Clone)]
pub(super) struct RetryQueue {
    policy: DeliveryPolicy,
    entries: BTreeMap<Seq, RetryEntry>,
    parked: usize,
    /// The queue of each key, of entries that are not parked: the first may be sent, the others wait for it.
    queues: HashMap<OrderKey, Vec<Seq>>,
    /// The first entry of each queue by the time of its next attempt.
    heads: BTreeSet<(Timestamp, Seq)>,
    /// Entries that are sent together, by the first of them.
    batches: HashMap<Seq, BTreeSet<Seq>>,
    /// Sizes in bytes, of events that this process has read.
    bytes: HashMap<Seq, usize>,
    /// Entries that were delivered above the position that this process has read: they are not sent again.
    delivered_ahead: BTreeMap<Seq, RetryEntry>,
    changed: HashSet<Seq>,
    settled: BTreeSet<Seq>,
}

impl RetryQueue {
    /// Returns the queue of entries that were saved before.
    pub(super) fn resume(entries: Vec<RetryEntry>, policy: DeliveryPolicy) -> Self {
        let mut retry_queue = Self {
            policy,
            entries: BTreeMap::new(),
            parked: 0,
            queues: HashMap::new(),
            heads: BTreeSet::new(),
            batches: HashMap::new(),
            bytes: HashMap::new(),
            delivered_ahead: BTreeMap::new(),
            changed: HashSet::new(),
            settled: BTreeSet::new(),
        };
        for entry in entries {
            retry_queue.put(entry, None);
        }
        retry_queue.changed.clear();
        if policy.is_latest() {
            let keys: BTreeSet<OrderKey> = retry_queue.queues.keys().copied().collect();
            for key in keys {
                retry_queue.coalesce(key);
            }
        }
        retry_queue
    }

    /// The number of entries that are retried automatically.
    pub(super) fn len(&self) -> usize {
        self.entries.len() - self.parked
    }

    /// True for an event with an entry, parked or not.
    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    /// True when no entry will be retried automatically: the queue is empty or every entry is parked.
    pub(super) fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// True for an event that has an entry or was delivered already, by itself or by a newer event that stands for it.
    pub(super) fn covers(&self, seq: Seq, uid: Uid) -> bool {
        let stands_for = |entry: &RetryEntry| entry.uid == uid && entry.first <= seq;
        let is_among = |entries: &BTreeMap<Seq, RetryEntry>| {
            entries.contains_key(&seq)
                || self.policy.is_latest() && entries.range(seq..).any(|(_, entry)| stands_for(entry))
        };
        is_among(&self.entries) || is_among(&self.delivered_ahead)
    }

    /// Forgets deliveries up to the position that the log was read to.
    pub(super) fn forget_delivered(&mut self, read: Seq) {
        self.delivered_ahead = self.delivered_ahead.split_off(&read.next());
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&RetryEntry> {
        self.entries.get(&seq)
    }

    pub(super) fn bytes(&self, seq: Seq) -> Option<usize> {
        self.bytes.get(&seq).copied()
    }

    pub(super) fn key(&self, entry: &RetryEntry) -> OrderKey {
        self.policy.key(entry.uid, entry.seq)
    }

    /// The queue of a key, in the order of sending.
    pub(super) fn queue(&self, key: OrderKey) -> &[Seq] {
        self.queues.get(&key).map_or(&[], Vec::as_slice)
    }

    /// The time of the next attempt of a key's first entry; `None` where its queue is empty.
    pub(super) fn blocked_until(&self, key: OrderKey) -> Option<Timestamp> {
        self.entries.get(self.queue(key).first()?).map(|entry| entry.next_at)
    }

    /// The first entry of each queue, by the time of its next attempt.
    pub(super) fn heads(&self) -> impl Iterator<Item = &RetryEntry> {
        self.heads.iter().filter_map(|(_, seq)| self.entries.get(seq))
    }

    /// The entries that an entry is sent with; `None` where it is sent alone.
    pub(super) fn batch_of(&self, entry: &RetryEntry) -> Option<&BTreeSet<Seq>> {
        self.policy.batch().and(entry.batch).and_then(|batch| self.batches.get(&batch))
    }

    /// Adds or replaces an entry.
    pub(super) fn put(&mut self, entry: RetryEntry, bytes: Option<usize>) {
        let (seq, key) = (entry.seq, self.key(&entry));
        self.unlink(seq, key);
        if !entry.parked {
            let queue = self.queues.entry(key).or_default();
            if let Err(index) = queue.binary_search(&seq) {
                queue.insert(index, seq);
            }
            if let Some(batch) = entry.batch {
                self.batches.entry(batch).or_default().insert(seq);
            }
        }
        self.bytes.extend(bytes.map(|bytes| (seq, bytes)));
        self.settled.remove(&seq);
        self.changed.insert(seq);
        self.parked += usize::from(entry.parked);
        if self.entries.insert(seq, entry).is_some_and(|before| before.parked) {
            self.parked -= 1;
        }
        self.index_head(key);
    }

    /// Removes an entry because it was delivered. `read` is the position that the log was read to.
    pub(super) fn delivered(&mut self, seq: Seq, read: Seq) {
        if let Some(entry) = self.settle(seq)
            && seq > read
        {
            self.delivered_ahead.insert(seq, entry);
        }
    }

    /// Removes an entry because it was delivered or is superseded. The next one of its queue is due at once, unless it has
    /// a schedule of its own.
    pub(super) fn settle(&mut self, seq: Seq) -> Option<RetryEntry> {
        let key = self.key(self.entries.get(&seq)?);
        self.unlink(seq, key);
        self.changed.remove(&seq);
        self.bytes.remove(&seq);
        self.settled.insert(seq);
        let entry = self.entries.remove(&seq);
        self.parked -= usize::from(entry.as_ref().is_some_and(|entry| entry.parked));
        self.release_next(key);
        entry
    }

    /// Parks an entry after its last attempt.
    pub(super) fn park(&mut self, entry: RetryEntry) {
        let key = self.key(&entry);
        self.put(entry, None);
        self.release_next(key);
    }

    /// Replaces the entries of a key by one: the newest event, with the schedule of the first. Returns the superseded
    /// events.
    pub(super) fn coalesce(&mut self, key: OrderKey) -> Vec<Seq> {
        let queue = self.queue(key).to_vec();
        let (false, [first, .., last]) = (self.policy.is_strict(), queue.as_slice()) else { return Vec::new() };
        let Some(head) = self.entries.get(first).cloned() else { return Vec::new() };
        let newest = *last;
        for seq in &queue {
            self.settle(*seq);
        }
        self.put(RetryEntry { seq: newest, ..head }, None);
        queue.into_iter().filter(|seq| *seq != newest).collect()
    }

    /// Makes entries due now, except those that are parked.
    pub(super) fn pull_forward(&mut self, now: Timestamp, which: impl Fn(&RetryEntry) -> bool) {
        for entry in self.entries.values_mut().filter(|entry| !entry.parked && entry.next_at > now && which(entry)) {
            entry.next_at = now;
            self.changed.insert(entry.seq);
        }
        let head = |queue: &Vec<Seq>| self.entries.get(queue.first()?).map(|entry| (entry.next_at, entry.seq));
        self.heads = self.queues.values().filter_map(head).collect();
    }

    /// Returns the entries that changed and those that ended since the last call; `None` where there are none.
    pub(super) fn take_changes(&mut self) -> Option<(Vec<RetryEntry>, Vec<Seq>)> {
        if self.changed.is_empty() && self.settled.is_empty() {
            return None;
        }
        let mut changed: Vec<RetryEntry> =
            self.changed.drain().filter_map(|seq| self.entries.get(&seq)).cloned().collect();
        changed.sort_unstable_by_key(|entry| entry.seq);
        Some((changed, std::mem::take(&mut self.settled).into_iter().collect()))
    }

    /// Makes the first entry of a queue due at once, unless it has a schedule of its own.
    fn release_next(&mut self, key: OrderKey) {
        let Some(first) = self.queue(key).first().copied() else { return };
        let Some(entry) = self.entries.get_mut(&first).filter(|entry| entry.attempts == 0) else { return };
        let was = std::mem::replace(&mut entry.next_at, Timestamp::UNIX_EPOCH);
        self.changed.insert(first);
        self.heads.remove(&(was, first));
        self.index_head(key);
    }

    /// Removes an entry from its queue and its batch.
    fn unlink(&mut self, seq: Seq, key: OrderKey) {
        let Some(entry) = self.entries.get(&seq) else { return };
        if let Some(batch) = entry.batch
            && let Some(members) = self.batches.get_mut(&batch)
        {
            members.remove(&seq);
            if members.is_empty() {
                self.batches.remove(&batch);
            }
        }
        let Some(queue) = self.queues.get_mut(&key) else { return };
        self.heads.remove(&(entry.next_at, seq));
        queue.retain(|other| *other != seq);
        if queue.is_empty() {
            self.queues.remove(&key);
        }
        self.index_head(key);
    }

    /// Indexes the first entry of a queue in [`Self::heads`], and no other entry of it.
    fn index_head(&mut self, key: OrderKey) {
        let Some(queue) = self.queues.get(&key) else { return };
        let timestamp = |seq: &Seq| self.entries.get(seq).map(|entry| (entry.next_at, *seq));
        if let Some(second) = queue.get(1).and_then(timestamp) {
            self.heads.remove(&second);
        }
        self.heads.extend(queue.first().and_then(timestamp));
    }
}
