//! The attributes of the records that the vendor's API does not describe. They follow from the tables of the domain.

use super::attribute::{Attribute, Attributes, READ, READ_CREATE, WRITE, active, attributes, created, maintained, uid};
use crate::contract::input::InputKind;
use crate::domain::schema::{FieldType, Visibility};
use crate::domain::{Entity, Field, FieldKind, FieldOwner, Role};

/// The attributes of a kind of record, in the order of its members. `custom` has those of an owner's custom fields.
pub(super) fn of_entity(entity: Entity, custom: impl Fn(FieldOwner) -> Attributes) -> Attributes {
    let mut all = attributes([("uid", uid())]);
    all.extend(entity.fields().iter().map(|field| {
        let attribute = attribute(entity, *field);
        let attribute = if let FieldKind::Custom(owner) = field.kind() {
            attribute.any_properties(custom(owner))
        } else {
            attribute
        };
        (field.name().to_owned(), attribute)
    }));
    all.extend(attributes([("active", active()), ("created", created())]));
    all.extend(maintained());
    all
}

fn attribute(entity: Entity, field: Field) -> Attribute {
    let described = shape(field.kind());
    let described = if is_required(entity, field) { described.required() } else { described.optional() };
    let described = if field.nullable() { described.nullable() } else { described.not_null() };
    let described = with_values(described, field.kind());
    let described = described.on(actions(entity, field)).named(&label(field.name()));
    let described = match description(field) {
        Some(text) => described.field_description(text),
        None => described,
    };
    if field.kind() == FieldKind::Money { described.properties(money()) } else { described }
}

/// The actions in which the attribute is sent or shown. Custom fields are the only records here of which a body sets some
/// attributes once.
fn actions(entity: Entity, field: Field) -> &'static [&'static str] {
    let is_written = InputKind::ALL.into_iter().any(|body| body.entity() == entity);
    if !is_written {
        READ
    } else if matches!(field.kind(), FieldKind::Owner | FieldKind::Type) {
        READ_CREATE
    } else {
        WRITE
    }
}

fn is_required(entity: Entity, field: Field) -> bool {
    match entity {
        Entity::CustomField => matches!(field, Field::Owner | Field::Type | Field::Name),
        Entity::Contact
        | Entity::Company
        | Entity::Project
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => field == Field::Name,
    }
}

fn shape(kind: FieldKind) -> Attribute {
    match kind {
        FieldKind::Text(_)
        | FieldKind::Phone
        | FieldKind::Role
        | FieldKind::Owner
        | FieldKind::Type
        | FieldKind::Visibility => Attribute::of("string"),
        FieldKind::Email => Attribute::of("string").format("email"),
        FieldKind::Website => Attribute::of("string").format("uri"),
        FieldKind::Client | FieldKind::Contact => Attribute::of("string").format("uuid"),
        FieldKind::Date => Attribute::of("string").format("yyyy-mm-dd"),
        FieldKind::Time => Attribute::of("string").format("hh:mm"),
        FieldKind::Id => Attribute::of("integer"),
        FieldKind::Tags | FieldKind::Words | FieldKind::Audiences | FieldKind::Links => Attribute::of("array"),
        FieldKind::Circles
        | FieldKind::Category
        | FieldKind::Address
        | FieldKind::Person
        | FieldKind::Custom(_)
        | FieldKind::FieldValue
        | FieldKind::Money => Attribute::of("object"),
    }
}

fn with_values(attribute: Attribute, kind: FieldKind) -> Attribute {
    if kind == FieldKind::Role {
        attribute.allowed_values(Role::ALL.map(Role::name))
    } else if kind == FieldKind::Owner {
        attribute.allowed_values(FieldOwner::ALL.map(FieldOwner::name))
    } else if kind == FieldKind::Type {
        attribute.allowed_values(FieldType::ALL.map(FieldType::name))
    } else if kind == FieldKind::Visibility {
        attribute.allowed_values(Visibility::ALL.map(Visibility::name))
    } else {
        attribute
    }
}

/// The properties of an amount in a currency.
pub(super) fn money() -> Attributes {
    attributes([
        ("amount", Attribute::of("number").required().not_null().on(WRITE).named("Amount")),
        ("currency", Attribute::required_text("Currency")),
    ])
}

/// The description of a field whose name is not enough.
fn description(field: Field) -> Option<&'static str> {
    let described = [
        (Field::ProjectCustomFields, "Each value by its custom field's UUID."),
        (Field::Client, "The uid of a company or contact."),
        (Field::Visibility, "The group in which a company shows the field's values."),
    ];
    described.into_iter().find(|(described, _)| *described == field).map(|(_, text)| text)
}

/// `start_date` for people: "Start Date".
pub(super) fn label(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('_').map(capitalised).collect::<Vec<_>>().join(" ")
}
