//! Changes of one record, before they have a position in the log.

use std::collections::BTreeMap;

use super::reference::Ref;
use super::{Entity, EventType, Field, Uid, Value};

/// The new values of some fields: absent means unchanged, `None` means `null`.
pub type Patch = BTreeMap<Field, Option<Value>>;

/// An event before it has a position in the log: the change of one record, as `decide` returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewEvent {
    pub entity: Entity,
    pub uid: Uid,
    pub event_type: EventType,
    /// The fields that change and their new values, in the order of [`Field`]; `None` is `null`.
    pub changes: Vec<(Field, Option<Value>)>,
    /// Identifiers in other systems that the record gets besides those that it has.
    pub refs: Vec<Ref>,
    /// The record that continues a merged one.
    pub merged_into: Option<Uid>,
}

impl NewEvent {
    /// An event that changes fields alone.
    #[must_use]
    pub fn new(entity: Entity, uid: Uid, event_type: EventType, changes: Vec<(Field, Option<Value>)>) -> Self {
        Self { entity, uid, event_type, changes, refs: Vec::new(), merged_into: None }
    }

    /// The event that creates a record with these fields. Fields that are null are left out, because they change nothing.
    pub(super) fn of_new(entity: Entity, uid: Uid, event_type: EventType, patch: Patch) -> Self {
        let changes = patch.into_iter().filter(|(_, value)| value.is_some()).collect();
        Self::new(entity, uid, event_type, changes)
    }
}

/// One field's change.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct FieldChange {
    pub field: Field,
    pub from: Option<Value>,
    pub to: Option<Value>,
}
