//! What happened: a fact is what `decide` says, an event is a fact with its place in the log.

use super::{Entity, Field, Patch, Record, Seq, Timestamp, Uid, Value};

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is its wire name")]
pub enum EventType {
    Created,
    Updated,
    Deleted,
    WelcomeRequested,
    Subscribed,
    FieldAdded,
    FieldChanged,
    FieldArchived,
    Failing,
    Disabled,
    Recovered,
}

impl EventType {
    /// Every verb.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::WelcomeRequested,
        Self::Subscribed,
        Self::FieldAdded,
        Self::FieldChanged,
        Self::FieldArchived,
        Self::Failing,
        Self::Disabled,
        Self::Recovered,
    ];

    /// The last part of an event's type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::WelcomeRequested => "welcome_requested",
            Self::Subscribed => "subscribed",
            Self::FieldAdded => "field_added",
            Self::FieldChanged => "field_changed",
            Self::FieldArchived => "field_archived",
            Self::Failing => "failing",
            Self::Disabled => "disabled",
            Self::Recovered => "recovered",
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event_type| event_type.name() == name)
    }
}

/// What `decide` found to be true of one record.
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
    /// A record that comes to be with these fields; one that is given as null is no change.
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

/// A fact at its place in the account's log. It holds its delta and the whole record after it, so that no reader
/// needs another event to understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Event {
    /// Of the log, when the event was appended: [`FIRST_EPOCH`](super::FIRST_EPOCH) unless it was restored since.
    pub epoch: i32,
    pub seq: Seq,
    pub at: Timestamp,
    pub event_type: EventType,
    /// The record's version before; `None` where this event created it.
    pub previous_version: Option<Seq>,
    pub changed: Vec<FieldChange>,
    pub record: Record,
    /// The origin of the key that wrote it: a partner filters its own writes by this.
    pub origin: String,
    /// W3C Trace Context of the request, passed on.
    pub traceparent: Option<String>,
}
