//! The events that left the way: each waits for its own retry, and those of the same record wait behind it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::{Seq, Timestamp, Uid};
use crate::store::owner::Waiting;

/// What waits, and what of it is not saved yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Exceptions {
    waiting: BTreeMap<Seq, Waiting>,
    /// The waiting events of each record that are not parked; the first may be sent, the others stand behind it.
    rows: HashMap<Uid, Vec<Seq>>,
    changed: HashSet<Seq>,
    settled: Vec<Seq>,
}

impl Exceptions {
    /// What was saved before.
    pub(super) fn resume(waiting: Vec<Waiting>) -> Self {
        let mut exceptions = Self::default();
        for event in waiting {
            exceptions.put(event);
        }
        exceptions.changed.clear();
        exceptions
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing will ever be sent of it by itself: all of it is parked, or there is none.
    pub(super) fn are_at_rest(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the event waits or is parked.
    pub(super) fn knows(&self, seq: Seq) -> bool {
        self.waiting.contains_key(&seq)
    }

    /// How many attempts an event has had.
    pub(super) fn attempts(&self, seq: Seq) -> u32 {
        self.waiting.get(&seq).map_or(0, |event| event.attempts)
    }

    /// When the first waiting event of a record is due; `None` where none of it waits.
    pub(super) fn holds_back(&self, uid: Uid) -> Option<Timestamp> {
        let first = self.rows.get(&uid)?.first()?;
        self.waiting.get(first).map(|event| event.next_at)
    }

    /// The waiting event at the front of each record.
    pub(super) fn fronts(&self) -> impl Iterator<Item = &Waiting> {
        self.rows.values().filter_map(|row| self.waiting.get(row.first()?))
    }

    /// Adds or replaces an event.
    pub(super) fn put(&mut self, event: Waiting) {
        let (seq, uid) = (event.seq, event.uid);
        if event.parked {
            self.step_aside(uid, seq);
        } else {
            let row = self.rows.entry(uid).or_default();
            if let Err(place) = row.binary_search(&seq) {
                row.insert(place, seq);
            }
        }
        self.changed.insert(seq);
        self.waiting.insert(seq, event);
    }

    /// Takes an event out, since it was delivered.
    pub(super) fn settle(&mut self, seq: Seq) {
        if let Some(event) = self.waiting.remove(&seq) {
            self.changed.remove(&seq);
            self.settled.push(seq);
            self.step_aside(event.uid, seq);
        }
    }

    /// Nothing need wait any longer, but for what is parked.
    pub(super) fn pull_forward(&mut self, now: Timestamp) {
        for event in self.waiting.values_mut().filter(|event| !event.parked && event.next_at > now) {
            event.next_at = now;
            self.changed.insert(event.seq);
        }
    }

    /// What changed and what ended since this was last asked; `None` where nothing did.
    pub(super) fn take_changes(&mut self) -> Option<(Vec<Waiting>, Vec<Seq>)> {
        if self.changed.is_empty() && self.settled.is_empty() {
            return None;
        }
        let mut changed: Vec<Waiting> =
            self.changed.drain().filter_map(|seq| self.waiting.get(&seq)).cloned().collect();
        changed.sort_unstable_by_key(|event| event.seq);
        Some((changed, std::mem::take(&mut self.settled)))
    }

    /// Leaves the record's row; the next in it has waited long enough, unless it has a schedule of its own.
    fn step_aside(&mut self, uid: Uid, seq: Seq) {
        let Some(row) = self.rows.get_mut(&uid) else { return };
        row.retain(|other| *other != seq);
        match row.first().and_then(|first| self.waiting.get_mut(first)) {
            Some(next) if next.attempts == 0 => {
                next.next_at = Timestamp::UNIX_EPOCH;
                self.changed.insert(next.seq);
            }
            Some(_) => {}
            None => {
                self.rows.remove(&uid);
            }
        }
    }
}
