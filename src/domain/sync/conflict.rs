//! The conflict log: a record of each value that lost against another origin's.
//!
//! An origin has one conflict per field of a record, so that a value which it sends again opens no second one. A further
//! value of the same origin and field is a further event of the conflict.

use uuid::Uuid;

use super::field_conflict::FieldConflict;
use crate::domain::decision::View;
use crate::domain::value::FieldValue;
use crate::domain::{Entity, EventType, Field, FieldPolicy, NewEvent, Number, Patch, Record, Seq, Uid, Value};

/// The reason for which a value lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossReason {
    /// Two origins changed the field, and neither knew of the other's change.
    Concurrent,
    /// Another origin is the field's system of record.
    SystemOfRecord,
    /// The record had been deleted.
    Deleted,
    /// Two origins changed the field one after the other, again and again.
    Loop,
}

impl LossReason {
    /// The name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Concurrent => "concurrent",
            Self::SystemOfRecord => "system-of-record",
            Self::Deleted => "deleted",
            Self::Loop => LOOP_SUSPECTED,
        }
    }
}

/// The reason of conflicts of the loop breaker.
pub(crate) const LOOP_SUSPECTED: &str = "loop-suspected";

/// The status of a conflict that nobody resolved.
pub(crate) const OPEN: &str = "open";
/// The status of a conflict that somebody resolved.
pub(crate) const RESOLVED: &str = "resolved";

/// A value that lost, and the one that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss<'a> {
    pub(super) record: &'a Record,
    pub(super) field: Field,
    pub(super) reason: LossReason,
    pub(super) policy: Option<&'a FieldPolicy>,
    pub(super) base: Option<Seq>,
    pub(super) kept: Option<Value>,
    pub(super) kept_origin: Option<&'a str>,
    pub(super) lost: Option<Value>,
    pub(super) lost_origin: Option<&'a str>,
}

/// The conflict of an origin and a field of a record.
#[must_use]
pub(crate) fn conflict_uid(record: Uid, field: Field, origin: Option<&str>) -> Uid {
    // No name of a field contains a slash.
    let name = [field.name(), "/", origin.unwrap_or_default()].concat();
    Uid(Uuid::new_v5(&record.0, name.as_bytes()))
}

/// The conflict of a loop: one per field, whichever origin loses.
#[must_use]
pub(super) fn loop_uid(record: Uid, field: Field) -> Uid {
    let name = ["loop:", field.name()].concat();
    Uid(Uuid::new_v5(&record.0, name.as_bytes()))
}

impl<'a> Loss<'a> {
    /// The value that loses in a conflict with a change of this origin.
    pub(super) fn of(record: &'a Record, conflict: &'a FieldConflict, reason: LossReason, origin: &'a str) -> Self {
        let yours = (conflict.yours.clone(), Some(origin));
        let theirs = (conflict.theirs.clone(), conflict.theirs_origin.as_deref());
        let (kept, lost) = if conflict.is_applied { (yours, theirs) } else { (theirs, yours) };
        Self {
            record,
            field: conflict.field,
            reason,
            policy: Some(&conflict.policy),
            base: conflict.base,
            kept: kept.0,
            kept_origin: kept.1,
            lost: lost.0,
            lost_origin: lost.1,
        }
    }

    /// The event that logs the loss; `None` where the log has it already.
    pub(super) fn new_event(self, view: &impl View) -> Option<NewEvent> {
        let uid = match self.reason {
            LossReason::Loop => loop_uid(self.record.uid, self.field),
            LossReason::Concurrent | LossReason::SystemOfRecord | LossReason::Deleted => {
                conflict_uid(self.record.uid, self.field, self.lost_origin)
            }
        };
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let held = |value: Option<Value>| Some(Value::OfField(Box::new(FieldValue::new(self.field, value))));
        let (kept, lost) = (held(self.kept), held(self.lost));
        let known = view.needed(Entity::Conflict, uid);
        let is_logged = known.is_some_and(|conflict| {
            let has = |field, value: &Option<Value>| conflict.fields.get(&field) == value.as_ref();
            conflict.text(Field::Status) == Some(OPEN) && has(Field::Kept, &kept) && has(Field::Lost, &lost)
        });
        if is_logged {
            return None;
        }
        let patch = Patch::from([
            (Field::RecordKind, text(self.record.entity.name())),
            (Field::RecordUid, text(&self.record.uid.to_string())),
            (Field::AttributeName, text(self.field.name())),
            (Field::Reason, text(self.reason.name())),
            (Field::Policy, self.policy.and_then(|policy| text(policy.name()))),
            (Field::Status, text(OPEN)),
            (Field::Base, self.base.map(position)),
            (Field::Position, Some(position(self.record.version))),
            (Field::Kept, kept),
            (Field::KeptOrigin, self.kept_origin.and_then(text)),
            (Field::Lost, lost),
            (Field::LostOrigin, self.lost_origin.and_then(text)),
            (Field::Resolution, None),
        ]);
        Some(match known {
            Some(conflict) => NewEvent::new(Entity::Conflict, uid, EventType::Opened, conflict.differences(patch)),
            None => NewEvent::of_new(Entity::Conflict, uid, EventType::Opened, patch),
        })
    }
}

fn position(seq: Seq) -> Value {
    Value::Number(Number::of_position(seq))
}
