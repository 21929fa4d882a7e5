//! Work on many records of an account that is made of commands: undoing what an origin wrote.
//!
//! Guarantees: everything is written by commands, so that it is decided under the account's lock on the state of then; an
//! interrupted run is continued by running it again.

pub(crate) mod files;
mod plan;
pub(crate) mod preview;
pub(crate) mod revert;
