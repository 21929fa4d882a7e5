//! Two-way synchronization: operations that name records by the identifiers of other systems, and that resolve concurrent
//! changes field by field.
//!
//! Guarantees: two operations that name one identifier never make two records; a value that loses against another origin's is
//! in the log as a conflict, so that nothing is overwritten silently.

mod concurrency;
pub(crate) mod conflict;
mod delete;
mod field_conflict;
mod loops;
mod merge;
mod policy;
mod resolve;
mod revert;
#[cfg(test)]
mod tests;
mod upsert;

use std::sync::Arc;

pub(crate) use delete::{Erase, Restore, SyncDelete};
pub use field_conflict::FieldConflict;
pub use loops::break_loops;
pub(crate) use merge::Merge;
pub use policy::{FieldPolicy, SyncPolicy};
pub(crate) use resolve::{Resolution, Resolve};
pub(crate) use revert::{Existence, FieldRevert, Revert, RevertEffect};
pub(crate) use upsert::Upsert;

use super::decision::{Decision, Reads, View};
use super::{Entity, Refusal, Seq};

/// The most identifiers in other systems of one record, because every event of the record lists them.
pub(crate) const MAX_REFS: usize = 100;

/// One operation of a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after its contents")]
pub enum SyncOperation {
    Upsert(Upsert),
    Delete(SyncDelete),
    Restore(Restore),
    Merge(Merge),
    Erase(Erase),
    Resolve(Resolve),
    Revert(Revert),
}

impl SyncOperation {
    /// The kind of the record that the operation names.
    #[must_use]
    pub fn entity(&self) -> Entity {
        match self {
            Self::Upsert(upsert) => upsert.entity,
            Self::Delete(delete) => delete.entity,
            Self::Restore(restore) => restore.entity,
            Self::Merge(merge) => merge.entity,
            Self::Erase(erase) => erase.entity,
            Self::Resolve(_) => Entity::Conflict,
            Self::Revert(revert) => revert.entity,
        }
    }

    pub(super) fn settles_disputes(&self) -> bool {
        matches!(self, Self::Resolve(_) | Self::Revert(_))
    }

    pub(super) fn reads(&self, reads: &mut Reads) {
        match self {
            Self::Upsert(upsert) => upsert.reads(reads),
            Self::Delete(delete) => reads.target(delete.entity, &delete.target),
            Self::Restore(restore) => reads.target(restore.entity, &restore.target),
            Self::Merge(merge) => merge.reads(reads),
            Self::Erase(erase) => reads.target(erase.entity, &erase.target),
            Self::Resolve(resolve) => resolve.reads(reads),
            Self::Revert(revert) => reads.uids.push((revert.entity, revert.uid)),
        }
    }

    pub(super) fn decide(self, view: &impl View) -> Result<Decision, Refusal> {
        match self {
            Self::Upsert(upsert) => upsert.decide(view),
            Self::Delete(delete) => delete.decide(view),
            Self::Restore(restore) => restore.decide(view),
            Self::Merge(merge) => merge.decide(view),
            Self::Erase(erase) => erase.decide(view),
            Self::Resolve(resolve) => resolve.decide(view),
            Self::Revert(revert) => revert.decide(view),
        }
    }
}

/// A state that a partner has seen: the changes of other origins after it are concurrent with the partner's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The position up to which the partner knew the record; `None` where it does not say.
    pub seq: Option<Seq>,
    /// The partner.
    pub origin: Arc<str>,
}
