//! The account's log.

use serde_json::json;

use super::operation::{Operation, Shape, Success, Tag, get, stream};
use super::parameter::{Parameter, flag, limit};
use crate::domain::Entity;
use crate::http::resources::change_stream;
use crate::http::resources::changes;
use crate::http::spec::openapi::named;
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
