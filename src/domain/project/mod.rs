//! Projects: their commands and rules.
//!
//! Guarantees: a project ends no earlier than it starts; its client is a live contact or company when the client is set.
//! Names need not be unique.

mod command;
#[cfg(test)]
mod tests;

pub(crate) use command::{CreateProject, UpdateProject};
