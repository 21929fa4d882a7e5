//! What bodies and answers look like, as JSON Schema (draft 2020-12).
//!
//! A record's schema follows from the tables of the domain ([`Entity::fields`], [`Field::kind`], [`Field::nullable`]) and
//! from the reader of bodies, which is asked what it misses in an empty one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::reference;
use crate::contract::event::{TYPE_ROOT, kind};
use crate::contract::input::{self, FreshUids};
use crate::domain::{Entity, Field, Kind, Refusal, Role, Uid, Verb};

/// An account's own fields by kind of record: the schema of each under its UUID.
pub(in crate::http) type CustomFields = BTreeMap<Entity, Map<String, Json>>;

/// A named schema of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Schema {
    /// A record as every answer and event shows it.
    Record(Entity),
    /// The body that makes one.
    Create(Entity),
    /// The body that changes one.
    Update(Entity),
    Event,
    Endpoint,
    EndpointCreate,
    EndpointCreated,
    Pagination,
    Problem,
}

impl Schema {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of = |entity| [Self::Record(entity), Self::Create(entity), Self::Update(entity)];
        let others =
            [Self::Event, Self::Endpoint, Self::EndpointCreate, Self::EndpointCreated, Self::Pagination, Self::Problem];
        Entity::ALL.into_iter().flat_map(of).chain(others)
    }

    pub(super) fn name(self) -> String {
        let record = |entity: Entity, suffix: &str| [title(entity), suffix].concat();
        match self {
            Self::Record(entity) => record(entity, ""),
            Self::Create(entity) => record(entity, "Create"),
            Self::Update(entity) => record(entity, "Update"),
            Self::Event => "Event".to_owned(),
            Self::Endpoint => "Endpoint".to_owned(),
            Self::EndpointCreate => "EndpointCreate".to_owned(),
            Self::EndpointCreated => "EndpointCreated".to_owned(),
            Self::Pagination => "Pagination".to_owned(),
            Self::Problem => "Problem".to_owned(),
        }
    }

    pub(super) fn json(self, custom: &CustomFields) -> Json {
        match self {
            Self::Record(entity) => record(entity, custom),
            Self::Create(entity) => create(entity, custom),
            Self::Update(entity) => update(entity, custom),
            Self::Event => event(),
            Self::Endpoint => object(endpoint(), &[]),
            Self::EndpointCreate => endpoint_create(),
            Self::EndpointCreated => object(with(endpoint(), "secret", json!({"type": "string"})), &[]),
            Self::Pagination => pagination(),
            Self::Problem => problem(),
        }
    }
}

fn title(entity: Entity) -> &'static str {
    match entity {
        Entity::Contact => "Contact",
        Entity::Company => "Company",
    }
}

/// An object of which every property is there, but for some.
fn object(properties: Json, optional: &[&str]) -> Json {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<_> = names.filter(|name| !optional.contains(&name.as_str())).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn with(mut object: Json, key: &str, value: Json) -> Json {
    if let Json::Object(members) = &mut object {
        members.insert(key.to_owned(), value);
    }
    object
}

/// A schema that takes `null` too.
fn nullable(mut schema: Json) -> Json {
    if let Some(Json::Array(kinds)) = schema.get_mut("type") {
        kinds.push(json!("null"));
    } else if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind, "null"]);
    }
    if let Some(Json::Array(values)) = schema.get_mut("enum") {
        values.push(Json::Null);
    }
    schema
}

fn text(limit: usize) -> Json {
    json!({"type": "string", "maxLength": limit})
}

fn uuid() -> Json {
    json!({"type": "string", "format": "uuid"})
}

fn moment() -> Json {
    json!({"type": "string", "format": "date-time"})
}

fn record(entity: Entity, custom: &CustomFields) -> Json {
    let always = Required::of(entity).always;
    let mut properties = Map::new();
    properties.insert("uid".to_owned(), uuid());
    for field in entity.fields() {
        let schema = shown(*field);
        let absent_as_null = !always.contains(field.name()) && is_null_when_absent(field.kind());
        properties.insert(field.name().to_owned(), if absent_as_null { nullable(schema) } else { schema });
        if *field == Field::Address {
            let description = "The address on one line.";
            properties
                .insert("full_address".to_owned(), json!({"type": ["string", "null"], "description": description}));
        }
    }
    let reference = object(json!({"source": {"type": "string"}, "id": {"type": "string"}}), &[]);
    let kept = [
        ("active", json!({"type": "boolean"})),
        ("created", moment()),
        ("updated", moment()),
        (
            "version",
            json!({"type": "integer", "minimum": 1, "description": "The position of its last event; its ETag."}),
        ),
        ("deleted", json!({"type": "boolean"})),
        ("refs", json!({"type": "array", "items": reference, "description": "Its identifiers in other systems."})),
        (
            "field_seq",
            json!({
                "type": "object",
                "additionalProperties": {"type": "integer", "minimum": 1},
                "description": "For each field that was ever set, the position of its last change.",
            }),
        ),
    ];
    properties.extend(kept.map(|(key, schema)| (key.to_owned(), schema)));
    properties.extend(custom_fields(entity, custom));
    object(Json::Object(properties), &[])
}

/// What a field holds in an answer, where it holds something.
fn shown(field: Field) -> Json {
    match field.kind() {
        Kind::Text(_) | Kind::Email | Kind::Phone | Kind::Website | Kind::Role => taken(field),
        Kind::Tags => json!({"type": "array", "items": text(100), "description": "Sorted, each once."}),
        Kind::Address => object(address(), &[]),
        Kind::Links => json!({
            "type": "array",
            "items": object(json!({"uid": uuid(), "name": {"type": "string"}}), &[]),
        }),
        Kind::Person => object(
            json!({
                "uid": uuid(),
                "first_name": {"type": "string"},
                "last_name": {"type": "string"},
                "email": {"type": ["string", "null"]},
            }),
            &[],
        ),
    }
}

/// What stands for the absence of a value of this kind: an empty list and an address of nulls are no `null`.
fn is_null_when_absent(kind: Kind) -> bool {
    match kind {
        Kind::Text(_) | Kind::Email | Kind::Phone | Kind::Website | Kind::Role | Kind::Person => true,
        Kind::Tags | Kind::Address | Kind::Links => false,
    }
}

/// What a body may hold for a field.
fn taken(field: Field) -> Json {
    match field.kind() {
        Kind::Text(limit) => text(limit),
        Kind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        Kind::Phone => text(64),
        Kind::Website => json!({
            "type": "string",
            "format": "uri",
            "maxLength": 2_048,
            "description": "An absolute URL: https:// or http://.",
        }),
        Kind::Role => {
            let names = [Role::Lead, Role::Prospect, Role::Client].map(Role::name);
            json!({"type": "string", "enum": names})
        }
        Kind::Tags => json!({
            "type": ["array", "string"],
            "items": text(100),
            "maxItems": 200,
            "description": "A list, or one text with commas.",
        }),
        Kind::Address => json!({"type": "object", "properties": address()}),
        Kind::Links => company_link(),
        Kind::Person => primary_contact(),
    }
}

fn address() -> Json {
    let part = || nullable(text(255));
    json!({
        "address_line_1": part(),
        "address_line_2": part(),
        "city": part(),
        "state": part(),
        "country": part(),
        "zip": part(),
    })
}

/// What a record cannot be created without.
struct Required {
    always: BTreeSet<String>,
    /// Of everybody but a Lead.
    unless_lead: BTreeSet<String>,
}

impl Required {
    /// As the reader of bodies says it of bodies that lack everything.
    fn of(entity: Entity) -> Self {
        let missing = |body: Json| -> BTreeSet<String> {
            let nil = Uid(Uuid::nil());
            match input::create(entity, body, FreshUids { own: nil, beside: nil }) {
                Err(Refusal::Invalid(missing)) => {
                    missing.iter().map(|missing| missing.pointer.trim_start_matches("#/").to_owned()).collect()
                }
                Ok(_) | Err(_) => BTreeSet::new(),
            }
        };
        let role = Field::Role.name();
        let any = missing(json!({}));
        let mut of_lead = missing(json!({role: Role::Lead.name()}));
        of_lead.extend(any.get(role).cloned());
        Self { unless_lead: any.difference(&of_lead).cloned().collect(), always: of_lead }
    }
}

fn create(entity: Entity, custom: &CustomFields) -> Json {
    let Required { always, unless_lead } = Required::of(entity);
    let mut schema = json!({"type": "object", "required": always, "properties": written(entity, true, custom)});
    if !unless_lead.is_empty() {
        let lead = json!({"properties": {"role": {"const": Role::Lead.name()}}});
        schema = with(schema, "anyOf", json!([lead, {"required": unless_lead}]));
    }
    schema
}

fn update(entity: Entity, custom: &CustomFields) -> Json {
    json!({"type": "object", "properties": written(entity, false, custom)})
}

/// The keys that a body may have. Others are passed over.
fn written(entity: Entity, creates: bool, custom: &CustomFields) -> Map<String, Json> {
    let mut properties = Map::new();
    for field in entity.fields() {
        // What only a create takes.
        if !creates && matches!(field.kind(), Kind::Role | Kind::Person) {
            continue;
        }
        let name = if field.kind() == Kind::Links { "company" } else { field.name() };
        let schema = taken(*field);
        properties.insert(name.to_owned(), if field.nullable() { nullable(schema) } else { schema });
        if *field == Field::Address {
            let description = "Taken where `address` is absent.";
            let schema = json!({"type": ["string", "null"], "maxLength": 255, "description": description});
            properties.insert("full_address".to_owned(), schema);
        }
    }
    if entity == Entity::Contact {
        properties.insert("send_welcome_email".to_owned(), welcome());
    }
    properties.extend(custom_fields(entity, custom));
    properties
}

fn custom_fields(entity: Entity, custom: &CustomFields) -> Option<(String, Json)> {
    let own = custom.get(&entity)?;
    Some(("custom_fields".to_owned(), json!({"type": "object", "properties": own})))
}

fn welcome() -> Json {
    json!({"type": ["boolean", "null"], "description": "Asks whoever sends email for the account to welcome them."})
}

fn company_link() -> Json {
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": taken(Field::Name),
            "create_company_if_not_exists": {"type": ["boolean", "null"]},
        },
        "description": "A company to belong to, besides those that the contact belongs to already.",
    })
}

fn primary_contact() -> Json {
    let mut properties = written_inside();
    properties.insert("create_primary_contact_if_not_exists".to_owned(), json!({"type": ["boolean", "null"]}));
    properties.insert("send_welcome_email".to_owned(), welcome());
    json!({
        "type": "object",
        "properties": properties,
        "description": "The company's first contact, by its email address.",
    })
}

/// A contact's own fields, where a contact stands inside another body.
fn written_inside() -> Map<String, Json> {
    let elsewhere = |field: &Field| matches!(field.kind(), Kind::Links | Kind::Person);
    let own = Entity::Contact.fields().iter().copied().filter(|field| !elsewhere(field));
    own.map(|field| {
        let schema = taken(field);
        (field.name().to_owned(), if field.nullable() { nullable(schema) } else { schema })
    })
    .collect()
}

fn event() -> Json {
    let of = |entity| Verb::ALL.map(|verb| [TYPE_ROOT, ".", &kind(entity, verb)].concat());
    let types: Vec<String> = Entity::ALL.into_iter().flat_map(of).collect();
    let records: Vec<Json> = Entity::ALL.into_iter().map(|entity| reference(Schema::Record(entity))).collect();
    let change = json!({"type": "object", "required": ["from", "to"], "properties": {"from": {}, "to": {}}});
    let data = json!({
        "seq": {"type": "integer", "minimum": 1},
        "previous_version": {"type": ["integer", "null"], "minimum": 1},
        "changed": {"type": "object", "additionalProperties": change},
        "record": {"anyOf": records},
    });
    let event = json!({
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "description": "`<public id>:<seq>`: stable over every delivery on every channel."},
        "source": {"type": "string"},
        "type": {"enum": types},
        "subject": uuid(),
        "time": moment(),
        "sequence": {"type": "string", "pattern": "^[0-9]{20}$"},
        "partitionkey": uuid(),
        "origin": {"type": "string"},
        "traceparent": {"type": "string"},
        "datacontenttype": {"const": "application/json"},
        "data": object(data, &[]),
    });
    let schema = object(event, &["traceparent"]);
    with(schema, "description", json!("A CloudEvent 1.0. It holds the change and the whole record after it."))
}

fn endpoint() -> Json {
    json!({
        "id": uuid(),
        "url": {"type": "string", "format": "uri"},
        "description": {"type": "string"},
        "events": {"type": "array", "items": {"type": "string"}},
        "exclude_own": {"type": "boolean"},
        "mode": {"const": "single"},
        "order": {"const": "record"},
        "timeout_s": {"type": "integer", "minimum": 1, "maximum": 60},
        "state": {"enum": ["live", "disabled"]},
        "created": moment(),
        "through_seq": {"type": ["integer", "null"], "description": "Everything up to here was dealt with."},
        "failing_since": nullable(moment()),
    })
}

fn endpoint_create() -> Json {
    json!({
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {"type": "string", "format": "uri"},
            "description": nullable(text(255)),
            "events": {
                "type": ["array", "null"],
                "maxItems": 100,
                "items": {"type": "string"},
                "description": "Patterns of event types such as `contact.*`. None means all.",
            },
            "exclude_own": {"type": ["boolean", "null"]},
            "from": {
                "type": ["string", "null"],
                "description": "Where to begin: `start`, `now` or a cursor.",
            },
            "mode": {"enum": ["single", null]},
            "order": {"enum": ["record", null]},
            "timeout_s": {"type": ["integer", "null"], "minimum": 1, "maximum": 60},
        },
    })
}

fn pagination() -> Json {
    let count = |minimum: i32| json!({"type": "integer", "minimum": minimum});
    let link = || json!({"type": ["string", "null"], "format": "uri"});
    object(
        json!({
            "pageSize": count(1),
            "totalPages": count(0),
            "totalItems": count(0),
            "currentPageNumber": count(1),
            "previousPage": link(),
            "nextPage": link(),
        }),
        &[],
    )
}

fn problem() -> Json {
    let error = json!({
        "pointer": {"type": "string", "description": "A JSON Pointer: `#/email`."},
        "detail": {"type": "string"},
    });
    let schema = object(
        json!({
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "success": {"const": false},
            "message": {"type": "string", "description": "One plain sentence."},
            "errors": {"type": "array", "items": object(error, &[]), "description": "All fields that cannot be taken."},
            "deleted_seq": {"type": "integer", "description": "The position of the deletion."},
            "violated-policies": {"type": "array", "items": {"type": "string"}},
        }),
        &["errors", "deleted_seq", "violated-policies"],
    );
    with(schema, "description", json!("RFC 9457, with the two keys that every client reads."))
}
