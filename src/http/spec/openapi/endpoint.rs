//! The schemas of push endpoints.

use std::ops::RangeInclusive;

use serde_json::{Value as Json, json};

use super::components::named;
use super::shape::{nullable, object, text, timestamp, uuid, with, words};
use crate::domain::endpoint::secret::OVERLAP_S;
use crate::domain::endpoint::settings::{
    BATCH, DEBOUNCE_MS, MAX_DESCRIPTION, MAX_FILTERS, MAX_HEADERS, RATE, TIMEOUT_S, WINDOW,
};
use crate::domain::endpoint::{DeliveryOrder, EndpointStatus, MAX_HEADER_VALUE, Signature};

/// An endpoint as answers show it.
pub(super) fn shown() -> Json {
    object(properties(), &[])
}

/// The same with the secret that is shown once; that of Ed25519 is not.
pub(super) fn created() -> Json {
    let secret = json!({"type": "string", "description": "`whsec_…`; absent where the signature is Ed25519."});
    object(with(properties(), "secret", secret), &["secret"])
}

/// The body that creates an endpoint.
pub(super) fn create() -> Json {
    let from =
        json!({"type": ["string", "null"], "description": "The position to begin after: `start`, `now` or a cursor."});
    let signature = nullable(signatures());
    let properties = with(with(settings(nullable), "from", from), "signature", signature);
    json!({"type": "object", "required": ["url"], "properties": properties})
}

/// The body that changes an endpoint.
pub(super) fn update() -> Json {
    let signature = nullable(signatures());
    json!({"type": "object", "properties": with(settings(nullable), "signature", signature)})
}

/// The body that rotates a secret.
pub(super) fn rotate() -> Json {
    let signature = nullable(signatures());
    json!({"type": "object", "properties": {
        "overlap_s": {"type": ["integer", "null"], "minimum": OVERLAP_S.start(), "maximum": OVERLAP_S.end(),
            "description": "Seconds for which the previous secret signs too."},
        "signature": signature,
    }})
}

/// The body that sends events again.
pub(super) fn replay() -> Json {
    let position = |about: &str| json!({"type": ["string", "integer"], "minimum": 0, "description": about});
    json!({"type": "object", "required": ["from"], "properties": {
        "from": position("The position after which events are sent again: `start`, a cursor, or the number of an event."),
        "to": with(position("The last event that is sent again: a cursor, or its number. `null` means the end of the log."), "type", json!(["string", "integer", "null"])),
    }})
}

/// The body that skips events.
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
        "trigger": {"type": "string", "description": "The reason of the attempt: `event`, `retry` or `test`."},
        "outcome": outcome(),
        "status": status(),
        "error": {"type": ["string", "null"]},
        "duration_ms": {"type": "integer", "minimum": 0},
        "bytes": {"type": "integer", "minimum": 0, "description": "The bytes of the response's body that were read."},
        "body": {"type": "string", "description": "The beginning of the response's body."},
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
    json!({"type": "string", "description": "`delivered`, or the reason of the failure in one word."})
}

fn status() -> Json {
    json!({"type": ["integer", "null"], "description": "The status of the response; `null` where there was none."})
}

fn properties() -> Json {
    let mut all = json!({
        "id": uuid(),
        "signature": signatures(),
        "public_key": {
            "type": ["string", "null"],
            "description": "The key that verifies the signatures of Ed25519: `whpk_…`; `null` for HMAC.",
        },
        "state": words("EndpointState", &EndpointStatus::ALL.map(EndpointStatus::name)),
        "created": timestamp(),
        "through_seq": {"type": ["integer", "null"], "description": "Every event up to this one was delivered, filtered out or rescheduled."},
        "failing_since": nullable(timestamp()),
    });
    if let (Json::Object(all), Json::Object(settings)) = (&mut all, settings(std::convert::identity)) {
        all.extend(settings);
    }
    all
}

/// The settings. `or_null` adapts the schema of each setting that a body may reset to its default with `null`.
fn settings(or_null: impl Fn(Json) -> Json) -> Json {
    let whole = |limits: &RangeInclusive<u64>, about: &str| json!({"type": "integer", "minimum": limits.start(), "maximum": limits.end(), "description": about});
    let listed = |about: &str| json!({"type": "array", "maxItems": MAX_FILTERS, "items": {"type": "string"}, "description": about});
    json!({
        "url": {"type": "string", "format": "uri"},
        "description": or_null(text(MAX_DESCRIPTION)),
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
            words("DeliveryMode", &["single", "batch", "latest"]),
            "description",
            json!(
                "The contents of a delivery: `single` one event, `batch` an array of events (CloudEvents 1.0, JSON format, \
                 section 4), `latest` the newest event of a record, which stands for the record's events after \
                 position `after` and through position `through`."
            ),
        )),
        "max_batch": or_null(whole(&BATCH, "The most events in a batch. A batch has at most 256 KiB, unless its first event alone has more.")),
        "debounce_ms": or_null(whole(&DEBOUNCE_MS, "In mode `latest`, the milliseconds for which a record's first event waits for newer ones.")),
        "order": or_null(with(
            words("DeliveryOrder", &DeliveryOrder::ALL.map(DeliveryOrder::name)),
            "description",
            json!(
                "The events that wait for each other: `record` those of one record, `strict` all, so that one delivery \
                 is in flight at a time, `none` none."
            ),
        )),
        "window": or_null(whole(&WINDOW, "The most deliveries in flight.")),
        "rate": nullable(whole(&RATE, "The most deliveries per second. `null` means no limit.")),
        "headers": or_null(named("EndpointHeaders", json!({
            "type": "object",
            "maxProperties": MAX_HEADERS,
            "additionalProperties": {"type": "string", "maxLength": MAX_HEADER_VALUE},
            "description": "Sent with each delivery. Values are stored sealed and shown as `********`. A value that is sent back as \
                `********` keeps the stored one. A change of the URL to another scheme, host or port needs all values anew.",
        }))),
        "timeout_s": or_null(whole(&TIMEOUT_S, "The most seconds of an attempt.")),
    })
}

fn signatures() -> Json {
    words("SignatureScheme", &Signature::ALL.map(Signature::name))
}
