//! An account's custom fields, as the schemas of their values.

use serde_json::{Value as Json, json};

use super::schema::{CustomFields, nullable};
use crate::domain::schema::{Definition, FieldType};
use crate::store::schema::Schema;

/// Those that an account defined, each under its UUID.
pub(super) fn custom_fields(schema: &Schema) -> CustomFields {
    let mut fields = CustomFields::new();
    for definition in schema.custom_fields.iter().filter_map(Definition::of) {
        fields.entry(definition.owner).or_default().insert(definition.uid.to_string(), value(&definition));
    }
    fields
}

fn value(definition: &Definition<'_>) -> Json {
    let mut schema = match definition.kind {
        FieldType::Text => json!({"type": "string", "maxLength": 1_000}),
        FieldType::LongText => json!({"type": "string", "maxLength": 16_384}),
        FieldType::Phone => json!({"type": "string", "maxLength": 64}),
        FieldType::Number => json!({"type": "number"}),
        FieldType::Currency => json!({
            "type": "object",
            "required": ["amount", "currency"],
            "properties": {"amount": {"type": "number"}, "currency": {"type": "string", "pattern": "^[A-Z]{3}$"}},
        }),
        FieldType::Date => json!({"type": "string", "format": "date"}),
        FieldType::DateTime => json!({"type": "string", "format": "date-time"}),
        FieldType::Checkbox => json!({"type": "boolean"}),
        FieldType::Dropdown => json!({"type": "string", "enum": definition.allowed_values}),
        FieldType::MultiSelect => {
            json!({"type": "array", "items": {"enum": definition.allowed_values}, "uniqueItems": true})
        }
        FieldType::Url | FieldType::File => json!({"type": "string", "format": "uri", "maxLength": 2_048}),
        FieldType::Email => json!({"type": "string", "format": "email", "maxLength": 254}),
    };
    if let Json::Object(members) = &mut schema {
        members.insert("title".to_owned(), json!(definition.label));
        members.extend(definition.description.map(|description| ("description".to_owned(), json!(description))));
    }
    nullable(schema)
}
