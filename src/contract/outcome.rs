//! Outcomes of commands, stored under their idempotency keys.
//!
//! A success is stored as the position of its event, not as its text: the response is made again from the log, byte for
//! byte, and erasing a person from the log erases the person here too.

use serde::{Deserialize, Serialize};

use crate::domain::{Entity, Refusal, Seq, Uid};

/// The stored outcome of a command. Its JSON is read by replicas of the release before, so its names do not change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// The command was executed. It may have changed nothing.
    Done(Done),
    /// An operation of a partner was executed, or a part of it.
    Synced(SyncOutcome),
    /// The command was refused.
    Refused(Refusal),
    /// The request named no record. Its response is stored.
    #[serde(rename = "told")]
    CachedResponse(CachedResponse),
}

/// The outcome of an executed command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub entity: Entity,
    pub uid: Uid,
    /// The record's version after the command: the position of the event that holds the record of the response.
    pub version: Seq,
    #[serde(rename = "what")]
    pub disposition: Disposition,
}

/// The outcome of an operation of a partner that met concurrent changes. It holds no values: those are in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncOutcome {
    /// The record after the operation.
    pub done: Done,
    /// The fields that did not change, by their names.
    pub rejected: Vec<String>,
    /// The reason why the operation did not change its record, or not all of it.
    pub rejection: Option<Refusal>,
}

/// A response that cannot be made again from the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedResponse {
    /// The HTTP status.
    pub status: u16,
    /// The stored body in base64: encrypted, because it may hold a secret; the plain text where there is no master key.
    pub kept: String,
}

/// The kind of change that a command made to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    Created,
    Updated,
    Deleted,
    /// The record has the requested state already; there is no event.
    Unchanged,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_entity_has_its_name_in_stored_outcomes() {
        for entity in Entity::ALL {
            assert_eq!(serde_json::to_value(entity).unwrap(), entity.name());
        }
    }

    #[test]
    fn the_json_of_a_stored_outcome_is_that_of_every_release() {
        let done = Done {
            entity: Entity::Contact,
            uid: Uid(Uuid::nil()),
            version: Seq(7),
            disposition: Disposition::Unchanged,
        };
        let cached = CachedResponse { status: 201, kept: "e30=".to_owned() };
        let text = |outcome| serde_json::to_string(&outcome).unwrap();

        assert_eq!(
            text(CommandOutcome::Done(done)),
            r#"{"done":{"entity":"contact","uid":"00000000-0000-0000-0000-000000000000","version":7,"what":"unchanged"}}"#
        );
        assert_eq!(text(CommandOutcome::CachedResponse(cached)), r#"{"told":{"status":201,"kept":"e30="}}"#);
    }
}
