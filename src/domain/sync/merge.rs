//! Merging records: one continues, the others become tombstones that lead to it.

use std::collections::BTreeMap;

use crate::domain::decision::{Decision, Reads, View, gone};
use crate::domain::{
    Entity, EventType, Field, FieldKind, Invalid, NewEvent, Patch, Record, Refusal, Uid, ValidationErrors, Value,
};

/// The most records that one merge takes in.
const MAX_MERGED: usize = 20;

/// Merges records into one. The surviving record keeps its values, gets those that it lacks, and all identifiers in other
/// systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    pub entity: Entity,
    pub into: Uid,
    from: Vec<Uid>,
}

impl Merge {
    /// Returns the command, or the errors of its members.
    pub fn new(entity: Entity, into: Uid, from: Vec<Uid>) -> Result<Self, ValidationErrors> {
        let invalid = |detail: &str| Err(Invalid::new("from", detail).into());
        let mut distinct = from.clone();
        distinct.sort_unstable();
        distinct.dedup();
        match from.len() {
            0 => invalid("Must name at least one record."),
            length if length > MAX_MERGED => invalid("Must name at most 20 records."),
            length if length != distinct.len() => invalid("Must name each record once."),
            _ if from.contains(&into) => invalid("Must not name the record that continues."),
            _ => Ok(Self { entity, into, from }),
        }
    }

    pub(super) fn reads(&self, reads: &mut Reads) {
        reads.uids.push((self.entity, self.into));
        reads.uids.extend(self.from.iter().map(|uid| (self.entity, *uid)));
    }

    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let find = |uid| view.by_uid(self.entity, uid).ok_or(Refusal::NotFound(self.entity));
        let survivor = find(self.into)?;
        if survivor.deleted {
            return Err(gone(survivor));
        }
        let mut fields = survivor.fields.clone();
        let mut refs = Vec::new();
        let mut new_events = Vec::with_capacity(self.from.len() + 1);
        for uid in &self.from {
            let merged = find(*uid)?;
            if merged.merged_into == Some(self.into) {
                // The merge was executed before.
                continue;
            }
            if merged.deleted {
                return Err(gone(merged));
            }
            add_missing(&mut fields, merged);
            refs.extend(merged.refs.iter().filter(|reference| !survivor.refs.contains(reference)).cloned());
            let gone = NewEvent::new(self.entity, *uid, EventType::Merged, Vec::new());
            new_events.push(NewEvent { merged_into: Some(self.into), ..gone });
        }
        let subject = (self.entity, self.into);
        if survivor.refs.len() + refs.len() > super::MAX_REFS {
            let detail =
                format!("Together the records have more than {} identifiers in other systems.", super::MAX_REFS);
            return Err(Invalid::new("from", detail).into());
        }
        let patch: Patch = fields.into_iter().map(|(field, value)| (field, Some(value))).collect();
        let changes = survivor.differences(patch);
        if !changes.is_empty() || !refs.is_empty() {
            let updated = NewEvent::new(self.entity, self.into, EventType::Updated, changes);
            new_events.push(NewEvent { refs, ..updated });
        }
        Ok(Decision::new(subject, new_events))
    }
}

/// Adds the values that the surviving record lacks. Lists that hold a set are united.
fn add_missing(fields: &mut BTreeMap<Field, Value>, merged: &Record) {
    for (field, value) in &merged.fields {
        match (fields.get_mut(field), value) {
            (None, value) => drop(fields.insert(*field, value.clone())),
            (Some(Value::Tags(own)), Value::Tags(more)) => {
                unite(own, more);
                own.sort_unstable();
                own.truncate(crate::domain::value::MAX_TAGS);
            }
            (Some(Value::Links(own)), Value::Links(more)) if is_set(*field) => {
                unite(own, more);
            }
            (Some(Value::Audiences(own)), Value::Audiences(more)) => {
                unite(own, more);
                own.sort_unstable();
            }
            (Some(Value::Custom(own)), Value::Custom(more)) => {
                for (uid, value) in more {
                    own.entry(*uid).or_insert_with(|| value.clone());
                }
            }
            (Some(_), _) => {}
        }
    }
}

/// Adds the items that a list lacks.
fn unite<T: Clone + PartialEq>(own: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !own.contains(item) {
            own.push(item.clone());
        }
    }
}

fn is_set(field: Field) -> bool {
    matches!(field.kind(), FieldKind::Links | FieldKind::Circles)
}
