//! Events: `decide` returns new events, and each becomes an event at its position in the log.

use super::text_enum::text_enum;
use super::{Entity, Field, Patch, Record, Seq, Timestamp, Uid, Value};

text_enum! {
    /// The type of an event: the last part of its name on the wire.
    #[derive(Hash)]
    #[expect(missing_docs, reason = "each variant is its wire name")]
    pub enum EventType {
        Created = "created",
        Updated = "updated",
        Deleted = "deleted",
        WelcomeRequested = "welcome_requested",
        Subscribed = "subscribed",
        FieldAdded = "field_added",
        FieldChanged = "field_changed",
        FieldArchived = "field_archived",
        Failing = "failing",
        Disabled = "disabled",
        Recovered = "recovered",
    }
}

/// An event before it has a position in the log: the change of one record, as `decide` returns it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewEvent {
    pub entity: Entity,
    pub uid: Uid,
    pub event_type: EventType,
    /// The fields that change and their new values, in the order of [`Field`]; `None` is `null`.
    pub changes: Vec<(Field, Option<Value>)>,
}

impl NewEvent {
    /// The event that creates a record with these fields. Fields that are null are left out, because they change nothing.
    pub(super) fn of_new(entity: Entity, uid: Uid, event_type: EventType, patch: Patch) -> Self {
        let changes = patch.into_iter().filter(|(_, value)| value.is_some()).collect();
        Self { entity, uid, event_type, changes }
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

/// An event at its position in the account's log. It holds the changes and the whole record after them, so that a reader
/// needs no other event to understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Event {
    /// The epoch of the log when the event was appended: [`FIRST_EPOCH`](super::FIRST_EPOCH) in a log that was never restored.
    pub epoch: i32,
    pub seq: Seq,
    pub at: Timestamp,
    pub event_type: EventType,
    /// The version of the record before this event; `None` where this event created the record.
    pub previous_version: Option<Seq>,
    pub changed: Vec<FieldChange>,
    pub record: Record,
    /// The origin of the API key that wrote the event. A partner recognises its own writes by it.
    pub origin: String,
    /// W3C Trace Context of the request.
    pub traceparent: Option<String>,
}
