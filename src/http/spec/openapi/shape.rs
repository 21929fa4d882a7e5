//! Building blocks of JSON Schema.

use serde_json::{Map, Value as Json, json};

use super::components::named;

/// An object. All of its properties are required, but those in `optional`.
pub(super) fn object(properties: Json, optional: &[&str]) -> Json {
    let names = properties.as_object().into_iter().flat_map(Map::keys);
    let required: Vec<_> = names.filter(|name| !optional.contains(&name.as_str())).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

pub(super) fn with(mut object: Json, key: &str, value: Json) -> Json {
    if let Json::Object(members) = &mut object {
        members.insert(key.to_owned(), value);
    }
    object
}

/// The same schema, which `null` satisfies too.
pub(super) fn nullable(mut schema: Json) -> Json {
    if let Some(Json::Array(kinds)) = schema.get_mut("type") {
        kinds.push(json!("null"));
    } else if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind, "null"]);
    }
    if let Some(Json::Array(values)) = schema.get_mut("enum") {
        values.push(Json::Null);
    }
    if let Some(Json::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(json!({"type": "null"}));
    }
    schema
}

/// One of these words, as the type `name` of generated clients.
pub(super) fn words(name: &str, words: &[&str]) -> Json {
    named(name, json!({"type": "string", "enum": words}))
}

pub(super) fn text(limit: usize) -> Json {
    json!({"type": "string", "maxLength": limit})
}

pub(super) fn uuid() -> Json {
    json!({"type": "string", "format": "uuid"})
}

pub(super) fn timestamp() -> Json {
    json!({"type": "string", "format": "date-time"})
}
