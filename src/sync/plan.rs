//! The changes to undo: those of one origin in a range of the log, record by record. Pure.

use std::collections::BTreeMap;

use crate::domain::sync::{Existence, FieldRevert, Revert};
use crate::domain::{Entity, Event, EventType, Field, FieldChange, Seq, Uid, Value};

/// The most records that one plan holds.
pub(super) const MAX_RECORDS: usize = 100_000;

/// The changes that an origin made, from its events in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Plan {
    records: BTreeMap<(Entity, Uid), Undo>,
}

#[derive(Debug)]
struct Undo {
    last: Seq,
    existence: Option<Existence>,
    fields: BTreeMap<Field, FieldUndo>,
}

#[derive(Debug)]
struct FieldUndo {
    changed_at: Seq,
    /// The value before the first change after which nobody else changed the field.
    before: Option<Value>,
    after: Option<Value>,
}

/// The plan has too many records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Plan {
    /// Adds the origin's next event.
    pub(super) fn add(&mut self, event: Event) -> Result<(), TooLarge> {
        let key = (event.record.entity, event.record.uid);
        if !key.0.is_synced() {
            return Ok(());
        }
        if self.records.len() >= MAX_RECORDS && !self.records.contains_key(&key) {
            return Err(TooLarge);
        }
        let undo =
            self.records.entry(key).or_insert(Undo { last: event.seq, existence: None, fields: BTreeMap::new() });
        undo.last = event.seq;
        match event.event_type {
            EventType::Created => undo.existence = Some(Existence::Deleted),
            // A record that the origin created is to be a tombstone, whatever the origin did with it later.
            EventType::Deleted if undo.existence.is_none() => undo.existence = Some(Existence::Live),
            EventType::Restored if undo.existence.is_none() => undo.existence = Some(Existence::Deleted),
            // Deleted and restored: as before.
            EventType::Restored if undo.existence == Some(Existence::Live) => undo.existence = None,
            EventType::Updated
            | EventType::Deleted
            | EventType::Restored
            | EventType::Merged
            | EventType::Erased
            | EventType::WelcomeRequested
            | EventType::Subscribed
            | EventType::FieldAdded
            | EventType::FieldChanged
            | EventType::FieldArchived
            | EventType::Failing
            | EventType::Disabled
            | EventType::Recovered
            | EventType::Opened
            | EventType::Resolved => {}
        }
        for change in event.changed {
            undo.add(event.seq, change);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The commands, in the order of the records.
    pub(super) fn into_commands(self) -> impl Iterator<Item = Revert> {
        self.records.into_iter().map(|((entity, uid), undo)| Revert {
            entity,
            uid,
            last: undo.last,
            existence: undo.existence,
            fields: undo
                .fields
                .into_iter()
                .map(|(field, undo)| FieldRevert { field, changed_at: undo.changed_at, to: undo.before })
                .collect(),
        })
    }
}

impl Undo {
    fn add(&mut self, seq: Seq, FieldChange { field, from, to }: FieldChange) {
        match self.fields.get_mut(&field) {
            // Nobody changed the field between the two.
            Some(undo) if undo.after == from => (undo.changed_at, undo.after) = (seq, to),
            _ => drop(self.fields.insert(field, FieldUndo { changed_at: seq, before: from, after: to })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{contact, deleted, timestamp, uid, updated};
    use crate::domain::{FIRST_EPOCH, NewEvent, Record};

    const ANN: &str = "ann@x.org";

    /// The plan of the events that the origin `erp` wrote.
    fn plan(history: impl IntoIterator<Item = (&'static str, NewEvent)>) -> Vec<Revert> {
        let (mut plan, mut before, mut seq) = (Plan::default(), None::<Record>, Seq::ZERO);
        for (origin, new_event) in history {
            seq = seq.next();
            let previous_version = before.as_ref().map(|record| record.version);
            let event_type = new_event.event_type;
            let (record, changed) = Record::evolve(before, new_event, seq, timestamp(seq), &origin.into());
            let event = Event {
                epoch: FIRST_EPOCH,
                seq,
                at: timestamp(seq),
                event_type,
                previous_version,
                changed,
                record: record.clone(),
                origin: origin.into(),
                traceparent: None,
                causation: None,
                correlation: None,
            };
            before = Some(record);
            if origin == "erp" {
                plan.add(event).expect("few records");
            }
        }
        plan.into_commands().collect()
    }

    fn phone(number: &str) -> NewEvent {
        updated(Entity::Contact, ANN).with(Field::Phone, Some(Value::Text(number.to_owned())))
    }

    fn only(mut plan: Vec<Revert>) -> Revert {
        assert_eq!(plan.len(), 1);
        plan.remove(0)
    }

    #[test]
    fn the_value_before_the_origins_first_change_is_put_back() {
        let history = [("shop", contact(ANN)), ("shop", phone("1")), ("erp", phone("2")), ("erp", phone("3"))];
        let revert = only(plan(history));
        let to = Some(Value::Text("1".to_owned()));
        assert_eq!(revert.fields, [FieldRevert { field: Field::Phone, changed_at: Seq(4), to }]);
        assert_eq!((revert.uid, revert.last, revert.existence), (uid(ANN), Seq(4), None));
    }

    #[test]
    fn a_change_of_somebody_else_in_between_is_put_back() {
        let history = [
            ("shop", contact(ANN)),
            ("erp", phone("1")),
            ("shop", phone("2")),
            ("erp", phone("3")),
            ("erp", phone("4")),
        ];
        let to = Some(Value::Text("2".to_owned()));
        assert_eq!(only(plan(history)).fields, [FieldRevert { field: Field::Phone, changed_at: Seq(5), to }]);
    }

    #[test]
    fn a_creation_is_undone_by_a_deletion_and_a_deletion_by_a_restoration() {
        let existence = |history: Vec<(&'static str, NewEvent)>| only(plan(history)).existence;
        let restored = || NewEvent { event_type: EventType::Restored, ..updated(Entity::Contact, ANN) };
        let gone = || deleted(Entity::Contact, ANN);
        assert_eq!(existence(vec![("erp", contact(ANN)), ("erp", phone("1"))]), Some(Existence::Deleted));
        assert_eq!(existence(vec![("erp", contact(ANN)), ("erp", gone())]), Some(Existence::Deleted));
        assert_eq!(existence(vec![("shop", contact(ANN)), ("erp", gone())]), Some(Existence::Live));
        assert_eq!(existence(vec![("shop", contact(ANN)), ("erp", gone()), ("erp", restored())]), None);
        let others = vec![("shop", contact(ANN)), ("shop", gone()), ("erp", restored())];
        assert_eq!(existence(others), Some(Existence::Deleted));
    }
}
