//! The loop breaker: a field that two systems change one after the other keeps its value until somebody decides.

use std::sync::Arc;

use super::conflict::{Loss, LossReason, OPEN, loop_uid};
use crate::domain::decision::{Decision, View};
use crate::domain::{Entity, EventType, Field, FieldConflict, FieldPolicy, NewEvent, Record, Seq};

/// Leaves out the changes of fields that are in a loop, and logs the values that lose. Every write path ends here, also those
/// of clients that know nothing of origins.
pub fn break_loops(view: &impl View, decision: Decision, origin: &Arc<str>) -> Decision {
    let is_concerned = |new_event: &NewEvent| {
        new_event.event_type == EventType::Updated
            && new_event.entity.is_synced()
            && view.by_uid(new_event.entity, new_event.uid).is_some_and(|record| !record.flips.is_empty())
    };
    if !decision.new_events.iter().any(is_concerned) {
        return decision;
    }
    let mut kept = Vec::with_capacity(decision.new_events.len());
    let mut conflicts = decision.conflicts;
    let mut losses = Vec::new();
    for mut new_event in decision.new_events {
        let record = view.by_uid(new_event.entity, new_event.uid).filter(|_| is_concerned(&new_event));
        if let Some(record) = record {
            for (field, yours) in std::mem::take(&mut new_event.changes) {
                if !is_suspended(view, record, field, origin) {
                    new_event.changes.push((field, yours));
                    continue;
                }
                let conflict = FieldConflict::with(record, field, None, yours, FieldPolicy::ExistingWins, false);
                losses.extend(Loss::of(record, &conflict, LossReason::Loop, origin).new_event(view));
                conflicts.push(conflict);
            }
        }
        if !(record.is_some() && new_event.changes.is_empty() && new_event.refs.is_empty()) {
            kept.push(new_event);
        }
    }
    kept.extend(losses);
    Decision { new_events: kept, conflicts, ..decision }
}

/// Whether a field keeps its value against this origin. The origin that wrote the value may change it.
fn is_suspended(view: &impl View, record: &Record, field: Field, origin: &Arc<str>) -> bool {
    if !record.flips.is_loop(field, Seq::ZERO) || record.origins.get(&field) == Some(origin) {
        return false;
    }
    match view.needed(Entity::Conflict, loop_uid(record.uid, field)) {
        None => true,
        Some(conflict) if conflict.text(Field::Status) == Some(OPEN) => true,
        // Only flips after the resolution count.
        Some(conflict) => record.flips.is_loop(field, conflict.version),
    }
}
