//! Two-way synchronization: operations in batches, conflicts, and the rules by which they are resolved.

pub(in crate::http) mod batch;
pub(in crate::http) mod conflicts;
mod item;
pub(in crate::http) mod over_nats;
pub(in crate::http) mod policy;
pub(in crate::http) mod revert;
