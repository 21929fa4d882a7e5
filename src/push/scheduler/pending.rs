//! Events that were read from the log and are neither settled nor in the retry queue. The cursor is below the first.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::event_meta::EventMeta;
use super::policy::OrderKey;
use crate::domain::{Seq, Timestamp, Uid};

/// An event to be sent; in mode `latest` the newest of consecutive events of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingEvent {
    pub(super) uid: Uid,
    /// Pending events of the same key are sent one after the other.
    pub(super) key: OrderKey,
    /// The event that is sent.
    pub(super) seq: Seq,
    pub(super) bytes: usize,
    /// The earliest time at which it is sent.
    pub(super) due: Timestamp,
    /// The first event of the batch that it failed with; it stays in that batch.
    pub(super) batch: Option<Seq>,
}

/// Pending events by their span starts: the position of the first event that each stands for. An event that stands for
/// itself alone begins its span.
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

    /// The lowest position that is not settled.
    pub(super) fn lowest(&self) -> Option<Seq> {
        self.events.first_key_value().map(|(span_start, _)| *span_start)
    }

    pub(super) fn get(&self, span_start: Seq) -> Option<&PendingEvent> {
        self.events.get(&span_start)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        self.events.iter().map(|(span_start, event)| (*span_start, event))
    }

    /// The first pending event of each key, in the order of the log.
    pub(super) fn heads(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        let mut keys = HashSet::new();
        self.iter().filter(move |(_, event)| keys.insert(event.key))
    }

    /// Adds an event.
    pub(super) fn add(&mut self, event: EventMeta, key: OrderKey, due: Timestamp) {
        let EventMeta { seq, uid, bytes, .. } = event;
        self.events.insert(seq, PendingEvent { uid, key, seq, bytes, due, batch: None });
    }

    /// Adds the newest event of its record. Returns the event that it supersedes, if there is one.
    pub(super) fn add_newest(&mut self, event: EventMeta, key: OrderKey, due: Timestamp) -> Option<Seq> {
        if let Some(older) = self.replaceable.get(&event.uid).and_then(|span_start| self.events.get_mut(span_start)) {
            older.bytes = event.bytes;
            return Some(std::mem::replace(&mut older.seq, event.seq));
        }
        self.replaceable.insert(event.uid, event.seq);
        self.add(event, key, due);
        None
    }

    /// Marks an event as in flight: later events of its record are pending on their own.
    pub(super) fn mark_in_flight(&mut self, span_start: Seq) {
        if let Some(event) = self.events.get(&span_start) {
            end_replacement(&mut self.replaceable, span_start, event);
        }
    }

    /// Assigns a failed event to the batch that it was sent in.
    pub(super) fn set_batch(&mut self, span_start: Seq, batch: Seq) {
        if let Some(event) = self.events.get_mut(&span_start) {
            event.batch = Some(batch);
        }
    }

    /// Replaces a failed event by the newer pending event of its record. Returns the event that is superseded.
    pub(super) fn coalesce(&mut self, span_start: Seq) -> Option<Seq> {
        let uid = self.events.get(&span_start)?.uid;
        let newer = self.replaceable.insert(uid, span_start).and_then(|newer| self.events.remove(&newer))?;
        let event = self.events.get_mut(&span_start)?;
        event.bytes = newer.bytes;
        Some(std::mem::replace(&mut event.seq, newer.seq))
    }

    /// Takes an event out.
    pub(super) fn take(&mut self, span_start: Seq) -> Option<PendingEvent> {
        let event = self.events.remove(&span_start)?;
        end_replacement(&mut self.replaceable, span_start, &event);
        Some(event)
    }

    /// Takes every event of a key out, in the order of the log.
    pub(super) fn take_key(&mut self, key: OrderKey) -> Vec<(Seq, PendingEvent)> {
        let taken: Vec<(Seq, PendingEvent)> = self.events.extract_if(.., |_, event| event.key == key).collect();
        for (span_start, event) in &taken {
            end_replacement(&mut self.replaceable, *span_start, event);
        }
        taken
    }
}

/// Later events of the record no longer replace this one.
fn end_replacement(replaceable: &mut HashMap<Uid, Seq>, span_start: Seq, event: &PendingEvent) {
    if replaceable.get(&event.uid) == Some(&span_start) {
        replaceable.remove(&event.uid);
    }
}
