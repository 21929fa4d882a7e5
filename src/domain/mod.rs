//! The rules of contacts, companies and projects: commands in, facts out.
//!
//! Everything here is a pure, synchronous function of its arguments. This layer knows nothing of time, randomness,
//! JSON, HTTP, SQL or NATS: a caller passes the identifiers and the moment in, and stores what comes out.
//!
//! Guarantees: a write that changes nothing yields no fact ([`Decision::new_events`] is empty); [`Record::evolve`] is
//! total; a refused command leaves no trace.

pub mod account;
pub mod brand;
pub mod company;
pub mod contact;
mod decide;
pub mod endpoint;
pub mod entity;
pub mod event;
pub mod field;
#[cfg(test)]
pub(crate) mod fixture;
pub mod ids;
pub mod named;
pub mod project;
pub mod record;
pub mod refusal;
pub mod schema;
#[cfg(test)]
mod tests;
pub(crate) mod text_enum;
pub mod value;

pub use decide::{Command, Decision, Delete, Reads, View, decide, refuse_too_large};
pub use entity::Entity;
pub use event::{Event, EventType, FieldChange, NewEvent};
pub use field::{Field, FieldKind, FieldOwner};
pub use ids::{AccountId, FIRST_EPOCH, Seq, Uid};
pub use record::{Patch, Record, Target};
pub use refusal::{Invalid, Refusal, ValidationErrors};
pub use value::{Address, Link, Money, Number, Person, Role, Value};

/// A moment; the domain is handed it and never asks a clock.
pub type Timestamp = time::OffsetDateTime;
