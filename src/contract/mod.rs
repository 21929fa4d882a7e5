//! The public data formats: converts domain values to and from CloudEvents in JSON and protobuf messages.
//!
//! Guarantees: an event is encoded once, when it is appended; the log stores these bytes and every channel sends them. Every
//! format that was ever released stays readable. Knows nothing of storage, transport or HTTP status.

pub(crate) mod company_fields;
mod cursor;
pub(crate) mod delivery;
pub(crate) mod erase;
pub mod event;
mod event_id;
#[rustfmt::skip]
pub mod generated;
mod identity;
pub mod input;
pub(crate) mod outcome;
pub mod proto;
pub mod record;
pub(crate) mod resolution;
pub mod sync_op;
pub mod sync_policy;
#[cfg(test)]
mod tests;
pub(crate) mod timestamp;

pub use cursor::Cursor;
pub use event::EncodedEvent;
pub use event_id::EventId;
pub use identity::Identity;
