//! Durable consumers on the stream of NATS.

use serde_json::json;

use super::operation::{BodySpec, Operation, Shape, Success, Tag, delete, get, post};
use super::parameter::{Parameter, idempotency_key};
use crate::http::resources::consumers;
use crate::http::spec::openapi::Schema;
use crate::http::spec::samples;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation {
            route: get(consumers::list, samples::consumers),
            path: "/sync/consumers",
            aliases: &[],
            tag: Tag::Sync,
            id: "listConsumers",
            summary: "List NATS consumers",
            description: "All durable consumers of the account with their progress. 503 while NATS is not available.",
            parameters: Vec::new(),
            body: None,
            success: Success { status: 200, shape: Shape::List(Schema::Consumer) },
            refusals: &[],
        },
        Operation {
            route: post(consumers::create),
            path: "/sync/consumers",
            aliases: &[],
            tag: Tag::Sync,
            id: "createConsumer",
            summary: "Create a NATS consumer",
            description: "A durable pull consumer on the stream, of the account's events or of those of one entity. It \
                begins after `from`: `start`, `now` (the default) or a cursor; 410 for a cursor of a log that was restored \
                since. The stream keeps events for a limited time: `missing` is the range of earlier events that it does \
                not have any more, to be read from `/changes`. Acknowledgement is explicit; a message that is not \
                acknowledged within 30 s is delivered again, and at most 1,000 may wait for theirs. A key may read the \
                consumers that exist when it logs in, so connect after this response. 503 while NATS is not available.",
            parameters: vec![idempotency_key()],
            body: Some(BodySpec {
                schema: Schema::ConsumerCreate,
                example: json!({"name": "erp", "entity": "contact", "from": "start"}),
            }),
            success: Success { status: 201, shape: Shape::Written(Schema::Consumer) },
            refusals: &[400, 410, 413, 422],
        },
        Operation {
            route: get(consumers::read, samples::consumer),
            path: "/sync/consumers/{name}",
            aliases: &[],
            tag: Tag::Sync,
            id: "readConsumer",
            summary: "Read a NATS consumer",
            description: "With its progress. 503 while NATS is not available.",
            parameters: vec![name()],
            body: None,
            success: Success { status: 200, shape: Shape::Data(Schema::Consumer) },
            refusals: &[400, 404],
        },
        Operation {
            route: delete(consumers::delete),
            path: "/sync/consumers/{name}",
            aliases: &[],
            tag: Tag::Sync,
            id: "deleteConsumer",
            summary: "Delete a NATS consumer",
            description: "Its position is lost. 503 while NATS is not available.",
            parameters: vec![name(), idempotency_key()],
            body: None,
            success: Success { status: 200, shape: Shape::Nothing },
            refusals: &[400, 404, 413, 422],
        },
    ]
}

fn name() -> Parameter {
    Parameter::path("name", "The name of a consumer.", "erp")
}
