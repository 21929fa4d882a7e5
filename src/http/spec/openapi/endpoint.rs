//! The schemas of push endpoints.

use serde_json::{Value as Json, json};

use super::shape::{nullable, object, text, timestamp, uuid, with};
use crate::domain::endpoint::{DeliveryOrder, EndpointStatus, Signature};

/// An endpoint as answers show it.
pub(super) fn shown() -> Json {
    object(properties(), &[])
}

/// The same with the secret that is shown once; that of Ed25519 is not.
pub(super) fn created() -> Json {
    let secret = json!({"type": "string", "description": "`whsec_…`; absent where the signature is Ed25519."});
    object(with(properties(), "secret", secret), &["secret"])
}

/// The body that makes one.
pub(super) fn create() -> Json {
    let from = json!({"type": ["string", "null"], "description": "Where to begin: `start`, `now` or a cursor."});
    let signature = nullable(one_of(Signature::ALL.iter().map(|signature| signature.name())));
    let properties = with(with(settings(nullable), "from", from), "signature", signature);
    json!({"type": "object", "required": ["url"], "properties": properties})
}

/// The body that changes one.
pub(super) fn update() -> Json {
    let signature = nullable(one_of(Signature::ALL.iter().map(|signature| signature.name())));
    let about = json!("Is as it was: rotating the secret changes it.");
    let signature = with(signature, "description", about);
    json!({"type": "object", "properties": with(settings(nullable), "signature", signature)})
}

/// The body that gives one another secret.
pub(super) fn rotate() -> Json {
    let signature = nullable(one_of(Signature::ALL.iter().map(|signature| signature.name())));
    json!({"type": "object", "properties": {
        "overlap_s": {"type": ["integer", "null"], "minimum": 0, "maximum": 604_800,
            "description": "Seconds for which the secret before signs too."},
        "signature": with(signature, "description", json!("How the new secret signs; as the one before unless it is said.")),
    }})
}

/// The body that sends events again.
pub(super) fn replay() -> Json {
    let position = |about: &str| json!({"type": ["string", "integer"], "minimum": 0, "description": about});
    json!({"type": "object", "required": ["from"], "properties": {
        "from": position("After which: `start`, a cursor, or the number of an event."),
        "to": with(position("The last one, in the same way."), "type", json!(["string", "integer", "null"])),
    }})
}

/// The body that passes over events.
pub(super) fn skip() -> Json {
    let seq = json!({"type": "integer", "minimum": 1, "description": "The last event that is not sent."});
    object(json!({"seq": seq}), &[])
}

/// The result of a test.
pub(super) fn test() -> Json {
    let result = json!({
        "delivered": {"type": "boolean"},
        "outcome": outcome(),
        "status": status(),
        "error": {"type": ["string", "null"]},
        "duration_ms": {"type": "integer", "minimum": 0},
    });
    object(result, &[])
}

/// An attempt to deliver.
pub(super) fn attempt() -> Json {
    let attempt = json!({
        "id": uuid(),
        "at": timestamp(),
        "seq": {"type": "integer", "description": "The event, or the first of a batch; 0 for a test."},
        "webhook_id": {"type": "string"},
        "trigger": {"type": "string", "description": "What it was made for: `event`, `retry` or `test`."},
        "outcome": outcome(),
        "status": status(),
        "error": {"type": ["string", "null"]},
        "duration_ms": {"type": "integer", "minimum": 0},
        "bytes": {"type": "integer", "minimum": 0, "description": "Of the answer's body, as far as it was read."},
        "body": {"type": "string", "description": "The beginning of the answer's body."},
    });
    object(attempt, &[])
}

/// An event that is parked.
pub(super) fn parked() -> Json {
    let parked = json!({
        "seq": {"type": "integer", "minimum": 1},
        "subject": uuid(),
        "type": {"type": "string"},
        "attempts": {"type": "integer", "minimum": 0},
        "parked_at": timestamp(),
    });
    object(parked, &[])
}

fn outcome() -> Json {
    json!({"type": "string", "description": "`delivered`, else why not, in a word."})
}

fn status() -> Json {
    json!({"type": ["integer", "null"], "description": "What was answered, where anything was."})
}

fn properties() -> Json {
    let mut all = json!({
        "id": uuid(),
        "signature": one_of(Signature::ALL.iter().map(|signature| signature.name())),
        "public_key": {
            "type": ["string", "null"],
            "description": "What checks the signatures where they are Ed25519: `whpk_…`.",
        },
        "state": one_of(EndpointStatus::ALL.iter().map(|status| status.name())),
        "created": timestamp(),
        "through_seq": {"type": ["integer", "null"], "description": "Everything up to here was dealt with."},
        "failing_since": nullable(timestamp()),
    });
    if let (Json::Object(all), Json::Object(settings)) = (&mut all, settings(std::convert::identity)) {
        all.extend(settings);
    }
    all
}

/// The settings. `or_null` adapts the schema of each setting that a body may reset to its default with `null`.
fn settings(or_null: impl Fn(Json) -> Json) -> Json {
    let whole = |min: u32, max: u32, about: &str| json!({"type": "integer", "minimum": min, "maximum": max, "description": about});
    let listed =
        |about: &str| json!({"type": "array", "maxItems": 100, "items": {"type": "string"}, "description": about});
    json!({
        "url": {"type": "string", "format": "uri"},
        "description": or_null(text(255)),
        "events": or_null(listed("Patterns of event types such as `contact.*`, `push.*`. None means all.")),
        "fields": or_null(listed(
            "Names of fields, of which one at least must have changed. None means any. Records that were created or \
             deleted are sent in any case.",
        )),
        "exclude_own": or_null(json!({
            "type": "boolean",
            "description": "Leaves out what was written by keys of the same origin as the key that sets it.",
        })),
        "mode": or_null(with(
            one_of(["single", "batch", "latest"].into_iter()),
            "description",
            json!(
                "What a delivery holds: `single` one event, `batch` an array of events (CloudEvents 1.0, JSON format, \
                 section 4), `latest` the newest event of a record, which stands for those of the record that waited \
                 with it: `after` and `through` say from where to where."
            ),
        )),
        "max_batch": or_null(whole(1, 100, "Events in a batch at most; a batch never exceeds 256 KiB.")),
        "debounce_ms": or_null(whole(0, 60_000, "In mode `latest`, for how long a record's first event waits for newer ones.")),
        "order": or_null(with(
            one_of(DeliveryOrder::ALL.iter().map(|order| order.name())),
            "description",
            json!(
                "Which events wait for each other: `record` those of one record, `strict` all, so that one delivery is \
                 under way at a time, `none` none."
            ),
        )),
        "window": or_null(whole(1, 256, "Deliveries in flight at once.")),
        "rate": nullable(whole(1, 10_000, "Deliveries per second at most. `null` means no limit.")),
        "headers": or_null(json!({
            "type": "object",
            "maxProperties": 20,
            "additionalProperties": {"type": "string", "maxLength": 1_000},
            "description": "Sent with each delivery. Values are kept sealed and shown as `********`, which keeps the value that is \
                stored where it is sent back. A change of the URL to another scheme, host or port takes them anew.",
        })),
        "timeout_s": or_null(whole(1, 60, "Seconds that an attempt may take in all.")),
    })
}

fn one_of(words: impl Iterator<Item = &'static str>) -> Json {
    let words: Vec<&str> = words.collect();
    json!({"type": "string", "enum": words})
}
