//! The events as an AsyncAPI 3.0 document (<https://www.asyncapi.com/docs/reference/specification/v3.0.0>), made from
//! the tables that the events themselves are made from. The schemas of records and of the envelope are those of
//! `openapi`.

use serde_json::{Map, Value as Json, json};

use super::openapi::{Schema, hoist, reference};
use crate::contract::event::{self, CONTENT_TYPE, TYPE_ROOT};
use crate::domain::{Entity, EventType};

/// The guarantees of every channel.
const PROMISE: &str = "At least once; in order per account on the feed, the stream and NATS, in order per record on \
                       webhooks; deduplicate by the event's `id`. Never lost: the feed is the truth, a push is a hint.";

/// The document as `brand` serves it at `service_url` (`https://api.example.org`). The API is below the path `base`, and
/// events are published below `subject_root`.
pub(in crate::http) fn document(brand: &str, service_url: &str, base: &str, subject_root: &str) -> Json {
    // A service URL always has a scheme.
    let (protocol, host) = service_url.split_once("://").unwrap_or(("https", service_url));
    let keys = json!([{"$ref": "#/components/securitySchemes/publicId"},
        {"$ref": "#/components/securitySchemes/secretKey"}]);
    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": format!("{brand}: events"),
            "version": "1",
            "description": format!("Every change of a record is an event in its account's log, numbered 1, 2, 3, … \
                without a gap. The same bytes, a CloudEvent 1.0 in structured JSON mode, go out on every channel.\n\n\
                **What is promised:** {PROMISE}"),
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "api": {"host": host, "protocol": protocol, "pathname": base, "security": keys},
            "nats": {"host": "{address}", "protocol": "nats",
                "variables": {"address": {"description": "Host and port of the NATS server: ask its operator."}}},
        },
        "channels": channels(base, subject_root),
        "operations": {
            "publish": operation("nats", "Each event is published to JetStream, stream `EVENTS` unless the operator \
                chose another name."),
            "answer": operation("feed", "The events after a cursor, up to 500 at once, in the answer's `data`; \
                `wait=30` waits for the next."),
            "stream": operation("stream", "The events after `Last-Event-ID` and from then on each as it happens."),
            "push": operation("webhook", "Each event that an endpoint chose is sent to its URL until it answers 2xx."),
        },
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "publicId": header_key("X-Public-ID", "The account."),
                "secretKey": header_key("X-Secret-Key", "One of the account's keys."),
            },
        },
    });
    hoist(&mut document);
    document
}

fn channels(base: &str, subject_root: &str) -> Json {
    let words = |words: Vec<&str>| Json::from(words);
    let entities = Entity::ALL.into_iter().filter(|entity| !entity.event_types().is_empty()).map(Entity::name);
    json!({
        "nats": {
            "address": format!("{subject_root}.{{account}}.evt.{{entity}}.{{verb}}"),
            "description": "A JetStream message per event. `Nats-Msg-Id` is the event's `id`.",
            "servers": [{"$ref": "#/servers/nats"}],
            "parameters": {
                "account": {"description": "The Public ID."},
                "entity": {"description": "The kind of record.", "enum": words(entities.collect())},
                "verb": {"description": "The event type.", "enum": words(EventType::ALL.map(EventType::name).to_vec())},
            },
            "messages": messages(Some("NatsHeaders")),
        },
        "feed": {
            "address": format!("{base}/changes"),
            "description": "GET, from any place in the log: `after` is the cursor of the page before.",
            "servers": [{"$ref": "#/servers/api"}],
            "messages": messages(None),
        },
        "stream": {
            "address": format!("{base}/changes/stream"),
            "description": "GET, answered as server-sent events: `id` is the cursor, `event` the type without its \
                root, `data` the event.",
            "servers": [{"$ref": "#/servers/api"}],
            "messages": messages(None),
        },
        "webhook": {
            "address": null,
            "description": "POST to the URL of a push endpoint, signed as Standard Webhooks 1.0 says.",
            "messages": messages(Some("WebhookHeaders")),
        },
    })
}

/// A message per type of event.
fn messages(headers: Option<&str>) -> Json {
    let message = |(entity, event_type): (Entity, EventType)| {
        let kind = event::kind(entity, event_type);
        let mut message = json!({
            "name": format!("{TYPE_ROOT}.{kind}"),
            "title": format!("{}: {}", entity.noun(), event_type.name().replace('_', " ")),
            "contentType": CONTENT_TYPE,
            "payload": {"$ref": format!("#/components/schemas/{kind}")},
        });
        if let (Some(headers), Some(message)) = (headers, message.as_object_mut()) {
            message.insert("headers".to_owned(), json!({"$ref": format!("#/components/schemas/{headers}")}));
        }
        (kind, message)
    };
    types().map(message).collect::<Map<_, _>>().into()
}

fn operation(channel: &str, description: &str) -> Json {
    json!({"action": "send", "channel": {"$ref": format!("#/channels/{channel}")}, "description": description})
}

fn header_key(name: &str, description: &str) -> Json {
    json!({"type": "httpApiKey", "in": "header", "name": name, "description": description})
}

/// Every type of event.
fn types() -> impl Iterator<Item = (Entity, EventType)> {
    Entity::ALL.into_iter().flat_map(|entity| entity.event_types().iter().map(move |event_type| (entity, *event_type)))
}

fn schemas() -> Json {
    let mut schemas = Map::new();
    schemas.insert("NatsHeaders".to_owned(), nats_headers());
    schemas.insert("WebhookHeaders".to_owned(), webhook_headers());
    let shared = Entity::ALL.map(Schema::Record).into_iter().chain([Schema::Event]);
    schemas.extend(shared.map(|schema| (schema.name(), schema.json(None))));
    schemas.extend(types().map(|(entity, event_type)| (event::kind(entity, event_type), payload(entity, event_type))));
    schemas.into()
}

fn nats_headers() -> Json {
    json!({
        "type": "object",
        "required": ["Nats-Msg-Id", "Content-Type"],
        "properties": {
            "Nats-Msg-Id": {"type": "string", "description": "The event's `id`: deduplicate by it."},
            "Content-Type": {"const": CONTENT_TYPE},
            "traceparent": {"type": "string"},
        },
    })
}

fn webhook_headers() -> Json {
    json!({
        "type": "object",
        "required": ["webhook-id", "webhook-timestamp", "webhook-signature"],
        "properties": {
            "webhook-id": {"type": "string", "description": "The id of the delivery, the same for every attempt: \
                the event's `id`, or for a batch an id made of its events."},
            "webhook-timestamp": {"type": "string", "pattern": "^[0-9]+$", "description": "This attempt's time in \
                seconds since 1970, which is signed too."},
            "webhook-signature": {"type": "string", "description": "The signature of `<id>.<timestamp>.<body>` in \
                base64, after the endpoint's scheme: `v1,` for HMAC-SHA256, `v1a,` for Ed25519. While a secret is \
                being changed there are several, separated by spaces; one that verifies is enough."},
            "traceparent": {"type": "string"},
        },
    })
}

/// The schema of one type of event: the common envelope, narrowed down.
fn payload(entity: Entity, event_type: EventType) -> Json {
    let names: Vec<&str> = entity.fields().iter().map(|field| field.name()).collect();
    json!({
        "allOf": [reference(Schema::Event), {
            "type": "object",
            "properties": {
                "type": {"const": format!("{TYPE_ROOT}.{}", event::kind(entity, event_type))},
                "data": {"type": "object", "properties": {
                    "changed": {"type": "object", "propertyNames": {"enum": names}},
                    "record": reference(Schema::Record(entity)),
                }},
            },
        }],
    })
}
