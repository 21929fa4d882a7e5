//! Events that were read from the log and are neither settled nor in the retry queue. The cursor is below the first.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::event_meta::EventMeta;
use crate::domain::{Seq, Timestamp, Uid};

/// An event to be sent; in mode `latest` the newest of consecutive events of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingEvent {
    pub(super) uid: Uid,
    /// Pending events of the same key are sent one after the other.
    pub(super) key: Uid,
    /// The event that is sent.
    pub(super) seq: Seq,
    pub(super) bytes: usize,
    /// The earliest time at which it is sent.
    pub(super) due: Timestamp,
    /// The first event of the batch that it failed with; it stays in that batch.
    pub(super) batch: Option<Seq>,
}

/// Pending events by the first event that each stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingEvents {
    events: BTreeMap<Seq, PendingEvent>,
    /// In mode `latest` the pending event of each record that later events of the record replace, while it is not in
    /// flight.
    replaceable: HashMap<Uid, Seq>,
}

impl PendingEvents {
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The first event that is not settled.
    pub(super) fn first(&self) -> Option<Seq> {
        self.events.first_key_value().map(|(first, _)| *first)
    }

    pub(super) fn get(&self, first: Seq) -> Option<&PendingEvent> {
        self.events.get(&first)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        self.events.iter().map(|(first, event)| (*first, event))
    }

    /// The first pending event of each key, in the order of the log.
    pub(super) fn heads(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        let mut keys = HashSet::new();
        self.iter().filter(move |(_, event)| keys.insert(event.key))
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: EventMeta, key: Uid, due: Timestamp) {
        let EventMeta { seq, uid, bytes, .. } = event;
        self.events.insert(seq, PendingEvent { uid, key, seq, bytes, due, batch: None });
    }

    /// Adds the newest event of its record. Returns the event that it supersedes, if there is one.
    pub(super) fn add_newest(&mut self, event: EventMeta, key: Uid, due: Timestamp) -> Option<Seq> {
        if let Some(older) = self.replaceable.get(&event.uid).and_then(|first| self.events.get_mut(first)) {
            older.bytes = event.bytes;
            return Some(std::mem::replace(&mut older.seq, event.seq));
        }
        self.replaceable.insert(event.uid, event.seq);
        self.add(event, key, due);
        None
    }

    /// Marks an event as in flight: later events of its record are pending on their own.
    pub(super) fn mark_in_flight(&mut self, first: Seq) {
        if let Some(event) = self.events.get(&first) {
            end_replacement(&mut self.replaceable, first, event);
        }
    }

    /// Keeps a failed event in the batch that it was sent in.
    pub(super) fn keep_in_batch(&mut self, first: Seq, batch: Seq) {
        if let Some(event) = self.events.get_mut(&first) {
            event.batch = Some(batch);
        }
    }

    /// Replaces a failed event by the newer pending event of its record. Returns the event that is superseded.
    pub(super) fn coalesce(&mut self, first: Seq) -> Option<Seq> {
        let uid = self.events.get(&first)?.uid;
        let newer = self.replaceable.insert(uid, first).and_then(|newer| self.events.remove(&newer))?;
        let event = self.events.get_mut(&first)?;
        event.bytes = newer.bytes;
        Some(std::mem::replace(&mut event.seq, newer.seq))
    }

    /// Takes an event out.
    pub(super) fn take(&mut self, first: Seq) -> Option<PendingEvent> {
        let event = self.events.remove(&first)?;
        end_replacement(&mut self.replaceable, first, &event);
        Some(event)
    }

    /// Takes every event of a key out, in the order of the log.
    pub(super) fn take_key(&mut self, key: Uid) -> Vec<(Seq, PendingEvent)> {
        let taken: Vec<(Seq, PendingEvent)> = self.events.extract_if(.., |_, event| event.key == key).collect();
        for (first, event) in &taken {
            end_replacement(&mut self.replaceable, *first, event);
        }
        taken
    }
}

/// Later events of the record no longer replace this one.
fn end_replacement(replaceable: &mut HashMap<Uid, Seq>, first: Seq, event: &PendingEvent) {
    if replaceable.get(&event.uid) == Some(&first) {
        replaceable.remove(&event.uid);
    }
}
