//! The attributes that an account defined: its custom fields and audiences.

use serde_json::json;

use super::attribute::{Attribute, Attributes, READ, WRITE, attributes, timestamp};
use super::others::{label, money};
use crate::domain::schema::{Definition, FieldType};
use crate::domain::{Field, FieldOwner, Record};
use crate::store::schema::AccountSchema;

/// The custom fields whose definitions satisfy a condition, by their uids.
pub(super) fn custom_fields(schema: &AccountSchema, is_wanted: impl Fn(&Definition<'_>) -> bool) -> Attributes {
    let definitions = schema.custom_fields.iter().filter_map(Definition::of).filter(is_wanted);
    definitions.map(|definition| (definition.uid.to_string(), custom_field(&definition))).collect()
}

/// The account's definitions besides those of contacts. Clients look for all definitions in the attributes of contacts.
pub(super) fn account_wide(schema: &AccountSchema) -> Attributes {
    let of = |owner| custom_fields(schema, |definition| definition.owner == owner);
    let audiences = schema.audiences.iter().filter_map(audience).collect();
    let read_only = |label: &str, properties| {
        Attribute::of("object").optional().nullable().on(READ).named(label).properties(properties)
    };
    attributes([
        ("company_custom_fields", read_only("Custom Fields of Companies", of(FieldOwner::Company))),
        ("project_custom_fields", read_only("Custom Fields of Projects", of(FieldOwner::Project))),
        ("marketing_audiences", read_only("Audiences", audiences)),
        ("meta_attributes", read_only("Attributes That the Service Maintains", maintained())),
    ])
}

/// A custom field by its definition. Without a description the label describes it.
fn custom_field(definition: &Definition<'_>) -> Attribute {
    let kind = definition.kind;
    let described = shape(kind).optional().nullable();
    let described = if kind.is_choice() { described.allowed_values(definition.allowed_values) } else { described };
    let described = described
        .on(WRITE)
        .named(definition.label)
        .field_description(definition.description.unwrap_or(definition.label))
        .plain("field_type", json!(kind.name()));
    let described = match definition.owner {
        FieldOwner::Company => described.plain("visibility", json!(definition.visibility.name())),
        FieldOwner::Contact | FieldOwner::Project | FieldOwner::Target => described,
    };
    if kind == FieldType::Currency { described.properties(money()) } else { described }
}

fn shape(kind: FieldType) -> Attribute {
    match kind {
        FieldType::Text | FieldType::LongText | FieldType::Dropdown | FieldType::Phone => Attribute::of("string"),
        FieldType::Number => Attribute::of("number"),
        FieldType::Currency => Attribute::of("object"),
        FieldType::Date => Attribute::of("string").format("yyyy-mm-dd"),
        FieldType::DateTime => timestamp(),
        FieldType::Checkbox => Attribute::of("boolean"),
        FieldType::MultiSelect => Attribute::of("array"),
        FieldType::Url => Attribute::of("string").format("uri"),
        FieldType::Email => Attribute::of("string").format("email"),
        FieldType::File => Attribute::of("file"),
    }
}

/// An audience, by the number under which contacts subscribe to it.
fn audience(record: &Record) -> Option<(String, Attribute)> {
    let id = record.number(Field::Id)?.to_string();
    let attribute = Attribute::of("boolean").optional().nullable().on(READ).named(record.text(Field::Name)?);
    Some((id, attribute))
}

/// The members of every record besides its attributes.
fn maintained() -> Attributes {
    let read_only = |kind, name| (name, Attribute::of(kind).optional().not_null().on(READ).named(&label(name)));
    attributes([
        read_only("integer", "version"),
        read_only("boolean", "deleted"),
        read_only("array", "refs"),
        read_only("object", "field_seq"),
    ])
}
