//! Concurrent changes of a record: which fields of an update apply, and which values lose.

use super::Base;
use super::conflict::{Loss, LossReason};
use super::field_conflict::FieldConflict;
use crate::domain::decision::View;
use crate::domain::{Field, FieldKind, FieldPolicy, NewEvent, Record, Value};

/// The changes of an update that apply, its conflicts, and the events that log the values that lost.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) changes: Vec<(Field, Option<Value>)>,
    pub(super) conflicts: Vec<FieldConflict>,
    pub(super) losses: Vec<NewEvent>,
}

/// Resolves the changes of an update field by field, by the account's policy.
pub(super) fn settle(view: &impl View, record: &Record, base: &Base, changes: Vec<(Field, Option<Value>)>) -> Settled {
    let mut settled = Settled::default();
    for (field, yours) in changes {
        let Some(conflict) = conflict_of(view, record, base, field, yours.as_ref()) else {
            settled.changes.push((field, yours));
            continue;
        };
        let is_concurrent = is_concurrent(record, base, field);
        let reason = if is_concurrent { LossReason::Concurrent } else { LossReason::SystemOfRecord };
        settled.losses.extend(Loss::of(record, &conflict, reason, &base.origin).new_event(view));
        if conflict.is_applied {
            settled.changes.push((field, yours));
        }
        settled.conflicts.push(conflict);
    }
    settled
}

/// The events that log all values of an update of a tombstone.
pub(super) fn losses_of_deleted(
    view: &impl View,
    record: &Record,
    base: &Base,
    changes: Vec<(Field, Option<Value>)>,
) -> Vec<NewEvent> {
    let loss = |(field, lost): (Field, Option<Value>)| {
        let origin = Some(&*base.origin);
        let (kept, kept_origin) =
            (record.fields.get(&field).cloned(), record.origins.get(&field).map(|origin| &**origin));
        let reason = LossReason::Deleted;
        let loss =
            Loss { record, field, reason, policy: None, base: base.seq, kept, kept_origin, lost, lost_origin: origin };
        loss.new_event(view)
    };
    changes.into_iter().filter_map(loss).collect()
}

/// The fields that other origins changed after the base.
pub(super) fn changed_by_others(record: &Record, base: &Base) -> Vec<Field> {
    record.field_seq.keys().copied().filter(|field| is_concurrent(record, base, *field)).collect()
}

fn conflict_of(
    view: &impl View,
    record: &Record,
    base: &Base,
    field: Field,
    yours: Option<&Value>,
) -> Option<FieldConflict> {
    let policy = view.policy().of(record.entity, field);
    let is_concurrent = is_concurrent(record, base, field);
    let is_foreign = match policy {
        FieldPolicy::SystemOfRecord(owner) => **owner != *base.origin,
        FieldPolicy::IncomingWins | FieldPolicy::ExistingWins | FieldPolicy::Reject => false,
    };
    if !is_concurrent && !is_foreign || is_additive(field) {
        return None;
    }
    let is_applied = match policy {
        FieldPolicy::IncomingWins => true,
        FieldPolicy::ExistingWins | FieldPolicy::Reject => false,
        FieldPolicy::SystemOfRecord(_) => !is_foreign,
    };
    Some(FieldConflict::with(record, field, base.seq, yours.cloned(), policy.clone(), is_applied))
}

/// Whether another origin changed the field after the base. A field of which the origin is unknown, because a release that
/// kept none wrote it, counts as another's.
fn is_concurrent(record: &Record, base: &Base, field: Field) -> bool {
    let is_later = match (base.seq, record.field_seq.get(&field)) {
        (Some(base), Some(changed)) => *changed > base,
        (None, _) | (_, None) => false,
    };
    is_later && record.origins.get(&field).is_none_or(|origin| **origin != *base.origin)
}

/// Fields that are written as what to add and what to remove, so that concurrent changes do not overwrite each other.
fn is_additive(field: Field) -> bool {
    matches!(field.kind(), FieldKind::Links | FieldKind::Circles | FieldKind::Audiences)
}
