//! How a command ended, as it is kept beside an idempotency key.
//!
//! A success is kept as the place of its event, not as its text: the answer is made again from the log, byte for byte,
//! and erasing a person from the log erases them here too.

use serde::{Deserialize, Serialize};

use crate::domain::{Entity, Refusal, Seq, Uid};

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// The command was carried out, or found nothing to change.
    Done(Done),
    /// The command was refused.
    Refused(Refusal),
    /// It was about no record, and this was answered.
    CachedResponse(CachedResponse),
}

/// A command that was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Done {
    pub entity: Entity,
    pub uid: Uid,
    /// The record's version after it: the position of the event that holds the record as answered.
    pub version: Seq,
    pub what: Disposition,
}

/// An answer that cannot be made again from the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body as it is kept, in base64: sealed, since it may hold a secret, or its text where there is no master key.
    pub kept: String,
}

/// What a command did to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Disposition {
    Created,
    Updated,
    Deleted,
    /// The record is already as the command wanted it: no event.
    Unchanged,
}
