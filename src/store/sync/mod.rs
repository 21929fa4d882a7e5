//! Two-way synchronization: identifiers of records in other systems, and the rules for concurrent changes.

pub(super) mod policy;
pub(super) mod refs;
