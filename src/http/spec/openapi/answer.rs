//! The responses of operations: successes by their shape, refusals by their status.

use serde_json::{Map, Value as Json, json};

use super::components::named;
use super::schema::{Schema, reference};
use crate::contract::proto;
use crate::http::spec::operations::{Shape, Success};

/// A refusal: its status, its name among the components, its meaning, and its headers besides those of the limits.
struct Refused(u16, &'static str, &'static str, &'static [&'static str]);

const REFUSALS: &[Refused] = &[
    Refused(400, "Malformed", "The request cannot be read: its body is not JSON, its path not UTF-8.", &[]),
    Refused(401, "Unauthorized", "The two headers do not name an account and one of its keys.", &[]),
    Refused(403, "ReadOnly", "The key may read only. Nothing was written.", &[]),
    Refused(404, "NotFound", "There is no such record.", &[REPLAYED]),
    Refused(408, "Timeout", "The body arrived too slowly. Nothing was changed.", &[]),
    Refused(
        410,
        "Gone",
        "The record was deleted, or the cursor belongs to a log that was restored since.",
        &[REPLAYED],
    ),
    Refused(
        412,
        "PreconditionFailed",
        "`If-Match` does not name the record's version. Nothing was written.",
        &[REPLAYED],
    ),
    Refused(413, "TooLarge", "The body is too large.", &[]),
    Refused(422, "Invalid", "One or more fields are invalid: `errors` lists them.", &[REPLAYED]),
    Refused(429, "QuotaExceeded", "The calls of this month or second are used up.", &["Retry-After"]),
    Refused(
        503,
        "Unavailable",
        "The service cannot reach its database, or has no room for the request now: `type` says which.",
        &["Retry-After"],
    ),
];

/// The statuses of refusals of every operation.
const EVERYWHERE: [u16; 3] = [401, 429, 503];

const LIMITS: [&str; 2] = ["RateLimit", "RateLimit-Policy"];
const TAG: &str = "ETag";
const REPLAYED: &str = "Idempotent-Replayed";
const CURSOR: &str = "X-Cursor";

/// The headers of responses, by name.
pub(super) fn headers() -> Json {
    let text = |description: &str, example: &str| json!({"description": description, "schema": {"type": "string"}, "example": example});
    json!({
        TAG: text("The record's version, quoted.", "\"42\""),
        REPLAYED: text("`true` on the stored response of an earlier request with the same key.", "true"),
        CURSOR: text("The cursor to continue from, in responses of protobuf messages.", "AAAAAQAAAAAAAAAq"),
        "Retry-After": json!({"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}}),
        "RateLimit": text("The calls left of each limit, and the seconds until it is reset.",
            "\"burst\";r=999;t=1, \"month\";r=1893;t=604800"),
        "RateLimit-Policy": text("The limits: calls, and the seconds of their window.",
            "\"burst\";q=1000;w=1, \"month\";q=2000;w=2592000"),
    })
}

/// The refusals that operations refer to.
pub(super) fn refusals() -> Json {
    let refusals = REFUSALS.iter().map(|Refused(status, name, description, headers)| {
        // A caller that is not authenticated has no limits.
        let limits = if *status == 401 { &[] } else { &LIMITS[..] };
        let content = json!({"application/problem+json": {"schema": reference(Schema::Problem)}});
        let headers = header_references(limits.iter().chain(*headers));
        ((*name).to_owned(), json!({"description": description, "headers": headers, "content": content}))
    });
    Json::Object(refusals.collect())
}

/// The responses of an operation, by status.
pub(super) fn responses(success: &Success, refusals: &[u16], conditional: bool) -> Json {
    // Reading a body may time out.
    let takes_body = refusals.contains(&413);
    let has = |status: u16| EVERYWHERE.contains(&status) || refusals.contains(&status) || (status == 408 && takes_body);
    let mut answers: Map<String, Json> = REFUSALS
        .iter()
        .filter(|Refused(status, ..)| has(*status))
        .map(|Refused(status, name, ..)| {
            (status.to_string(), json!({"$ref": format!("#/components/responses/{name}")}))
        })
        .collect();
    if conditional {
        let headers = header_references(LIMITS.iter().chain(&[TAG]));
        answers.insert(
            "304".to_owned(),
            json!({"description": "The client has this version already.", "headers": headers}),
        );
    }
    let mut done = succeeded(success.shape);
    if let (Shape::Progress(_), Json::Object(done)) = (success.shape, &mut done) {
        let mut begun = done.clone();
        begun.insert("description".to_owned(), json!("The work is begun, and goes on."));
        answers.insert("202".to_owned(), Json::Object(begun));
    }
    answers.insert(success.status.to_string(), done);
    Json::Object(answers)
}

fn succeeded(shape: Shape) -> Json {
    let (headers, content): (&[&str], Json) = match shape {
        Shape::Record(schema) => (&[TAG, REPLAYED], response(schema)),
        Shape::RecordOrNull(schema) => {
            let data = json!({
                "oneOf": [reference(schema), {"type": "null"}],
                "description": "`null` if the record does not exist and the account receives that as a success.",
            });
            (&[TAG, REPLAYED], envelope(&format!("Optional{}Response", schema.name()), data, attributes()))
        }
        Shape::Page(schema) => (&[], envelope(&format!("{}Page", schema.name()), list_of(schema), page_meta())),
        Shape::Data(schema) => (&[], response(schema)),
        Shape::Written(schema) | Shape::Progress(schema) => (&[REPLAYED], response(schema)),
        Shape::List(schema) => (&[], envelope(&format!("{}List", schema.name()), list_of(schema), no_meta())),
        Shape::Bare(schema) => (&[], json!({"application/json": {"schema": reference(schema)}})),
        Shape::Nothing => (&[REPLAYED], envelope("EmptyResponse", json!({"type": "null"}), no_meta())),
        Shape::History => (&[], history()),
        Shape::Changes => (&[CURSOR], changes()),
        Shape::Stream => (&[], json!({"text/event-stream": {"schema": {"type": "string"}}})),
    };
    let headers = header_references(LIMITS.iter().chain(headers));
    json!({"description": "The request was carried out.", "headers": headers, "content": content})
}

fn changes() -> Json {
    let meta = json!({
        "cursor": {"type": "string"},
        "from_seq": {"type": "integer"},
        "through_seq": {"type": "integer"},
        "has_more": {"type": "boolean"},
    });
    let meta =
        json!({"type": "object", "required": ["cursor", "from_seq", "through_seq", "has_more"], "properties": meta});
    let mut content = envelope("EventPage", list_of(Schema::Event), named("EventPageMeta", meta));
    if let Json::Object(kinds) = &mut content {
        kinds.insert(proto::CONTENT_TYPE.to_owned(), json!({"schema": {"type": "string", "format": "binary"}}));
    }
    content
}

fn history() -> Json {
    let cursor = "Where the next page begins, as `after`; `null` on the last page.";
    let meta = json!({
        "type": "object",
        "required": ["cursor", "has_more"],
        "properties": {
            "cursor": {"type": ["string", "null"], "description": cursor},
            "has_more": {"type": "boolean"},
        },
    });
    envelope("HistoryPage", list_of(Schema::HistoryEvent), named("HistoryPageMeta", meta))
}

fn list_of(schema: Schema) -> Json {
    json!({"type": "array", "items": reference(schema)})
}

/// The envelope around one thing.
fn response(schema: Schema) -> Json {
    envelope(&format!("{}Response", schema.name()), reference(schema), no_meta())
}

fn no_meta() -> Json {
    named("EmptyMeta", json!({"type": "object"}))
}

/// The attributes that `meta=…` adds, and the position of `at`.
fn attributes() -> Json {
    let properties = json!({
        "attributes": reference(Schema::Attributes),
        "as_of": {"type": "string", "description": "With `at`: the cursor of its position."},
        "at": position(),
    });
    named("RecordMeta", json!({"type": "object", "properties": properties}))
}

fn position() -> Json {
    json!({"type": "integer", "minimum": 0, "description": "With `at`: the last event that is part of the response."})
}

fn page_meta() -> Json {
    let meta = json!({
        "type": "object",
        "required": ["pagination", "as_of"],
        "properties": {
            "attributes": reference(Schema::Attributes),
            "pagination": reference(Schema::Pagination),
            "as_of": {"type": "string", "description": "The cursor of the log at which the page was read. `GET /changes` \
                continues there."},
            "at": position(),
        },
    });
    named("PageMeta", meta)
}

/// `name` is the type of the whole response in generated clients.
fn envelope(name: &str, data: Json, meta: Json) -> Json {
    let schema = json!({
        "type": "object",
        "required": ["success", "message", "data", "meta"],
        "properties": {
            "success": {"const": true},
            "message": {"type": "string", "description": "One plain sentence."},
            "data": data,
            "meta": meta,
        },
    });
    json!({"application/json": {"schema": named(name, schema)}})
}

fn header_references<'a>(names: impl Iterator<Item = &'a &'a str>) -> Json {
    let references = names.map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})));
    Json::Object(references.collect())
}
