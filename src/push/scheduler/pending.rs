//! The events that were read and are neither settled nor waiting: the cursor stands below the first of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::state::EventMeta;
use crate::domain::{Seq, Timestamp, Uid};

/// What is sent of one record: an event, or in mode `latest` the newest of a run of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PendingEvent {
    pub(super) uid: Uid,
    /// Items of the same key wait for each other.
    pub(super) key: Uid,
    /// The event that is sent.
    pub(super) seq: Seq,
    pub(super) bytes: usize,
    /// Not before this moment.
    pub(super) due: Timestamp,
    /// The first event of the batch that it was sent in and failed with; it stays in that batch.
    pub(super) batch: Option<Seq>,
}

/// The items by the first event that each stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingEvents {
    items: BTreeMap<Seq, PendingEvent>,
    /// The item of each record that stands for whatever comes next of it.
    growing: HashMap<Uid, Seq>,
}

impl PendingEvents {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first event that is not settled.
    pub(super) fn first(&self) -> Option<Seq> {
        self.items.first_key_value().map(|(first, _)| *first)
    }

    pub(super) fn get(&self, first: Seq) -> Option<&PendingEvent> {
        self.items.get(&first)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        self.items.iter().map(|(first, item)| (*first, item))
    }

    /// The first item of each key, in the order of the log.
    pub(super) fn heads(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        let mut keys = HashSet::new();
        self.iter().filter(move |(_, item)| keys.insert(item.key))
    }

    /// Adds an event as an item of its own.
    pub(super) fn add(&mut self, event: EventMeta, key: Uid, due: Timestamp) {
        let EventMeta { seq, uid, bytes, .. } = event;
        self.items.insert(seq, PendingEvent { uid, key, seq, bytes, due, batch: None });
    }

    /// Adds an event as the newest of its record's; returns the one in whose place it is sent.
    pub(super) fn replace(&mut self, event: EventMeta, key: Uid, due: Timestamp) -> Option<Seq> {
        if let Some(item) = self.growing.get(&event.uid).and_then(|first| self.items.get_mut(first)) {
            item.bytes = event.bytes;
            return Some(std::mem::replace(&mut item.seq, event.seq));
        }
        self.growing.insert(event.uid, event.seq);
        self.add(event, key, due);
        None
    }

    /// The item is on its way: what comes next of its record is another one.
    pub(super) fn send(&mut self, first: Seq) {
        if let Some(item) = self.items.get(&first) {
            end_growth(&mut self.growing, first, item);
        }
    }

    /// It failed and stays, with the batch that it was in.
    pub(super) fn keep(&mut self, first: Seq, batch: Seq) {
        if let Some(item) = self.items.get_mut(&first) {
            item.batch = Some(batch);
        }
    }

    /// It failed and stays, and stands for what came of its record meanwhile; returns the event that is sent no more.
    pub(super) fn fold(&mut self, first: Seq) -> Option<Seq> {
        let uid = self.items.get(&first)?.uid;
        let newer = self.growing.insert(uid, first).and_then(|newer| self.items.remove(&newer))?;
        let item = self.items.get_mut(&first)?;
        item.bytes = newer.bytes;
        Some(std::mem::replace(&mut item.seq, newer.seq))
    }

    /// Takes an item out.
    pub(super) fn take(&mut self, first: Seq) -> Option<PendingEvent> {
        let item = self.items.remove(&first)?;
        end_growth(&mut self.growing, first, &item);
        Some(item)
    }

    /// Takes every item of a key out, in the order of the log.
    pub(super) fn take_key(&mut self, key: Uid) -> Vec<(Seq, PendingEvent)> {
        let taken: Vec<(Seq, PendingEvent)> = self.items.extract_if(.., |_, item| item.key == key).collect();
        for (first, item) in &taken {
            end_growth(&mut self.growing, *first, item);
        }
        taken
    }
}

/// The item stands for nothing that comes yet.
fn end_growth(growing: &mut HashMap<Uid, Seq>, first: Seq, item: &PendingEvent) {
    if growing.get(&item.uid) == Some(&first) {
        growing.remove(&item.uid);
    }
}
