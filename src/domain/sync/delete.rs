//! Deleting, restoring and erasing records.

use super::Base;
use super::concurrency::changed_by_others;
use crate::domain::decision::{Decision, View, find_any, gone, refuse_taken};
use crate::domain::{Entity, EventType, NewEvent, Refusal, Target};

/// Deletes a record, unless another origin changed it after the base. A tombstone stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncDelete {
    pub entity: Entity,
    pub target: Target,
    pub base: Base,
}

/// Makes a tombstone a live record again, with the fields that it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restore {
    pub entity: Entity,
    pub target: Target,
}

/// Takes all fields from a record for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erase {
    pub entity: Entity,
    pub target: Target,
}

impl SyncDelete {
    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find_any(view, self.entity, &self.target)?;
        let subject = (record.entity, record.uid);
        if record.deleted {
            return Ok(Decision::new(subject, Vec::new()));
        }
        let fields = changed_by_others(record, &self.base);
        if !fields.is_empty() {
            let fields = fields.into_iter().map(|field| field.name().to_owned()).collect();
            let rejection = Refusal::Concurrent { entity: self.entity, version: record.version, fields };
            // With the record, because the partner takes it over.
            return Ok(Decision { rejection: Some(rejection), ..Decision::new(subject, Vec::new()) });
        }
        let deleted = NewEvent::new(record.entity, record.uid, EventType::Deleted, Vec::new());
        Ok(Decision::new(subject, vec![deleted]))
    }
}

impl Restore {
    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find_any(view, self.entity, &self.target)?;
        let subject = (record.entity, record.uid);
        if !record.deleted {
            return Ok(Decision::new(subject, Vec::new()));
        }
        if record.erased || record.merged_into.is_some() {
            return Err(gone(record));
        }
        let mut live = record.clone();
        live.deleted = false;
        // The key of a tombstone is known only now, so that its owner is loaded now.
        if let Some(key) = live.key().filter(|_| self.entity.has_unique_key())
            && view.needed_key(self.entity, &key).is_some()
        {
            refuse_taken(view, self.entity, record.uid, Some(&key))?;
        }
        let restored = NewEvent::new(record.entity, record.uid, EventType::Restored, Vec::new());
        Ok(Decision::new(subject, vec![restored]))
    }
}

impl Erase {
    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        let record = find_any(view, self.entity, &self.target)?;
        let subject = (record.entity, record.uid);
        if record.erased {
            return Ok(Decision::new(subject, Vec::new()));
        }
        let erased = NewEvent::new(record.entity, record.uid, EventType::Erased, Vec::new());
        Ok(Decision::new(subject, vec![erased]))
    }
}
