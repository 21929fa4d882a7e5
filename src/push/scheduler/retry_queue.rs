//! The events that left the way: each waits for its own retry, and those of the same record wait behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::policy::DeliveryPolicy;
use crate::domain::endpoint::RetryEntry;
use crate::domain::{Seq, Timestamp, Uid};

/// What waits, and what of it is not saved yet.
#[derive(Debug, Clone)]
pub(super) struct RetryQueue {
    policy: DeliveryPolicy,
    waiting: BTreeMap<Seq, RetryEntry>,
    parked: usize,
    /// The waiting events of each key that are not parked; the first may be sent, the others stand behind it.
    rows: HashMap<Uid, Vec<Seq>>,
    /// The first of each row by its moment.
    heads: BTreeSet<(Timestamp, Seq)>,
    /// Those that go together, by the first of them.
    batches: HashMap<Seq, BTreeSet<Seq>>,
    /// Sizes, of those that were read since the process began.
    bytes: HashMap<Seq, usize>,
    /// What was delivered before the log was read so far again: it is not sent once more.
    ahead: BTreeMap<Seq, RetryEntry>,
    changed: HashSet<Seq>,
    settled: BTreeSet<Seq>,
}

impl RetryQueue {
    /// What was saved before.
    pub(super) fn resume(waiting: Vec<RetryEntry>, policy: DeliveryPolicy) -> Self {
        let mut retry_queue = Self {
            policy,
            waiting: BTreeMap::new(),
            parked: 0,
            rows: HashMap::new(),
            heads: BTreeSet::new(),
            batches: HashMap::new(),
            bytes: HashMap::new(),
            ahead: BTreeMap::new(),
            changed: HashSet::new(),
            settled: BTreeSet::new(),
        };
        for event in waiting {
            retry_queue.put(event, None);
        }
        retry_queue.changed.clear();
        if policy.is_latest() {
            let keys: BTreeSet<Uid> = retry_queue.rows.keys().copied().collect();
            for key in keys {
                retry_queue.fold(key);
            }
        }
        retry_queue
    }

    /// How many will be sent by themselves.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() - self.parked
    }

    /// Whether an event waits or is parked.
    pub(super) fn holds(&self, seq: Seq) -> bool {
        self.waiting.contains_key(&seq)
    }

    /// Whether nothing will ever be sent of it by itself: all of it is parked, or there is none.
    pub(super) fn are_at_rest(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the event waits, is parked or was delivered already, itself or in what a newer one of its record stands
    /// for.
    pub(super) fn knows(&self, seq: Seq, uid: Uid) -> bool {
        let stands_for = |event: &RetryEntry| event.uid == uid && event.first <= seq;
        let is_among = |events: &BTreeMap<Seq, RetryEntry>| {
            events.contains_key(&seq)
                || self.policy.is_latest() && events.range(seq..).any(|(_, event)| stands_for(event))
        };
        is_among(&self.waiting) || is_among(&self.ahead)
    }

    /// The log was read up to here.
    pub(super) fn were_read(&mut self, read: Seq) {
        self.ahead = self.ahead.split_off(&read.next());
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&RetryEntry> {
        self.waiting.get(&seq)
    }

    pub(super) fn bytes(&self, seq: Seq) -> Option<usize> {
        self.bytes.get(&seq).copied()
    }

    pub(super) fn key(&self, event: &RetryEntry) -> Uid {
        self.policy.key(event.uid, event.seq)
    }

    /// The events of a key that wait, in the order in which they go.
    pub(super) fn row(&self, key: Uid) -> &[Seq] {
        self.rows.get(&key).map_or(&[], Vec::as_slice)
    }

    /// When the first waiting event of a key is due; `None` where none of it waits.
    pub(super) fn holds_back(&self, key: Uid) -> Option<Timestamp> {
        self.waiting.get(self.row(key).first()?).map(|event| event.next_at)
    }

    /// The waiting event at the front of each row, by their moments.
    pub(super) fn heads(&self) -> impl Iterator<Item = &RetryEntry> {
        self.heads.iter().filter_map(|(_, seq)| self.waiting.get(seq))
    }

    /// Those that an event goes with; none where it goes alone.
    pub(super) fn batch_of(&self, event: &RetryEntry) -> Option<&BTreeSet<Seq>> {
        self.policy.batch().and(event.batch).and_then(|batch| self.batches.get(&batch))
    }

    /// Adds or replaces an event.
    pub(super) fn put(&mut self, event: RetryEntry, bytes: Option<usize>) {
        let (seq, key) = (event.seq, self.key(&event));
        self.leave(seq, key);
        if !event.parked {
            let row = self.rows.entry(key).or_default();
            if let Err(index) = row.binary_search(&seq) {
                row.insert(index, seq);
            }
            if let Some(batch) = event.batch {
                self.batches.entry(batch).or_default().insert(seq);
            }
        }
        self.bytes.extend(bytes.map(|bytes| (seq, bytes)));
        self.settled.remove(&seq);
        self.changed.insert(seq);
        self.parked += usize::from(event.parked);
        if self.waiting.insert(seq, event).is_some_and(|before| before.parked) {
            self.parked -= 1;
        }
        self.stand(key);
    }

    /// Takes an event out, since it was delivered.
    pub(super) fn delivered(&mut self, seq: Seq, read: Seq) {
        if let Some(event) = self.settle(seq)
            && seq > read
        {
            self.ahead.insert(seq, event);
        }
    }

    /// Takes an event out, since it was delivered or another stands for it; the next of its row has waited long enough,
    /// unless it has a schedule of its own.
    pub(super) fn settle(&mut self, seq: Seq) -> Option<RetryEntry> {
        let key = self.key(self.waiting.get(&seq)?);
        self.leave(seq, key);
        self.changed.remove(&seq);
        self.bytes.remove(&seq);
        self.settled.insert(seq);
        let event = self.waiting.remove(&seq);
        self.parked -= usize::from(event.as_ref().is_some_and(|event| event.parked));
        self.move_up(key);
        event
    }

    /// An event has had its last attempt.
    pub(super) fn park(&mut self, event: RetryEntry) {
        let key = self.key(&event);
        self.put(event, None);
        self.move_up(key);
    }

    /// The waiting events of a record as one, the newest, with the place and the moment of the first; returns those that
    /// are sent no more.
    pub(super) fn fold(&mut self, key: Uid) -> Vec<Seq> {
        let row = self.row(key).to_vec();
        let (false, [first, .., last]) = (self.policy.is_strict(), row.as_slice()) else { return Vec::new() };
        let Some(front) = self.waiting.get(first).cloned() else { return Vec::new() };
        let newest = *last;
        for seq in &row {
            self.settle(*seq);
        }
        self.put(RetryEntry { seq: newest, ..front }, None);
        row.into_iter().filter(|seq| *seq != newest).collect()
    }

    /// Nothing of this need wait any longer, but for what is parked.
    pub(super) fn pull_forward(&mut self, now: Timestamp, which: impl Fn(&RetryEntry) -> bool) {
        for event in self.waiting.values_mut().filter(|event| !event.parked && event.next_at > now && which(event)) {
            event.next_at = now;
            self.changed.insert(event.seq);
        }
        let front = |row: &Vec<Seq>| self.waiting.get(row.first()?).map(|event| (event.next_at, event.seq));
        self.heads = self.rows.values().filter_map(front).collect();
    }

    /// What changed and what ended since this was last asked; `None` where nothing did.
    pub(super) fn take_changes(&mut self) -> Option<(Vec<RetryEntry>, Vec<Seq>)> {
        if self.changed.is_empty() && self.settled.is_empty() {
            return None;
        }
        let mut changed: Vec<RetryEntry> =
            self.changed.drain().filter_map(|seq| self.waiting.get(&seq)).cloned().collect();
        changed.sort_unstable_by_key(|event| event.seq);
        Some((changed, std::mem::take(&mut self.settled).into_iter().collect()))
    }

    fn move_up(&mut self, key: Uid) {
        let Some(first) = self.row(key).first().copied() else { return };
        let Some(event) = self.waiting.get_mut(&first).filter(|event| event.attempts == 0) else { return };
        let was = std::mem::replace(&mut event.next_at, Timestamp::UNIX_EPOCH);
        self.changed.insert(first);
        self.heads.remove(&(was, first));
        self.stand(key);
    }

    /// Leaves its row and its batch.
    fn leave(&mut self, seq: Seq, key: Uid) {
        let Some(event) = self.waiting.get(&seq) else { return };
        if let Some(batch) = event.batch
            && let Some(members) = self.batches.get_mut(&batch)
        {
            members.remove(&seq);
            if members.is_empty() {
                self.batches.remove(&batch);
            }
        }
        let Some(row) = self.rows.get_mut(&key) else { return };
        self.heads.remove(&(event.next_at, seq));
        row.retain(|other| *other != seq);
        if row.is_empty() {
            self.rows.remove(&key);
        }
        self.stand(key);
    }

    /// The first of a row is known by its moment, and no other of it.
    fn stand(&mut self, key: Uid) {
        let Some(row) = self.rows.get(&key) else { return };
        let timestamp = |seq: &Seq| self.waiting.get(seq).map(|event| (event.next_at, *seq));
        if let Some(second) = row.get(1).and_then(timestamp) {
            self.heads.remove(&second);
        }
        self.heads.extend(row.first().and_then(timestamp));
    }
}
