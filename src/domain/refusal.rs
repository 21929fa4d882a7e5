//! Why a command was not carried out.

use serde::{Deserialize, Serialize};

use super::{Entity, Seq};

/// A refused command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// No live record answers to the target.
    NotFound(Entity),
    /// The record was deleted by the event at `deleted_seq`.
    Gone {
        /// What it was.
        entity: Entity,
        /// The position of the deletion.
        deleted_seq: Seq,
    },
    /// `If-Match` named another version than the present one.
    Stale {
        /// The present version.
        version: Seq,
    },
    /// One or more fields cannot be taken, all of them listed.
    Invalid(Vec<Invalid>),
    /// The idempotency key was used before with another request.
    KeyReused,
}

/// One field that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invalid {
    /// A JSON Pointer in its URI fragment form (RFC 6901, section 6): `#/email`.
    pub pointer: String,
    /// One plain sentence.
    pub detail: String,
}

/// What is wrong with a command, from every side that it is looked at from: all of it is said, not the first alone.
#[derive(Debug, Default)]
pub(super) struct Gathered(Vec<Invalid>);

impl Gathered {
    /// The result, or nothing where its fields are invalid, which is kept. Any other refusal ends it.
    pub(super) fn of<T>(&mut self, result: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Invalid(invalid)) => {
                self.0.extend(invalid);
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The refusal for all that was kept.
    pub(super) fn refuse(self) -> Result<(), Refusal> {
        if self.0.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.0)) }
    }
}

impl Invalid {
    /// `name` is the path below the body's root, with `/` between its steps.
    #[must_use]
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/{name}"), detail: detail.into() }
    }
}
