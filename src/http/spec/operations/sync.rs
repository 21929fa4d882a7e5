//! The account's log.

use serde_json::json;

use super::operation::{Operation, Shape, Success, Tag, get, stream};
use super::parameter::{Parameter, flag, limit};
use crate::domain::Entity;
use crate::http::resources::change_stream;
use crate::http::resources::changes;
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
            description: "Events after a cursor, in order and without a gap. `meta.cursor` is where to go on: the range \
                up to it is covered even where a filter leaves holes. Asked with `Accept: application/x-protobuf` the \
                answer is length-delimited messages and the cursor stands in `X-Cursor`. A page may have fewer events \
                than `limit` though there are more: it ends at about 1 MiB, and `meta.has_more` says so. With `wait`, \
                an account may have a bounded number of requests waiting; one more is refused with 429.",
            parameters: vec![
                after(),
                limit("The most events to read.", 100),
                Parameter::query(
                    "wait",
                    "How many seconds to wait for an event where there is none yet.",
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
            description: "Server-sent events: `id` is a cursor, `event` the type without its root, `data` the event. It \
                begins after the header `Last-Event-ID`, else after `after`, else now. A comment comes at least every \
                15 seconds. It ends when its key is deleted or expires. A key and an account may have a bounded number \
                of streams; one more is refused with 429.",
            parameters: vec![after(), entity(), exclude_own()],
            body: None,
            success: Success { status: 200, shape: Shape::Stream },
            refusals: &[410, 422],
        },
    ]
}

fn after() -> Parameter {
    let description = "The cursor after which to begin: one that this service gave out. Without it, the beginning.";
    Parameter::query("after", description, json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{16}$"}))
}

fn entity() -> Parameter {
    let names: Vec<_> = Entity::ALL.into_iter().map(Entity::name).collect();
    Parameter::query("entity", "Only events of this kind of record.", json!({"type": "string", "enum": names}))
}

fn exclude_own() -> Parameter {
    let description = "Leave out what keys of the caller's own origin wrote. Safe for a client that applies the answer \
        of every write.";
    flag("exclude_own", description)
}
