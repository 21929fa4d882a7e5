//! The schemas of two-way synchronization.

use serde_json::{Value as Json, json};

use super::components::named;
use super::shape::{nullable, object, timestamp, uuid, with, words};
use crate::contract::sync_op::MAX_OPERATIONS;
use crate::domain::{Entity, FieldPolicy};
use crate::store::erasure::ErasureStage;

fn seq() -> Json {
    json!({"type": "integer", "minimum": 0})
}

fn id() -> Json {
    json!({"type": "string", "minLength": 1, "maxLength": 255})
}

fn synced() -> Json {
    let kinds = Entity::ALL.into_iter().filter(|entity| entity.is_synced()).map(Entity::name);
    words("SyncedKind", &kinds.collect::<Vec<_>>())
}

/// The body of a batch.
pub(super) fn batch() -> Json {
    json!({
        "type": "object",
        "required": ["ops"],
        "properties": {
            "ops": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_OPERATIONS,
                "items": named("SyncOperation", operation()),
            },
            "atomic": {"type": "boolean", "default": false, "description": "All operations are applied, or none."},
        },
    })
}

fn operation() -> Json {
    json!({
        "type": "object",
        "required": ["op", "entity"],
        "properties": {
            "op_id": with(id(), "description", json!("Makes the operation idempotent for 24 hours.")),
            "op": words("SyncOperationName", &["upsert", "update", "delete", "restore", "merge", "erase"]),
            "entity": synced(),
            "uid": uuid(),
            "ref": named("RecordReference", json!({
                "type": "object",
                "required": ["id"],
                "properties": {"id": id()},
                "description": "The record's id in the system of the calling key's origin.",
            })),
            "match": {
                "type": "array",
                "items": {"type": "string"},
                "description": "Attributes of `set` by whose values an existing record is looked for.",
            },
            "base": with(seq(), "description", json!("The seq up to which your system knew the record.")),
            "set": {"type": "object", "description": "Attributes with their new values, as in the body of an update."},
            "unset": {"type": "array", "items": {"type": "string"}, "description": "Attributes that become null."},
            "into": uuid(),
            "from": {"type": "array", "items": uuid(), "description": "The records that a merge takes in."},
        },
    })
}

/// A concurrent change as a result lists it.
fn conflict() -> Json {
    let conflict = json!({
        "field": {"type": "string"},
        "applied": {"type": "boolean", "description": "Whether your value was written."},
        "base": {"type": ["integer", "null"]},
        "yours": {},
        "theirs": {},
        "theirs_origin": {"type": ["string", "null"]},
        "seq": seq(),
        "policy": {"type": "string"},
    });
    let optional = ["base", "yours", "theirs", "theirs_origin", "seq", "policy"];
    named("SyncConflict", object(conflict, &optional))
}

/// A problem inside a result.
fn problem() -> Json {
    named("OperationProblem", json!({"type": "object", "description": "A problem as an error response has it."}))
}

/// The result of one operation.
pub(super) fn result() -> Json {
    let record =
        named("SyncedRecord", json!({"type": "object", "description": "The whole record after the operation."}));
    object(
        json!({
            "op_id": {"type": ["string", "null"]},
            "status": {"type": "integer", "description": "As the status of a request of its own."},
            "seq": with(seq(), "description", json!("The record's version after the operation.")),
            "uid": uuid(),
            "changed": {"type": "boolean"},
            "replayed": {"type": "boolean"},
            "record": nullable(record),
            "problem": problem(),
            "rejected": {"type": "array", "items": {"type": "string"}, "description": "Attributes that kept their value."},
            "conflicts": {"type": "array", "items": conflict()},
        }),
        &["seq", "uid", "replayed", "problem", "rejected", "conflicts"],
    )
}

/// How far an erasure is.
pub(super) fn erasure() -> Json {
    let stages = ErasureStage::ALL.map(ErasureStage::name);
    object(
        json!({
            "uid": uuid(),
            "seq": with(seq(), "description", json!("The event `contact.erased`.")),
            "stage": with(words("ErasureStage", &stages), "description", json!("What is erased from next; `done` at the end.")),
            "merged": {"type": "array", "items": uuid(), "description": "Contacts that were merged into this one: they are \
                erased with it."},
            "searched_seq": with(seq(), "description", json!("The log was searched up to this event.")),
            "events": with(seq(), "description", json!("The events that were changed so far.")),
            "messages": with(seq(), "description", json!("The messages that were removed from the stream.")),
            "begun_at": timestamp(),
            "done_at": nullable(timestamp()),
        }),
        &[],
    )
}

/// The rules for concurrent changes.
pub(super) fn policy() -> Json {
    let names = [FieldPolicy::IncomingWins, FieldPolicy::ExistingWins, FieldPolicy::Reject].map(|policy| policy.name());
    json!({
        "type": "object",
        "properties": {
            "default": words("SyncRule", &names),
            "fields": {
                "type": "object",
                "description": "By attribute, such as `contact.phone`: the name of a rule, or \
                    `{\"system_of_record\": \"an origin\"}`.",
                "additionalProperties": {},
            },
        },
    })
}

/// The body that resolves a conflict.
pub(super) fn resolution() -> Json {
    json!({
        "type": "object",
        "required": ["take"],
        "properties": {
            "take": words("ConflictChoice", &["kept", "lost", "value"]),
            "value": {"type": "object", "description": "The attribute with its value: `{\"phone\": \"+31201234567\"}`."},
        },
    })
}

/// The body that undoes what an origin wrote.
pub(super) fn revert() -> Json {
    let position = |what: &str| json!({"type": ["integer", "string"], "description": what});
    json!({
        "type": "object",
        "required": ["origin", "from"],
        "properties": {
            "origin": id(),
            "from": position("A seq, a time (RFC 3339) or a cursor: changes after it are undone."),
            "to": position("The same, for the end of the range; by default the end of the log."),
            "dry_run": {"type": "boolean", "default": false},
        },
    })
}

/// The report of undoing.
pub(super) fn revert_report() -> Json {
    let count = || json!({"type": "integer", "minimum": 0});
    let skipped = object(
        json!({
            "entity": synced(),
            "uid": uuid(),
            "fields": {"type": "array", "items": conflict()},
            "problem": nullable(problem()),
        }),
        &[],
    );
    let field = object(json!({"field": {"type": "string"}, "seq": seq(), "to": {}}), &["to"]);
    let planned = object(
        json!({
            "entity": synced(),
            "uid": uuid(),
            "existence": {"type": ["string", "null"], "description": "`delete` or `restore`."},
            "fields": {"type": "array", "items": named("RevertField", field)},
        }),
        &[],
    );
    object(
        json!({
            "origin": id(),
            "from": seq(),
            "to": seq(),
            "dry_run": {"type": "boolean"},
            "complete": {"type": "boolean"},
            "records": count(),
            "remaining": count(),
            "updated": count(),
            "deleted": count(),
            "restored": count(),
            "unchanged": count(),
            "skipped_total": count(),
            "skipped": {"type": "array", "items": named("RevertSkipped", skipped)},
            "planned": {"type": "array", "items": named("RevertPlanned", planned)},
        }),
        &[],
    )
}
