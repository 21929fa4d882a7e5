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

impl Invalid {
    /// `name` is the path below the body's root, with `/` between its steps.
    #[must_use]
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        Self { pointer: format!("#/{name}"), detail: detail.into() }
    }
}
