//! The description of one attribute.

use serde_json::{Map, Value as Json, json};

use crate::contract::input::InputKind;
use crate::domain::schema::{Definition, FieldType};
use crate::domain::{Entity, Field, FieldKind, FieldOwner, Record, Role};

const READ: &[&str] = &["read"];
const CREATE: &[&str] = &["read", "create"];
const WRITE: &[&str] = &["read", "create", "update"];
const WRITE_ONLY: &[&str] = &["create", "update"];

/// The attributes of a record, in the order of its members, and those that can only be written.
pub(super) fn attributes(entity: Entity, custom: impl Fn(FieldOwner) -> Json) -> Vec<(String, Json)> {
    let mut all = vec![("uid".to_owned(), plain("Uid", json!({"type": "string", "format": "uuid"}), false, READ))];
    for field in entity.fields().iter().copied() {
        all.push((field.name().to_owned(), attribute(entity, field, &custom)));
        if field == Field::Address {
            let text = json!({"type": "string", "field_description": "The address in one line."});
            all.push(("full_address".to_owned(), plain("Full address", text, true, WRITE)));
        }
    }
    if entity == Entity::Contact {
        all.extend(write_only());
    }
    let times = json!({"type": "string", "format": "date-time"});
    let kept = [
        ("active", json!({"type": "boolean"})),
        ("created", times.clone()),
        ("updated", times),
        ("version", json!({"type": "integer"})),
    ];
    all.extend(kept.map(|(name, shape)| (name.to_owned(), plain(&label(name), shape, false, READ))));
    all
}

/// The members of every record besides its attributes.
pub(super) fn kept() -> Json {
    let refs = json!({"type": "array", "items": {"type": "object", "properties": {
        "source": {"type": "string"}, "id": {"type": "string"}}}});
    let kept = [
        ("version", json!({"type": "integer"})),
        ("deleted", json!({"type": "boolean"})),
        ("refs", refs),
        ("field_seq", json!({"type": "object"})),
    ];
    let described = kept.map(|(name, shape)| (name.to_owned(), plain(&label(name), shape, false, READ)));
    Json::Object(described.into_iter().collect())
}

/// A custom field, by its definition.
pub(super) fn custom_field(definition: &Definition<'_>) -> Json {
    let mut shape = match definition.kind {
        FieldType::Text | FieldType::LongText | FieldType::Dropdown => json!({"type": "string"}),
        FieldType::Number => json!({"type": "number"}),
        FieldType::Currency => money(),
        FieldType::Date => json!({"type": "string", "format": "date"}),
        FieldType::DateTime => json!({"type": "string", "format": "date-time"}),
        FieldType::Checkbox => json!({"type": "boolean"}),
        FieldType::MultiSelect => json!({"type": "array", "items": {"type": "string"}}),
        FieldType::Url | FieldType::File => json!({"type": "string", "format": "uri"}),
        FieldType::Email => json!({"type": "string", "format": "email"}),
        FieldType::Phone => json!({"type": "string", "format": "phone"}),
    };
    if let Json::Object(shape) = &mut shape {
        shape.insert("field_type".to_owned(), json!(definition.kind.name()));
        if definition.kind.is_choice() {
            shape.insert("allowed_values".to_owned(), json!(definition.allowed_values));
        }
        if let Some(description) = definition.description {
            shape.insert("field_description".to_owned(), json!(description));
        }
    }
    plain(definition.label, shape, true, WRITE)
}

/// An audience, by the number under which contacts subscribe to it.
pub(super) fn audience(record: &Record) -> Option<(String, Json)> {
    let id = record.number(Field::Id)?.to_string();
    Some((id, plain(record.text(Field::Name)?, json!({"type": "boolean"}), true, READ)))
}

fn attribute(entity: Entity, field: Field, custom: &impl Fn(FieldOwner) -> Json) -> Json {
    let mut shape = shape(field.kind());
    if let Json::Object(shape) = &mut shape {
        if let FieldKind::Custom(owner) = field.kind() {
            shape.insert("properties".to_owned(), custom(owner));
        }
        if let Some(description) = description(field) {
            shape.insert("field_description".to_owned(), json!(description));
        }
    }
    let written = InputKind::ALL.into_iter().any(|body| body.entity() == entity);
    let actions = if matches!(field.kind(), FieldKind::Role | FieldKind::Person | FieldKind::Owner | FieldKind::Type) {
        CREATE
    } else if !written || matches!(field.kind(), FieldKind::Links | FieldKind::Audiences) {
        READ
    } else {
        WRITE
    };
    let mut attribute = plain(&label(field.name()), shape, field.nullable(), actions);
    if let Some(members) = attribute.as_object_mut() {
        members.insert("required".to_owned(), json!(is_required(entity, field)));
    }
    attribute
}

fn plain(label: &str, mut shape: Json, nullable: bool, actions: &[&str]) -> Json {
    if let Json::Object(members) = &mut shape {
        members.insert("required".to_owned(), json!(false));
        members.insert("nullable".to_owned(), json!(nullable));
        members.insert("allowed_on_action".to_owned(), json!(actions));
        members.insert("field_name".to_owned(), json!(label));
    }
    shape
}

/// The fields that a create requires. An email address is required of all but Leads, which the description says.
fn is_required(entity: Entity, field: Field) -> bool {
    match entity {
        Entity::Contact => matches!(field, Field::Role | Field::FirstName | Field::LastName | Field::Email),
        Entity::CustomField => matches!(field, Field::Owner | Field::Type | Field::Name),
        Entity::Company
        | Entity::Project
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push => field == Field::Name,
    }
}

fn shape(kind: FieldKind) -> Json {
    match kind {
        FieldKind::Text(_) => json!({"type": "string"}),
        FieldKind::Category => json!({"type": "object", "properties": {
            "name": {"type": "string"}, "color": {"type": "string"}, "isDefault": {"type": "boolean"}}}),
        FieldKind::Email => json!({"type": "string", "format": "email"}),
        FieldKind::Phone => json!({"type": "string", "format": "phone"}),
        FieldKind::Website => json!({"type": "string", "format": "uri"}),
        FieldKind::Role => {
            let roles = [Role::Lead, Role::Prospect, Role::Client].map(Role::name);
            json!({"type": "string", "allowed_values": roles})
        }
        FieldKind::Owner => json!({"type": "string", "allowed_values": FieldOwner::ALL.map(FieldOwner::name)}),
        FieldKind::Type => json!({"type": "string", "allowed_values": FieldType::ALL.map(FieldType::name)}),
        FieldKind::Tags | FieldKind::Words => json!({"type": "array", "items": {"type": "string"}}),
        FieldKind::Audiences => json!({"type": "array", "items": {"type": "integer"}}),
        FieldKind::Links => named_items("uid"),
        FieldKind::Circles => named_items("id"),
        FieldKind::Address => {
            let lines = ["address_line_1", "address_line_2", "city", "state", "country", "zip"];
            let lines: Map<_, _> = lines.map(|line| (line.to_owned(), json!({"type": "string"}))).into_iter().collect();
            json!({"type": "object", "properties": lines})
        }
        FieldKind::Person => json!({"type": "object", "properties": {
            "uid": {"type": "string", "format": "uuid"}, "first_name": {"type": "string"},
            "last_name": {"type": "string"}, "email": {"type": "string", "format": "email"}}}),
        FieldKind::Custom(_) => json!({"type": "object"}),
        FieldKind::Date => json!({"type": "string", "format": "date"}),
        FieldKind::Time => json!({"type": "string", "format": "time"}),
        FieldKind::Money => money(),
        FieldKind::Client | FieldKind::Contact => json!({"type": "string", "format": "uuid"}),
        FieldKind::Id => json!({"type": "integer"}),
    }
}

fn money() -> Json {
    json!({"type": "object", "properties": {"amount": {"type": "number"}, "currency": {"type": "string"}}})
}

fn named_items(key: &str) -> Json {
    json!({"type": "array", "items": {"type": "object", "properties": {
        key: {"type": "string", "format": "uuid"}, "name": {"type": "string"}}}})
}

fn write_only() -> [(String, Json); 3] {
    let note =
        json!({"title": {"type": "string"}, "note": {"type": "string"}, "date": {"type": "string", "format": "date"}});
    let company = json!({"name": {"type": "string"}, "create_company_if_not_exists": {"type": "boolean"}});
    [
        ("company", "Company to belong to", json!({"type": "object", "properties": company})),
        ("notes", "Notes to add", json!({"type": "array", "items": {"type": "object", "properties": note}})),
        ("send_welcome_email", "Send a welcome email", json!({"type": "boolean"})),
    ]
    .map(|(name, label, shape)| (name.to_owned(), plain(label, shape, name != "send_welcome_email", WRITE_ONLY)))
}

/// The description of a field whose name is not enough.
fn description(field: Field) -> Option<&'static str> {
    let described = [
        (Field::Role, "Set when the record is created, and never changed."),
        (Field::Email, "Unique among the account's contacts. Only a Lead may lack it."),
        (Field::Tags, "A list, or one text with commas. A write replaces the whole list."),
        (Field::Website, "With its scheme, https:// or http://."),
        (Field::Companies, "Written through company."),
        (Field::Circles, "Written as {\"add\": [name or id], \"remove\": [name or id]}."),
        (Field::Audiences, "Written through POST /marketing/subscribe."),
        (Field::CustomFields, BY_UUID),
        (Field::CompanyCustomFields, BY_UUID),
        (Field::TargetCustomFields, BY_UUID),
        (Field::ProjectCustomFields, BY_UUID),
        (Field::Client, "The uid of a company or contact."),
        (Field::Category, "Written as {\"name\"}."),
    ];
    described.into_iter().find(|(described, _)| *described == field).map(|(_, text)| text)
}

const BY_UUID: &str = "Each value by its custom field's UUID.";

/// `first_name` for people: "First name".
fn label(name: &str) -> String {
    let words = match name {
        "primaryContact" => "primary contact".to_owned(),
        _ => name.replace('_', " "),
    };
    let mut letters = words.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
