//! The schemas of records, and of the bodies that create and change them.
//!
//! They follow from the tables of the domain ([`Entity::fields`], [`Field::kind`], [`Field::nullable`]), from the
//! errors that the reader of bodies reports for an empty one, and from the account's definitions.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::components::named;
use super::shape::{nullable, object, text, timestamp, uuid, with, words};
use crate::contract::input::{self, InputKind};
use crate::domain::schema::{Definition, FieldGroup, FieldType, Visibility};
use crate::domain::{Entity, Field, FieldKind, FieldOwner, Refusal, Role, Uid};
use crate::store::schema::AccountSchema;

/// A record in a response or event.
pub(super) fn shown(entity: Entity, own: Option<&AccountSchema>) -> Json {
    let always = always_there(entity);
    let mut properties = Map::new();
    properties.insert("uid".to_owned(), uuid());
    for field in entity.fields() {
        let schema = value(*field, own);
        let null = !always.contains(field.name()) && is_null_when_absent(field.kind());
        if *field == Field::CompanyCustomFields {
            let groups = groups(own, |schema| schema);
            properties
                .extend(groups.map(|(group, values)| (group.name().to_owned(), named(group_name(group), values))));
        }
        properties.insert(field.name().to_owned(), if null { nullable(schema) } else { schema });
        if *field == Field::Address {
            let line = json!({"type": ["string", "null"], "description": "The address on one line."});
            properties.insert("full_address".to_owned(), line);
        }
    }
    let reference = object(json!({"source": {"type": "string"}, "id": {"type": "string"}}), &[]);
    let reference = named("ExternalReference", reference);
    let positions = json!({
        "type": "object",
        "additionalProperties": {"type": "integer", "minimum": 1},
        "description": "For each field that was ever set, the position of its last change.",
    });
    let origins = json!({
        "type": "object",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
        "description": "The origins that wrote its fields last, each with those fields. Records of releases before 0.2 lack some.",
    });
    let flip = object(json!({"seq": {"type": "integer"}, "at": timestamp()}), &[]);
    let flips = json!({
        "type": "object",
        "additionalProperties": {"type": "array", "items": named("FieldFlip", flip)},
        "description": "Present where origins change a field one after the other: the last such changes.",
    });
    let kept = [
        ("active", json!({"type": "boolean"})),
        ("created", timestamp()),
        ("updated", timestamp()),
        (
            "version",
            json!({"type": "integer", "minimum": 1, "description": "The position of its last event; its ETag."}),
        ),
        ("deleted", json!({"type": "boolean"})),
        ("refs", json!({"type": "array", "items": reference, "description": "Its identifiers in other systems."})),
        ("field_seq", named("FieldPositions", positions)),
        ("origins", named("FieldOrigins", origins)),
        ("flips", named("FieldFlips", flips)),
        ("merged_into", json!({"type": "string", "format": "uuid", "description": "The record that continues it."})),
        ("erased", json!({"type": "boolean", "description": "Present where it was erased."})),
    ];
    properties.extend(kept.map(|(key, schema)| (key.to_owned(), schema)));
    // Events have all values of a company together, and definitions of earlier versions have no visibility.
    let optional = FieldGroup::ALL.map(FieldGroup::name);
    let ended = ["flips", "merged_into", "erased"];
    object(Json::Object(properties), &[&optional[..], &[Field::Visibility.name(), "origins"], &ended].concat())
}

/// The schema of an erased contact, whose fields have no values. Only events have it: its page is 410.
pub(super) fn erased() -> Json {
    let mut schema = shown(Entity::Contact, None);
    for field in always_there(Entity::Contact) {
        if let Some(property) = schema.pointer_mut(&format!("/properties/{field}")) {
            *property = nullable(property.take());
        }
    }
    if let Some(Json::Array(required)) = schema.get_mut("required") {
        required.push(json!("erased"));
    }
    schema
}

/// The keys that are never null.
fn always_there(entity: Entity) -> BTreeSet<String> {
    let body = match entity {
        Entity::Contact => InputKind::Contact,
        Entity::Company => InputKind::Company,
        Entity::Project => InputKind::Project,
        Entity::CustomField => InputKind::CustomField,
        Entity::Audience | Entity::Circle | Entity::Note | Entity::World | Entity::Push | Entity::Conflict => {
            let given = entity.fields().iter().filter(|field| !field.nullable());
            return given.map(|field| field.name().to_owned()).collect();
        }
    };
    Required::of(body).always
}

/// The schema of a field's value in a response.
fn value(field: Field, own: Option<&AccountSchema>) -> Json {
    match field.kind() {
        FieldKind::Text(_)
        | FieldKind::Email
        | FieldKind::Phone
        | FieldKind::Website
        | FieldKind::Role
        | FieldKind::Date
        | FieldKind::Time
        | FieldKind::Client
        | FieldKind::Contact
        | FieldKind::Owner
        | FieldKind::Type
        | FieldKind::Visibility
        | FieldKind::Id => taken(field),
        FieldKind::Tags => json!({"type": "array", "items": text(100), "description": "Sorted, each once."}),
        FieldKind::Words => json!({"type": "array", "items": text(255)}),
        FieldKind::Audiences => json!({"type": "array", "items": {"type": "integer"}}),
        FieldKind::Address => named("Address", object(address(), &[])),
        FieldKind::Links => references("CompanyReference", "uid"),
        FieldKind::Circles => references("CircleReference", "id"),
        FieldKind::Person => named(
            "PrimaryContact",
            object(
                json!({
                    "uid": uuid(),
                    "first_name": {"type": "string"},
                    "last_name": {"type": "string"},
                    "name_prefix": {"type": ["string", "null"]},
                    "email": {"type": ["string", "null"]},
                    "role": nullable(taken(Field::Role)),
                }),
                &[],
            ),
        ),
        FieldKind::Category => named(
            "Category",
            object(
                json!({"name": {"type": "string"}, "color": {"type": "string"}, "isDefault": {"type": "boolean"}}),
                &[],
            ),
        ),
        FieldKind::Money => taken(field),
        FieldKind::FieldValue => named(
            "FieldValue",
            json!({
                "type": "object",
                "description": "The value with the name of its attribute: {\"phone\": \"+31201234567\"}.",
            }),
        ),
        FieldKind::Custom(owner) => named(values_name(owner), custom_fields(own, of_owner(owner), |schema| schema)),
    }
}

fn references(name: &str, key: &str) -> Json {
    let reference = object(json!({key: uuid(), "name": {"type": "string"}}), &[]);
    json!({"type": "array", "items": named(name, reference)})
}

/// The name of the values of an owner's custom fields in generated clients.
fn values_name(owner: FieldOwner) -> &'static str {
    match owner {
        FieldOwner::Contact => "ContactCustomFields",
        FieldOwner::Company => "CompanyCustomFields",
        FieldOwner::Project => "ProjectCustomFields",
        FieldOwner::Target => "TargetCustomFields",
    }
}

/// The same of a group of a company's values. Contacts and companies have the same target fields.
fn group_name(group: FieldGroup) -> &'static str {
    match group {
        FieldGroup::Public => "PublicCustomFields",
        FieldGroup::Private => "PrivateCustomFields",
        FieldGroup::Target => values_name(FieldOwner::Target),
    }
}

/// A schema that a body has; its name tells it from the one that a response has.
fn input(name: &str, schema: Json) -> Json {
    named(&[name, "Input"].concat(), schema)
}

/// Whether an absent value of this kind is `null`. Lists, objects and addresses are empty instead.
fn is_null_when_absent(kind: FieldKind) -> bool {
    match kind {
        FieldKind::Text(_)
        | FieldKind::Email
        | FieldKind::Phone
        | FieldKind::Website
        | FieldKind::Role
        | FieldKind::Person
        | FieldKind::Category
        | FieldKind::Date
        | FieldKind::Time
        | FieldKind::Money
        | FieldKind::Client
        | FieldKind::Contact
        | FieldKind::Owner
        | FieldKind::Type
        | FieldKind::Id
        | FieldKind::FieldValue => true,
        FieldKind::Tags
        | FieldKind::Words
        | FieldKind::Visibility
        | FieldKind::Address
        | FieldKind::Links
        | FieldKind::Circles
        | FieldKind::Audiences
        | FieldKind::Custom(_) => false,
    }
}

/// The schema of a field's value in a body.
pub(super) fn taken(field: Field) -> Json {
    match field.kind() {
        FieldKind::Text(limit) => text(limit),
        FieldKind::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
        FieldKind::Phone => text(64),
        FieldKind::Website => json!({
            "type": "string",
            "format": "uri",
            "maxLength": 2_048,
            "description": "An absolute URL: https:// or http://.",
        }),
        FieldKind::Role => words("Role", &Role::ALL.map(Role::name)),
        FieldKind::Owner => words("CustomFieldOwner", &FieldOwner::ALL.map(FieldOwner::name)),
        FieldKind::Type => words("CustomFieldType", &FieldType::ALL.map(FieldType::name)),
        FieldKind::Visibility => with(
            words("Visibility", &Visibility::ALL.map(Visibility::name)),
            "description",
            json!(
                "The group in which a company shows the values: public by default. Only fields of companies can be private."
            ),
        ),
        FieldKind::Tags => json!({
            "type": "array",
            "items": text(100),
            "maxItems": 200,
            "description": "A list. One text with commas is read too.",
        }),
        FieldKind::Words => json!({"type": "array", "items": text(255), "maxItems": 200}),
        FieldKind::Date => json!({"type": "string", "format": "date"}),
        FieldKind::Time => json!({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}),
        FieldKind::Client | FieldKind::Contact => uuid(),
        FieldKind::Id => json!({"type": "integer", "minimum": 1}),
        FieldKind::Category => {
            input("Category", json!({"type": "object", "properties": {"name": nullable(text(100))}}))
        }
        FieldKind::Money => named("Money", money()),
        FieldKind::Address => input("Address", json!({"type": "object", "properties": address()})),
        FieldKind::Links => company_link(),
        FieldKind::Circles => circles(),
        // Fields that bodies write under keys of their own, or not at all.
        FieldKind::Person | FieldKind::Audiences | FieldKind::Custom(_) | FieldKind::FieldValue => {
            json!({"type": "object"})
        }
    }
}

fn money() -> Json {
    let currency = json!({"type": "string", "pattern": "^[A-Za-z]{3}$", "description": "As ISO 4217 has it."});
    object(json!({"amount": {"type": "number"}, "currency": currency}), &[])
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

/// The fields that a create requires.
struct Required {
    always: BTreeSet<String>,
    /// Required of every role but Lead.
    unless_lead: BTreeSet<String>,
}

impl Required {
    /// As the reader of bodies reports for an empty body.
    fn of(body: InputKind) -> Self {
        let missing = |json: Json| -> BTreeSet<String> {
            match input::create(body, json, &mut || Uid(Uuid::nil())) {
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

/// The body that creates a record.
pub(super) fn create(body: InputKind, own: Option<&AccountSchema>) -> Json {
    let Required { always, unless_lead } = Required::of(body);
    let properties = written(body.entity(), Action::Create, own);
    let mut schema = json!({"type": "object", "required": always, "properties": properties});
    if !unless_lead.is_empty() {
        // A condition beside the properties, because generated clients have no type for a choice of objects.
        schema = with(schema, "if", json!({"properties": {"role": {"const": Role::Lead.name()}}}));
        schema = with(schema, "else", json!({"required": unless_lead}));
    }
    schema
}

/// The body that changes one.
pub(super) fn update(body: InputKind, own: Option<&AccountSchema>) -> Json {
    json!({"type": "object", "properties": written(body.entity(), Action::Update, own)})
}

/// The purpose of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Create,
    Update,
    /// Inside a company's body, as its primary contact.
    Inside,
}

/// The keys that a body may have. Other keys are ignored.
fn written(entity: Entity, action: Action, own: Option<&AccountSchema>) -> Map<String, Json> {
    let mut properties = Map::new();
    for field in entity.fields().iter().copied() {
        let (name, schema) = match field.kind() {
            // Fields that only a create can set.
            FieldKind::Role | FieldKind::Owner | FieldKind::Type | FieldKind::Person if action == Action::Update => {
                continue;
            }
            FieldKind::Links if action == Action::Inside => continue,
            FieldKind::Audiences | FieldKind::Contact | FieldKind::FieldValue => continue,
            FieldKind::Links => ("company", taken(field)),
            FieldKind::Person => (field.name(), primary_contact(own)),
            FieldKind::Custom(owner) => {
                if field == Field::CompanyCustomFields {
                    let groups = groups(own, nullable);
                    properties.extend(
                        groups.map(|(group, values)| {
                            (group.name().to_owned(), nullable(input(group_name(group), values)))
                        }),
                    );
                }
                (field.name(), values_taken(owner, own))
            }
            FieldKind::Text(_)
            | FieldKind::Email
            | FieldKind::Phone
            | FieldKind::Website
            | FieldKind::Role
            | FieldKind::Tags
            | FieldKind::Address
            | FieldKind::Circles
            | FieldKind::Category
            | FieldKind::Date
            | FieldKind::Time
            | FieldKind::Money
            | FieldKind::Client
            | FieldKind::Words
            | FieldKind::Owner
            | FieldKind::Type
            | FieldKind::Visibility
            | FieldKind::Id => (field.name(), taken(field)),
        };
        properties.insert(name.to_owned(), if field.nullable() { nullable(schema) } else { schema });
        if field == Field::Address {
            let description = "Taken where `address` is absent.";
            let schema = json!({"type": ["string", "null"], "maxLength": 255, "description": description});
            properties.insert("full_address".to_owned(), schema);
        }
    }
    if entity == Entity::Contact {
        properties.insert("notes".to_owned(), notes());
        properties.insert("send_welcome_email".to_owned(), welcome());
    }
    properties
}

/// The values of an owner's custom fields in a body.
pub(super) fn values_taken(owner: FieldOwner, own: Option<&AccountSchema>) -> Json {
    input(values_name(owner), custom_fields(own, of_owner(owner), nullable))
}

/// The groups of the values of a company's custom fields.
fn groups(own: Option<&AccountSchema>, each: fn(Json) -> Json) -> [(FieldGroup, Json); 3] {
    FieldGroup::ALL.map(|group| (group, custom_fields(own, |definition| definition.group() == Some(group), each)))
}

/// The custom fields of an owner's records. Companies have target fields too.
fn of_owner(owner: FieldOwner) -> impl Fn(&Definition<'_>) -> bool {
    move |definition| match owner {
        FieldOwner::Company => definition.group().is_some(),
        FieldOwner::Contact | FieldOwner::Project | FieldOwner::Target => definition.owner == owner,
    }
}

/// Values by the UUIDs of their fields; `each` adapts the schema of a value.
fn custom_fields(
    own: Option<&AccountSchema>,
    is_wanted: impl Fn(&Definition<'_>) -> bool,
    each: impl Fn(Json) -> Json,
) -> Json {
    let schema = json!({"type": "object", "description": "Each value by its custom field's UUID."});
    let Some(own) = own else { return with(schema, "additionalProperties", each(any_custom_value())) };
    let definitions = own.custom_fields.iter().filter_map(Definition::of);
    let properties =
        definitions.filter(is_wanted).map(|definition| (definition.uid.to_string(), each(custom_value(&definition))));
    with(schema, "properties", Json::Object(properties.collect()))
}

/// The schema of the value of a custom field of any type.
fn any_custom_value() -> Json {
    let texts = json!({"type": "array", "items": {"type": "string"}});
    let choices = [
        json!({"type": "string"}),
        json!({"type": "boolean"}),
        json!({"type": "number"}),
        texts,
        taken(Field::EstimatedValue),
    ];
    named("CustomFieldValue", json!({"anyOf": choices, "description": "As the type of its custom field has it."}))
}

/// The schema of a custom field's value.
fn custom_value(definition: &Definition<'_>) -> Json {
    let schema = match definition.kind {
        FieldType::Text => text(1_000),
        FieldType::LongText => text(16_384),
        FieldType::Number => json!({"type": "number"}),
        // A label may stand beside a choice, but not beside a reference to a component.
        FieldType::Currency => json!({"anyOf": [taken(Field::EstimatedValue)]}),
        FieldType::Date => taken(Field::Date),
        FieldType::DateTime => timestamp(),
        FieldType::Checkbox => json!({"type": "boolean"}),
        FieldType::Dropdown => json!({"type": "string", "enum": definition.allowed_values}),
        FieldType::MultiSelect => {
            let choice = json!({"type": "string", "enum": definition.allowed_values, "title": definition.label});
            json!({"type": "array", "items": choice})
        }
        FieldType::Url | FieldType::File => taken(Field::Website),
        FieldType::Email => taken(Field::HomeEmail),
        FieldType::Phone => taken(Field::Phone),
    };
    let schema = with(schema, "title", json!(definition.label));
    match definition.description {
        Some(description) => with(schema, "description", json!(description)),
        None => schema,
    }
}

fn welcome() -> Json {
    flag("Asks whoever sends email for the account to welcome them.")
}

fn flag(description: &str) -> Json {
    json!({"type": ["boolean", "null"], "description": description})
}

fn notes() -> Json {
    let note = json!({"title": text(255), "note": text(16_384), "date": taken(Field::Date)});
    let members = note.as_object().into_iter().flatten();
    let members: Map<_, _> = members.map(|(key, schema)| (key.clone(), nullable(schema.clone()))).collect();
    json!({
        "type": ["array", "null"],
        "maxItems": 100,
        "items": input("Note", json!({"type": "object", "properties": members})),
        "description": "Remarks to add to the contact. A plain text is read as a note by itself.",
    })
}

fn circles() -> Json {
    let names = || json!({"type": ["array", "null"], "maxItems": 100, "items": {"type": "string", "minLength": 1}});
    let schema = json!({
        "type": "object",
        "properties": {"add": names(), "remove": names()},
        "description": "Circles to join and to leave, each by its name or its id.",
    });
    named("CircleChanges", schema)
}

fn company_link() -> Json {
    let schema = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": taken(Field::Name),
            "create_company_if_not_exists": flag("Makes a company where none has the name."),
        },
        "description": "A company to belong to, besides those that the contact belongs to already.",
    });
    named("CompanyLink", schema)
}

fn primary_contact(own: Option<&AccountSchema>) -> Json {
    let mut properties = written(Entity::Contact, Action::Inside, own);
    let create = flag("Makes a contact where none has the email address.");
    properties.insert("create_primary_contact_if_not_exists".to_owned(), create);
    properties.insert("prevent_individual_mode".to_owned(), flag("Taken, and of no effect."));
    let schema = json!({
        "type": "object",
        "properties": properties,
        "description": "The company's first contact, by its email address.",
    });
    input("PrimaryContact", schema)
}
