//! The schemas of consumers.

use serde_json::{Value as Json, json};

use super::components::named;
use super::shape::{nullable, object, text, timestamp, words};
use crate::domain::Entity;
use crate::gateway::consumers::MAX_NAME;

/// A consumer as answers show it.
pub(super) fn shown() -> Json {
    let seq = |about: &str| json!({"type": "integer", "minimum": 0, "description": about});
    let count = |about: &str| json!({"type": ["integer", "null"], "minimum": 0, "description": about});
    object(
        json!({
            "name": text(MAX_NAME),
            "stream": {"type": "string", "description": "The stream that it reads."},
            "durable": {"type": "string", "description": "Its name on the stream."},
            "entity": nullable(entity()),
            "created": timestamp(),
            "after_seq": seq("The event after which it began."),
            "acknowledged_seq": seq("All of its events up to this one are acknowledged."),
            "state": words("ConsumerState", &["ready", "provisioning"]),
            "pending": count("Events that it has not delivered; `null` while it is not on the stream."),
            "ack_pending": count("Events that are delivered and not acknowledged."),
            "delivered_seq": count("All of its events up to this one were delivered."),
            "missing": nullable(named("MissingEvents", json!({
                "type": "object",
                "description": "In the response that creates it: events after its start that the stream does not have any \
                    more. Read them from `/changes`.",
                "required": ["after_seq", "through_seq"],
                "properties": {"after_seq": seq("They begin after this one."), "through_seq": seq("The last of them.")},
            }))),
        }),
        &[],
    )
}

/// The body that creates a consumer.
pub(super) fn create() -> Json {
    json!({"type": "object", "required": ["name"], "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,39}$", "description": "Unique in the account."},
        "entity": nullable(entity()),
        "from": {"type": ["string", "null"], "description": "The position to begin after: `start`, `now` or a cursor."},
    }})
}

fn entity() -> Json {
    words("RecordKind", &Entity::ALL.map(Entity::name))
}
