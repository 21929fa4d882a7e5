//! The account's log.

use serde_json::json;

use super::operation::{BodySpec, Operation, Shape, Success, Tag, get, post, put, stream};
use super::parameter::{Parameter, flag, idempotency_key, if_match, if_none_match, limit, listing};
use crate::domain::Entity;
use crate::http::resources::change_stream;
use crate::http::resources::changes;
use crate::http::resources::lists::list;
use crate::http::resources::records::read;
use crate::http::resources::resource::Conflict;
use crate::http::resources::sync::{batch, conflicts as resolve_conflict, policy, revert};
use crate::http::spec::openapi::{Schema, named};
use crate::http::spec::samples;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation {
            route: get(changes::read, samples::changes),
            path: "/changes",
            aliases: &[],
            tag: Tag::Sync,
            id: "listChanges",
            summary: "Read the account's changes",
            description: "Events after a cursor, in order and without a gap. `meta.cursor` is the position to \
                continue from: the range up to it is covered even if a filter left events out. With \
                `Accept: application/x-protobuf` the response is length-delimited messages, and the cursor is in `X-Cursor`. \
                A page ends at about 1 MiB, so it may have fewer events than `limit`; `meta.has_more` says whether there are \
                more. The number of an account's requests that wait (`wait`) is bounded; another one is refused with 429.",
            parameters: vec![
                after(),
                limit("The most events of the page.", 100),
                Parameter::query(
                    "wait",
                    "The seconds to wait for an event if there is none yet.",
                    json!({"type": "integer", "minimum": 0, "maximum": changes::MAX_WAIT, "default": 0}),
                ),
                entity(),
                exclude_own(),
            ],
            body: None,
            success: Success { status: 200, shape: Shape::Changes },
            refusals: &[410, 422],
        },
        Operation {
            route: stream(change_stream::open),
            path: "/changes/stream",
            aliases: &[],
            tag: Tag::Sync,
            id: "streamChanges",
            summary: "Follow the account's changes",
            description: "Server-sent events: `id` is a cursor, `event` the type without its root, `data` the event. The \
                stream begins after the header `Last-Event-ID`, else after `after`, else at the end of the log. A comment is \
                sent at least every 15 seconds. The stream ends when its key is deleted or expires. The number of streams of \
                a key and of an account is bounded; another one is refused with 429.",
            parameters: vec![after(), entity(), exclude_own()],
            body: None,
            success: Success { status: 200, shape: Shape::Stream },
            refusals: &[410, 422],
        },
    ]
    .into_iter()
    .chain(writes())
    .chain(conflicts())
    .collect()
}

fn writes() -> [Operation; 4] {
    let operations = json!({"ops": [
        {"op_id": "1", "op": "upsert", "entity": "contact", "ref": {"id": "17"}, "match": ["email"], "base": 37,
         "set": {"phone": "+31201234567"}, "unset": ["title"]},
    ]});
    [
        Operation {
            route: post(batch::execute),
            path: "/sync/batch",
            aliases: &[],
            tag: Tag::Sync,
            id: "executeBatch",
            summary: "Execute operations of another system",
            description: "Up to 100 operations, executed in order; one batch is one call. Each has a result at its index \
                in `data`, with a `status` of its own and the whole `record` after it. `op_id` makes an operation \
                idempotent for 24 hours. `base` is the `seq` up to which your system knew the record: a field that \
                another origin changed after it is a conflict, resolved by the account's policy. With `atomic` all \
                operations are applied or none.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec { schema: Schema::SyncBatch, example: operations }),
            success: Success { status: 200, shape: Shape::List(Schema::SyncResult) },
            refusals: &[400, 413, 422],
        },
        Operation {
            route: post(revert::execute),
            path: "/sync/revert",
            aliases: &[],
            tag: Tag::Sync,
            id: "revertOrigin",
            summary: "Undo what an origin wrote",
            description: "Puts back what an origin wrote after `from` up to `to` (by default the end of the log): values \
                as they were, records that it created as tombstones, records that it deleted as live ones. A field that \
                somebody changed since keeps its value and is listed in `skipped`. With `dry_run` nothing is changed and \
                `planned` lists what would be. Where `complete` is false, the same request continues.",
            parameters: Vec::new(),
            body: Some(BodySpec {
                schema: Schema::Revert,
                example: json!({"origin": "erp", "from": 1, "dry_run": true}),
            }),
            success: Success { status: 200, shape: Shape::Data(Schema::RevertReport) },
            refusals: &[400, 410, 413, 422],
        },
        Operation {
            route: get(policy::read, samples::sync_policy),
            path: "/sync/policy",
            aliases: &[],
            tag: Tag::Sync,
            id: "readSyncPolicy",
            summary: "Read the rules for concurrent changes",
            description: "The rule of all fields, and the rules of single fields.",
            parameters: Vec::new(),
            body: None,
            success: Success { status: 200, shape: Shape::Data(Schema::SyncPolicy) },
            refusals: &[],
        },
        Operation {
            route: put(policy::replace),
            path: "/sync/policy",
            aliases: &[],
            tag: Tag::Sync,
            id: "replaceSyncPolicy",
            summary: "Set the rules for concurrent changes",
            description: "`incoming_wins`: the later write wins. `existing_wins`: the earlier one. `reject`: the earlier \
                one, and the later write gets 409. `system_of_record`: only one origin writes the field. Every value that \
                loses is in the conflict log.",
            parameters: Vec::new(),
            body: Some(BodySpec {
                schema: Schema::SyncPolicy,
                example: json!({"default": "incoming_wins", "fields": {"contact.phone": "existing_wins"}}),
            }),
            success: Success { status: 200, shape: Shape::Data(Schema::SyncPolicy) },
            refusals: &[400, 413, 422],
        },
    ]
}

fn conflicts() -> [Operation; 3] {
    let record = Schema::Record(Entity::Conflict);
    let id = || Parameter::path("id", "The conflict's uid.", "0193a5b0-7c1e-5000-8000-000000000001");
    [
        Operation {
            route: get(list::<Conflict>, samples::list::<Conflict>),
            path: "/sync/conflicts",
            aliases: &[],
            tag: Tag::Sync,
            id: "listConflicts",
            summary: "List conflicts",
            description: "Values that lost against another origin's, with the values that were kept.",
            parameters: listing()
                .into_iter()
                .chain([Parameter::query(
                    "status",
                    "Only conflicts with this status.",
                    json!({"type": "string", "enum": ["open", "resolved"]}),
                )])
                .collect(),
            body: None,
            success: Success { status: 200, shape: Shape::Page(record) },
            refusals: &[422],
        },
        Operation {
            route: get(read::<Conflict>, samples::read::<Conflict>),
            path: "/sync/conflicts/{id}",
            aliases: &[],
            tag: Tag::Sync,
            id: "readConflict",
            summary: "Read a conflict",
            description: "By its uid.",
            parameters: vec![id(), if_none_match()],
            body: None,
            success: Success { status: 200, shape: Shape::RecordOrNull(record) },
            refusals: &[400, 404, 410],
        },
        Operation {
            route: post(resolve_conflict::resolve),
            path: "/sync/conflicts/{id}/resolve",
            aliases: &[],
            tag: Tag::Sync,
            id: "resolveConflict",
            summary: "Resolve a conflict",
            description: "`kept` leaves the record as it is, `lost` writes the value that lost, and `value` another one.",
            parameters: vec![id(), idempotency_key(), if_match()],
            body: Some(BodySpec { schema: Schema::ConflictResolution, example: json!({"take": "lost"}) }),
            success: Success { status: 200, shape: Shape::Record(record) },
            refusals: &[400, 404, 410, 412, 413, 422],
        },
    ]
}

fn after() -> Parameter {
    let description =
        "A cursor of this service. The events after it are returned; without it, those from the beginning.";
    Parameter::query("after", description, json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{16}$"}))
}

fn entity() -> Parameter {
    let names: Vec<_> = Entity::ALL.into_iter().map(Entity::name).collect();
    Parameter::query(
        "entity",
        "Only events of this kind of record.",
        named("RecordKind", json!({"type": "string", "enum": names})),
    )
}

fn exclude_own() -> Parameter {
    let description = "Leaves out events that keys of the caller's own origin caused. Safe for a client that applies the \
        response to every write.";
    flag("exclude_own", description)
}
