//! Two-way synchronization: consumers, identifiers of records in other systems, and the rules for concurrent changes.

pub(crate) mod consumers;
pub(crate) mod origins;
pub(super) mod policy;
mod policy_changes;
pub(super) mod refs;
