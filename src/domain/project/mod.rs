//! Projects: what makes one and what changes one.
//!
//! Guarantees: a project ends no earlier than it starts; its client is a live contact or company when it is named. Names
//! need not be unique.

mod command;
#[cfg(test)]
mod tests;

pub use command::{CreateProject, UpdateProject};
