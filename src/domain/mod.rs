//! The rules of contacts, companies and projects: commands in, new events out.
//!
//! Every function is pure and synchronous. This layer knows nothing of clocks, randomness, JSON, HTTP, SQL or NATS: its
//! callers pass identifiers and timestamps as values, and store the new events.
//!
//! Guarantees: a write that changes nothing yields no event ([`Decision::new_events`] is empty); [`Record::evolve`] is
//! total; a refused command changes nothing.

pub mod account;
pub mod brand;
mod change;
pub(crate) mod company;
pub(crate) mod contact;
mod decide;
mod decision;
pub(crate) mod endpoint;
pub(crate) mod entity;
pub(crate) mod event;
mod event_type;
pub(crate) mod field;
mod field_type;
#[cfg(test)]
pub(crate) mod fixture;
pub mod flips;
pub(crate) mod ids;
pub mod named;
pub(crate) mod project;
pub(crate) mod record;
pub mod reference;
pub(crate) mod refusal;
pub(crate) mod schema;
mod svg;
pub mod sync;
#[cfg(test)]
mod tests;
pub(crate) mod text_enum;
pub mod tier;
pub mod user;
pub(crate) mod value;
mod visibility;

pub use change::{FieldChange, NewEvent, Patch};
pub use decide::{Command, Delete, decide, refuse_too_large};
pub(crate) use decision::is_taken;
pub use decision::{Decision, Reads, View};
pub use entity::Entity;
pub use event::Event;
pub use event_type::EventType;
pub use field::{Field, FieldKind, FieldOwner};
pub use ids::{AccountId, FIRST_EPOCH, Seq, Uid};
pub use record::{Record, Target};
pub use refusal::{Invalid, Refusal, ValidationErrors};
pub use sync::{FieldConflict, FieldPolicy, SyncPolicy};
pub use value::{Address, Link, Money, Number, Person, Role, Value};

/// A point in time. The domain gets it as an argument and never reads a clock.
pub type Timestamp = time::OffsetDateTime;
