//! The named schemas of the document, as JSON Schema (draft 2020-12).

use serde_json::{Value as Json, json};

use super::components::named;
use super::shape::{nullable, object, timestamp, uuid, with, words};
use super::{consumer, endpoint, record, sync, usage};
use crate::contract::event::{TYPE_ROOT, kind};
use crate::contract::input::InputKind;
use crate::domain::{Entity, Field, FieldOwner};
use crate::store::schema::AccountSchema;

/// A named schema of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Schema {
    /// A record as responses and events have it.
    Record(Entity),
    /// The body that creates a record.
    Create(InputKind),
    /// The body that changes a record.
    Update(InputKind),
    Attributes,
    NestedAttributes,
    NestedAttribute,
    Subscriptions,
    SubscriptionResult,
    Event,
    HistoryEvent,
    Endpoint,
    EndpointCreate,
    EndpointCreated,
    EndpointUpdate,
    EndpointRotate,
    EndpointReplay,
    EndpointSkip,
    EndpointTest,
    Attempt,
    Parked,
    Consumer,
    ConsumerCreate,
    Usage,
    SyncBatch,
    SyncResult,
    SyncPolicy,
    ConflictResolution,
    Revert,
    RevertReport,
    Erasure,
    Pagination,
    Problem,
}

const BODIES: [InputKind; 4] = [InputKind::Contact, InputKind::Company, InputKind::Project, InputKind::CustomField];

const OTHERS: [Schema; 29] = [
    Schema::Attributes,
    Schema::NestedAttributes,
    Schema::NestedAttribute,
    Schema::Subscriptions,
    Schema::SubscriptionResult,
    Schema::Event,
    Schema::HistoryEvent,
    Schema::Endpoint,
    Schema::EndpointCreate,
    Schema::EndpointCreated,
    Schema::EndpointUpdate,
    Schema::EndpointRotate,
    Schema::EndpointReplay,
    Schema::EndpointSkip,
    Schema::EndpointTest,
    Schema::Attempt,
    Schema::Parked,
    Schema::Consumer,
    Schema::ConsumerCreate,
    Schema::Usage,
    Schema::SyncBatch,
    Schema::SyncResult,
    Schema::SyncPolicy,
    Schema::ConflictResolution,
    Schema::Revert,
    Schema::RevertReport,
    Schema::Erasure,
    Schema::Pagination,
    Schema::Problem,
];

impl Schema {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let records = Entity::ALL.into_iter().map(Self::Record);
        records.chain(BODIES.into_iter().flat_map(|body| [Self::Create(body), Self::Update(body)])).chain(OTHERS)
    }

    pub(in crate::http) fn name(self) -> String {
        match self {
            Self::Record(entity) => title(entity).to_owned(),
            Self::Create(body) => [title(body.entity()), "Create"].concat(),
            Self::Update(body) => [title(body.entity()), "Update"].concat(),
            Self::Attributes => "Attributes".to_owned(),
            Self::NestedAttributes => "NestedAttributes".to_owned(),
            Self::NestedAttribute => "NestedAttribute".to_owned(),
            Self::Subscriptions => "Subscriptions".to_owned(),
            Self::SubscriptionResult => "SubscriptionResult".to_owned(),
            Self::Event => "Event".to_owned(),
            Self::HistoryEvent => "HistoryEvent".to_owned(),
            Self::Endpoint => "Endpoint".to_owned(),
            Self::EndpointCreate => "EndpointCreate".to_owned(),
            Self::EndpointCreated => "EndpointCreated".to_owned(),
            Self::EndpointUpdate => "EndpointUpdate".to_owned(),
            Self::EndpointRotate => "EndpointRotate".to_owned(),
            Self::EndpointReplay => "EndpointReplay".to_owned(),
            Self::EndpointSkip => "EndpointSkip".to_owned(),
            Self::EndpointTest => "EndpointTest".to_owned(),
            Self::Attempt => "Attempt".to_owned(),
            Self::Parked => "ParkedEvent".to_owned(),
            Self::Consumer => "Consumer".to_owned(),
            Self::ConsumerCreate => "ConsumerCreate".to_owned(),
            Self::Usage => "Usage".to_owned(),
            Self::SyncBatch => "SyncBatch".to_owned(),
            Self::SyncResult => "SyncResult".to_owned(),
            Self::SyncPolicy => "SyncPolicy".to_owned(),
            Self::ConflictResolution => "ConflictResolution".to_owned(),
            Self::Revert => "Revert".to_owned(),
            Self::RevertReport => "RevertReport".to_owned(),
            Self::Erasure => "Erasure".to_owned(),
            Self::Pagination => "Pagination".to_owned(),
            Self::Problem => "Problem".to_owned(),
        }
    }

    pub(in crate::http) fn json(self, own: Option<&AccountSchema>) -> Json {
        match self {
            Self::Record(entity) => record::shown(entity, own),
            Self::Create(body) => record::create(body, own),
            Self::Update(body) => record::update(body, own),
            Self::Attributes => attributes(),
            Self::NestedAttributes => {
                json!({"type": "object", "additionalProperties": reference(Self::NestedAttribute)})
            }
            Self::NestedAttribute => object(attribute(), &[&NOT_OF_EVERY_ATTRIBUTE[..], &NOT_OF_NESTED].concat()),
            Self::Subscriptions => subscriptions(own),
            Self::SubscriptionResult => subscription_result(),
            Self::Event => {
                let records = Entity::ALL.into_iter().map(|kind| reference(Self::Record(kind)));
                let records: Vec<Json> = records.chain([named("ErasedContact", record::erased())]).collect();
                let data = named("EventData", object(with(change_data(), "record", json!({"anyOf": records})), &[]));
                event(data, "A CloudEvent 1.0. It holds the change and the whole record after it.")
            }
            Self::HistoryEvent => event(
                named("HistoryEventData", object(change_data(), &[])),
                "An event of the feed, without the record.",
            ),
            Self::Endpoint => endpoint::shown(),
            Self::EndpointCreate => endpoint::create(),
            Self::EndpointCreated => endpoint::created(),
            Self::EndpointUpdate => endpoint::update(),
            Self::EndpointRotate => endpoint::rotate(),
            Self::EndpointReplay => endpoint::replay(),
            Self::EndpointSkip => endpoint::skip(),
            Self::EndpointTest => endpoint::test(),
            Self::Attempt => endpoint::attempt(),
            Self::Parked => endpoint::parked(),
            Self::Consumer => consumer::shown(),
            Self::ConsumerCreate => consumer::create(),
            Self::Usage => usage::schema(),
            Self::SyncBatch => sync::batch(),
            Self::SyncResult => sync::result(),
            Self::SyncPolicy => sync::policy(),
            Self::ConflictResolution => sync::resolution(),
            Self::Revert => sync::revert(),
            Self::RevertReport => sync::revert_report(),
            Self::Erasure => sync::erasure(),
            Self::Pagination => pagination(),
            Self::Problem => problem(),
        }
    }
}

pub(in crate::http) fn reference(schema: Schema) -> Json {
    json!({"$ref": format!("#/components/schemas/{}", schema.name())})
}

fn title(entity: Entity) -> &'static str {
    match entity {
        Entity::Contact => "Contact",
        Entity::Company => "Company",
        Entity::Project => "Project",
        Entity::CustomField => "CustomField",
        Entity::Audience => "Audience",
        Entity::Circle => "Circle",
        Entity::Note => "Note",
        Entity::World => "World",
        Entity::Push => "EndpointHealth",
        Entity::Conflict => "Conflict",
    }
}

/// Members that not every attribute has.
const NOT_OF_EVERY_ATTRIBUTE: [&str; 9] = [
    "format",
    "description",
    "allowed_values",
    "field_name",
    "field_description",
    "field_type",
    "visibility",
    "properties",
    "items",
];

/// Members that an attribute inside another one may lack too.
const NOT_OF_NESTED: [&str; 3] = ["required", "nullable", "allowed_on_action"];

fn attributes() -> Json {
    let attribute = named("Attribute", object(attribute(), &NOT_OF_EVERY_ATTRIBUTE));
    json!({"type": "object", "additionalProperties": attribute})
}

fn attribute() -> Json {
    json!({
        "type": {"type": "string"},
        "format": {"type": "string"},
        "description": {"type": "string"},
        "required": {"type": "boolean"},
        "nullable": {"type": "boolean"},
        "allowed_values": {"type": "array", "items": {"type": "string"}},
        "allowed_on_action": {"type": "array", "items": words("Action", &["read", "create", "update"])},
        "field_name": {"type": "string"},
        "field_description": {"type": "string"},
        "field_type": {"type": "string"},
        "visibility": {"type": "string"},
        "properties": reference(Schema::NestedAttributes),
        "items": reference(Schema::NestedAttribute),
    })
}

fn subscriptions(own: Option<&AccountSchema>) -> Json {
    let item = json!({
        "email": record::taken(Field::Email),
        "first_name": nullable(record::taken(Field::FirstName)),
        "last_name": nullable(record::taken(Field::LastName)),
        "audiences": {
            "type": ["array", "null"],
            "maxItems": 100,
            "items": {"type": "integer"},
            "description": "The ids of audiences.",
        },
        "custom_fields": nullable(record::values_taken(FieldOwner::Contact, own)),
        "target_custom_fields": nullable(record::values_taken(FieldOwner::Target, own)),
    });
    let optional = ["first_name", "last_name", "audiences", "custom_fields", "target_custom_fields"];
    let item = object(item, &optional);
    json!({"type": "array", "minItems": 1, "maxItems": 100, "items": named("Subscription", item)})
}

fn subscription_result() -> Json {
    let result = json!({
        "index": {"type": "integer", "minimum": 0},
        "success": {"type": "boolean"},
        "uid": uuid(),
        "version": {"type": "integer", "minimum": 1},
        "message": {"type": "string"},
        "errors": errors(),
        "deleted_seq": {"type": "integer"},
        "replayed": {"type": "boolean", "description": "Whether this item was carried out by an earlier request, and others were not."},
    });
    object(result, &["uid", "version", "message", "errors", "deleted_seq", "replayed"])
}

/// The change of an event.
fn change_data() -> Json {
    let change = json!({"type": "object", "required": ["from", "to"], "properties": {"from": {}, "to": {}}});
    let change = named("FieldChange", change);
    json!({
        "seq": {"type": "integer", "minimum": 1},
        "previous_version": {"type": ["integer", "null"], "minimum": 1},
        "changed": {"type": "object", "additionalProperties": change},
    })
}

fn event(data: Json, description: &str) -> Json {
    let of = |entity: Entity| {
        entity.event_types().iter().map(move |event_type| [TYPE_ROOT, ".", &kind(entity, *event_type)].concat())
    };
    let types: Vec<String> = Entity::ALL.into_iter().flat_map(of).collect();
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let event = json!({
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "description": "`<public id>:<seq>`, or `<public id>:<epoch>:<seq>` where the log was \
            restored before it: stable over every delivery on every channel."},
        "source": {"type": "string"},
        "type": words("EventType", &types),
        "subject": uuid(),
        "time": timestamp(),
        "sequence": {"type": "string", "pattern": "^[0-9]{20}$"},
        "partitionkey": uuid(),
        "origin": {"type": "string"},
        "traceparent": {"type": "string"},
        "datacontenttype": {"const": "application/json"},
        "data": data,
    });
    let schema = object(event, &["traceparent"]);
    with(schema, "description", json!(description))
}

fn pagination() -> Json {
    let count = |minimum: i32| json!({"type": "integer", "minimum": minimum});
    let unless_past = |count: Json| with(nullable(count), "description", json!("`null` in a list with `at`."));
    let link = || json!({"type": ["string", "null"], "format": "uri"});
    object(
        json!({
            "pageSize": count(1),
            "totalPages": unless_past(count(0)),
            "totalItems": unless_past(count(0)),
            "currentPageNumber": unless_past(count(1)),
            "previousPage": link(),
            "nextPage": link(),
        }),
        &[],
    )
}

fn errors() -> Json {
    let error = json!({
        "pointer": {"type": "string", "description": "A JSON Pointer: `#/email`."},
        "detail": {"type": "string"},
    });
    json!({"type": "array", "items": named("FieldError", object(error, &[])), "description": "All invalid fields."})
}

fn problem() -> Json {
    let schema = object(
        json!({
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "success": {"const": false},
            "message": {"type": "string", "description": "One plain sentence."},
            "errors": errors(),
            "data": {
                "type": "array",
                "items": reference(Schema::SubscriptionResult),
                "description": "The result of each item, if no item of the list was carried out.",
            },
            "deleted_seq": {"type": "integer", "description": "The position of the deletion."},
            "violated-policies": {"type": "array", "items": {"type": "string"}},
        }),
        &["errors", "data", "deleted_seq", "violated-policies"],
    );
    with(schema, "description", json!("RFC 9457, with the two members that every response has."))
}
