//! Records: the state on which commands are decided. Every event holds its whole record.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flips::{Flip, Flips};
use super::reference::Ref;
use super::value::is_same_number;
use super::{
    Address, Entity, EventType, Field, FieldChange, FieldKind, NewEvent, Number, Patch, Person, Seq, Timestamp, Uid,
    Value,
};

/// A contact, company or other entity. Absent fields are `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Record {
    pub entity: Entity,
    pub uid: Uid,
    /// The position of the record's last event; its `ETag`.
    pub version: Seq,
    /// True for a tombstone: it keeps its fields, is found by its uid only and has no lookup key.
    pub deleted: bool,
    /// To the second.
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub fields: BTreeMap<Field, Value>,
    /// For each field that was ever set, the position of its last change.
    pub field_seq: BTreeMap<Field, Seq>,
    /// For each field that was ever set, the origin of its last change. Events of releases before 0.2 have none.
    pub origins: BTreeMap<Field, Arc<str>>,
    /// The fields that origins change one after the other.
    pub flips: Flips,
    pub refs: Vec<Ref>,
    /// The record that continues this one, where it was merged.
    pub merged_into: Option<Uid>,
    /// True when the record was erased: it is a tombstone without fields, and cannot be restored.
    pub erased: bool,
}

/// The attributes that an event gives all its changes.
struct Written<'a> {
    seq: Seq,
    at: Timestamp,
    origin: &'a Arc<str>,
    /// The time of the record's last change before.
    updated_at: Timestamp,
}

/// The name by which a command finds an existing record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The uid; finds tombstones too.
    Uid(Uid),
    /// Lookup keys: the first that a live record has.
    Key(Vec<String>),
    /// The identifier in another system; finds tombstones too.
    Ref(Ref),
}

impl Record {
    /// The text of a field, if any.
    #[must_use]
    pub fn text(&self, field: Field) -> Option<&str> {
        self.fields.get(&field).and_then(Value::as_text)
    }

    /// The number of a field, if any.
    #[must_use]
    pub fn number(&self, field: Field) -> Option<Number> {
        match self.fields.get(&field) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A contact as a company shows it. An erased contact has no names, so that they are empty.
    #[must_use]
    pub fn person(&self) -> Person {
        let text = |field| self.text(field).map(str::to_owned);
        Person {
            uid: self.uid,
            first_name: text(Field::FirstName).unwrap_or_default(),
            last_name: text(Field::LastName).unwrap_or_default(),
            name_prefix: text(Field::NamePrefix),
            email: text(Field::Email),
            role: match self.fields.get(&Field::Role) {
                Some(Value::Role(role)) => Some(*role),
                _ => None,
            },
        }
    }

    /// The address, if any.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self.fields.get(&Field::Address) {
            Some(Value::Address(address)) => Some(address.as_ref()),
            _ => None,
        }
    }

    /// The lookup key of a live record, normalised.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        if self.deleted {
            return None;
        }
        match self.entity {
            Entity::Contact => self.text(Field::Email).map(normalize_key),
            Entity::Company | Entity::Project | Entity::Circle | Entity::World => {
                self.text(Field::Name).map(normalize_key)
            }
            Entity::CustomField => Some(custom_field_key(self.text(Field::Owner)?, self.text(Field::Name)?)),
            Entity::Audience => self.number(Field::Id).map(|id| id.to_string()),
            Entity::Note | Entity::Push | Entity::Conflict => None,
        }
    }

    /// The part of a patch that changes this record.
    #[must_use]
    pub fn differences(&self, patch: Patch) -> Vec<(Field, Option<Value>)> {
        patch.into_iter().filter(|(field, value)| !is_same(*field, self.fields.get(field), value.as_ref())).collect()
    }

    /// Applies a new event. Total: any event on any record yields a record. Returns the record and its changes, with the
    /// values before them.
    pub fn evolve(
        before: Option<Self>,
        new_event: NewEvent,
        seq: Seq,
        at: Timestamp,
        origin: &Arc<str>,
    ) -> (Self, Vec<FieldChange>) {
        let at = at.truncate_to_second();
        let mut record = before.unwrap_or_else(|| Self {
            entity: new_event.entity,
            uid: new_event.uid,
            version: seq,
            deleted: false,
            created_at: at,
            updated_at: at,
            fields: BTreeMap::new(),
            field_seq: BTreeMap::new(),
            origins: BTreeMap::new(),
            flips: Flips::default(),
            refs: Vec::new(),
            merged_into: None,
            erased: false,
        });
        let written = Written { seq, at, origin, updated_at: record.updated_at };
        record.version = seq;
        record.updated_at = at;
        if !record.flips.is_empty() {
            record.flips.expire(at);
        }
        match new_event.event_type {
            EventType::Deleted | EventType::FieldArchived => record.deleted = true,
            EventType::Restored => record.deleted = false,
            EventType::Merged => {
                record.deleted = true;
                record.merged_into = new_event.merged_into;
                // The surviving record gets them.
                record.refs.clear();
            }
            EventType::Erased => record.erase(),
            EventType::Created
            | EventType::Updated
            | EventType::WelcomeRequested
            | EventType::Subscribed
            | EventType::FieldAdded
            | EventType::FieldChanged
            | EventType::Failing
            | EventType::Disabled
            | EventType::Recovered
            | EventType::Opened
            | EventType::Resolved => {}
        }
        for added in new_event.refs {
            if !record.refs.contains(&added) {
                record.refs.push(added);
            }
        }
        let changed = new_event.changes.into_iter().map(|(field, to)| record.put(field, to, &written)).collect();
        (record, changed)
    }

    /// Becomes a tombstone without personal data.
    pub(crate) fn erase(&mut self) {
        self.deleted = true;
        self.erased = true;
        self.fields.clear();
        self.field_seq.clear();
        self.origins.clear();
        self.flips.clear();
        for reference in &mut self.refs {
            *reference = reference.erased();
        }
    }

    fn put(&mut self, field: Field, to: Option<Value>, written: &Written<'_>) -> FieldChange {
        let Written { seq, at, origin, updated_at } = *written;
        self.field_seq.insert(field, seq);
        let before = self.origins.insert(field, Arc::clone(origin));
        if before.is_some_and(|before| before != *origin) {
            self.flips.add(field, Flip { seq, at }, updated_at);
        }
        let from = match to.clone() {
            Some(value) => self.fields.insert(field, value),
            None => self.fields.remove(&field),
        };
        FieldChange { field, from, to }
    }
}

/// Whether two values of a field mean the same. Values are canonical, but for telephone numbers, which are kept as written.
fn is_same(field: Field, one: Option<&Value>, other: Option<&Value>) -> bool {
    match (field.kind(), one, other) {
        (FieldKind::Phone, Some(Value::Text(one)), Some(Value::Text(other))) => is_same_number(one, other),
        _ => one == other,
    }
}

/// Normalises a lookup key: keys that differ only in case or surrounding space are equal.
#[must_use]
pub(crate) fn normalize_key(text: &str) -> String {
    text.trim().to_lowercase()
}

/// The lookup key of a custom field. Each owner may have a field with the same label.
#[must_use]
pub(crate) fn custom_field_key(owner: &str, label: &str) -> String {
    format!("{owner}/{}", normalize_key(label))
}
