//! Schemas that stand in several places get a name and one place: among the document's components.
//!
//! A generator of clients makes a type of each component, with its name. A schema inside another one becomes a type whose
//! name is made of its place, once per place.

use serde_json::{Map, Value as Json, json};

/// The member of a schema that names it until [`hoist`] has moved it.
const NAME: &str = "x-component";

/// Names a schema. Schemas of the same name must be equal.
pub(in crate::http::spec) fn named(name: &str, mut schema: Json) -> Json {
    if let Json::Object(members) = &mut schema {
        members.insert(NAME.to_owned(), json!(name));
    }
    schema
}

/// Moves every named schema of a document to its components and leaves a reference in its place. Where `null` satisfies the
/// schema, it satisfies the place and not the component. A schema that differs from an earlier one of its name stays.
pub(in crate::http::spec) fn hoist(document: &mut Json) {
    let mut components = Map::new();
    take(document, &mut components);
    if let Some(Json::Object(schemas)) = document.pointer_mut("/components/schemas") {
        schemas.extend(components);
    }
}

fn take(value: &mut Json, components: &mut Map<String, Json>) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| take(item, components)),
        Json::Object(members) => {
            members.values_mut().for_each(|member| take(member, components));
            let Some(Json::String(name)) = members.remove(NAME) else { return };
            let whole = members.clone();
            let is_nullable = remove_null(members);
            let schema = Json::Object(std::mem::take(members));
            if *components.entry(&*name).or_insert_with(|| schema.clone()) != schema {
                *value = Json::Object(whole);
                return;
            }
            let reference = json!({"$ref": format!("#/components/schemas/{name}")});
            *value = if is_nullable { json!({"oneOf": [reference, {"type": "null"}]}) } else { reference };
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// Makes a schema refuse `null`. Returns whether it accepted it.
fn remove_null(schema: &mut Map<String, Json>) -> bool {
    let null = json!({"type": "null"});
    let mut removed = false;
    for (key, none) in [("type", json!("null")), ("enum", Json::Null), ("anyOf", null)] {
        if let Some(Json::Array(choices)) = schema.get_mut(key) {
            let before = choices.len();
            choices.retain(|choice| *choice != none);
            removed |= choices.len() < before;
        }
    }
    if let Some(Json::Array(types)) = schema.get("type")
        && let [only] = types.as_slice()
    {
        let only = only.clone();
        schema.insert("type".to_owned(), only);
    }
    removed
}
