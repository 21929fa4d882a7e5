//! What leaves the house and what comes in, as bytes: domain values ⇄ CloudEvents in JSON ⇄ protobuf.
//!
//! Guarantees: an event is encoded once, when it is appended, and those bytes are what the log keeps and every channel
//! sends; every shape that was ever released can be read for ever. This layer knows nothing of storage, transport or
//! HTTP status.

mod cursor;
pub mod delivery;
pub mod event;
mod event_id;
#[rustfmt::skip]
pub mod generated;
mod identity;
pub mod input;
pub mod outcome;
pub mod proto;
pub mod record;
#[cfg(test)]
mod tests;
pub mod timestamp;

pub use cursor::Cursor;
pub use event::EncodedEvent;
pub use event_id::EventId;
pub use identity::Identity;
