//! Putting back what an origin wrote to one record, except where somebody changed it since.

use super::field_conflict::FieldConflict;
use crate::domain::decision::{Decision, View, gone, refuse_taken};
use crate::domain::{Entity, EventType, Field, FieldPolicy, NewEvent, Record, Refusal, Seq, Uid, Value};

/// Undoes changes of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revert {
    /// The kind of the record.
    pub entity: Entity,
    /// The record.
    pub uid: Uid,
    /// The position of the last event that is undone. Where it is the record's last one, nobody changed the record since.
    pub last: Seq,
    /// Whether the record was created, or made live or a tombstone, by the events that are undone.
    pub existence: Option<Existence>,
    /// The fields with the values to put back.
    pub fields: Vec<FieldRevert>,
}

/// The existence that is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    /// The record becomes a tombstone.
    Deleted,
    /// The tombstone becomes live again.
    Live,
}

/// A field with the value to put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRevert {
    /// The field.
    pub field: Field,
    /// The position of the change that is undone.
    pub changed_at: Seq,
    /// The value before it; `None` is `null`.
    pub to: Option<Value>,
}

/// The effect of undoing changes on a record as it is now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RevertEffect {
    /// The existence that the record gets; `None` keeps it.
    pub existence: Option<Existence>,
    /// The fields that get their earlier value.
    pub changes: Vec<(Field, Option<Value>)>,
    /// The fields that keep their value, because somebody changed them since.
    pub conflicts: Vec<FieldConflict>,
}

impl Revert {
    /// Returns the effect on the record. Refuses where the record as a whole stays as it is. A lookup key that has a new
    /// owner is refused by the decision alone, which can look for the owner.
    pub(crate) fn effect(&self, record: &Record) -> Result<RevertEffect, Refusal> {
        let is_untouched = record.version == self.last;
        if record.erased || record.merged_into.is_some() {
            return Err(gone(record));
        }
        match self.existence {
            Some(Existence::Deleted) if record.deleted => return Ok(RevertEffect::default()),
            Some(Existence::Deleted) if is_untouched => {
                return Ok(RevertEffect { existence: Some(Existence::Deleted), ..RevertEffect::default() });
            }
            Some(Existence::Deleted) => return Err(changed_since(record)),
            Some(Existence::Live) if record.deleted && !is_untouched => return Err(changed_since(record)),
            None if record.deleted => return Err(gone(record)),
            Some(Existence::Live) | None => {}
        }
        let (changes, conflicts) = changes(record, &self.fields);
        Ok(RevertEffect { existence: record.deleted.then_some(Existence::Live), changes, conflicts })
    }

    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = view.by_uid(self.entity, self.uid).ok_or(Refusal::NotFound(self.entity))?;
        let subject = (self.entity, self.uid);
        let RevertEffect { existence, changes, conflicts } = self.effect(record)?;
        let new_event = |event_type, changes| NewEvent::new(self.entity, self.uid, event_type, changes);
        if existence == Some(Existence::Deleted) {
            return Ok(Decision::new(subject, vec![new_event(EventType::Deleted, Vec::new())]));
        }
        refuse_taken_key(view, record, &changes)?;
        let mut new_events = Vec::new();
        if existence == Some(Existence::Live) {
            new_events.push(new_event(EventType::Restored, Vec::new()));
        }
        if !changes.is_empty() {
            new_events.push(new_event(EventType::Updated, changes));
        }
        Ok(Decision { conflicts, ..Decision::new(subject, new_events) })
    }
}

/// The changes that apply, and the fields that somebody changed since.
fn changes(record: &Record, fields: &[FieldRevert]) -> (Vec<(Field, Option<Value>)>, Vec<FieldConflict>) {
    let (mut changes, mut conflicts) = (Vec::new(), Vec::new());
    for FieldRevert { field, changed_at, to } in fields {
        let (field, to) = (*field, to.clone());
        if record.fields.get(&field) == to.as_ref() {
            continue;
        }
        if record.field_seq.get(&field) == Some(changed_at) {
            changes.push((field, to));
            continue;
        }
        let base = Some(*changed_at);
        conflicts.push(FieldConflict::with(record, field, base, to, FieldPolicy::ExistingWins, false));
    }
    (changes, conflicts)
}

/// Refuses a lookup key that has a new owner.
fn refuse_taken_key(view: &impl View, record: &Record, changes: &[(Field, Option<Value>)]) -> Result<(), Refusal> {
    let mut after = record.clone();
    after.deleted = false;
    for (field, value) in changes {
        match value {
            Some(value) => after.fields.insert(*field, value.clone()),
            None => after.fields.remove(field),
        };
    }
    let Some(key) = after.key().filter(|_| record.entity.has_unique_key()) else { return Ok(()) };
    if record.key().as_ref() != Some(&key) && view.needed_key(record.entity, &key).is_some() {
        refuse_taken(view, record.entity, record.uid, Some(&key))?;
    }
    Ok(())
}

fn changed_since(record: &Record) -> Refusal {
    Refusal::Concurrent { entity: record.entity, version: record.version, fields: Vec::new() }
}
