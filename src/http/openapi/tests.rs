use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::schema::CustomFields;
use super::{Schema, document};
use crate::config::Brand;
use crate::contract::record::Shown;
use crate::domain::{Entity, Timestamp};
use crate::http::extract::Origin;
use crate::http::samples;

fn made(custom: &CustomFields) -> Json {
    document(&Brand::default(), &Origin("https://crm.example.com".to_owned()), custom)
}

fn keys(schema: &Json) -> BTreeSet<&str> {
    schema["properties"].as_object().expect("an object's schema").keys().map(String::as_str).collect()
}

/// What each operation takes and answers, a line each: small enough to be read when it changes.
#[test]
fn the_operations_in_outline() {
    let document = made(&CustomFields::new());
    let mut lines = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let texts = |list: &Json| -> Vec<String> {
                let names = list.as_array().into_iter().flatten();
                names.filter_map(|parameter| parameter["name"].as_str().map(str::to_owned)).collect()
            };
            let body = operation.pointer("/requestBody/content/application~1json/schema/$ref").and_then(Json::as_str);
            let body = body.and_then(|reference| reference.rsplit('/').next()).unwrap_or("-");
            let answers: Vec<&str> =
                operation["responses"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
            lines.push(format!(
                "{} {path} ({}) {} {body} -> {}",
                method.to_uppercase(),
                operation["operationId"].as_str().unwrap_or_default(),
                texts(&operation["parameters"]).join(","),
                answers.join(" "),
            ));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_same_bytes_for_the_same_asker() {
    assert_eq!(made(&CustomFields::new()).to_string(), made(&CustomFields::new()).to_string());
}

#[test]
fn a_records_schema_has_the_keys_that_records_have() {
    for entity in Entity::ALL {
        let shown = json!(Shown(&samples::record(entity, Timestamp::UNIX_EPOCH)));
        let shown: BTreeSet<&str> = shown.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys(&Schema::Record(entity).json(&CustomFields::new())), shown);
    }
}

#[test]
fn what_is_required_follows_from_the_rules() {
    let contact = Schema::Create(Entity::Contact).json(&CustomFields::new());
    assert_eq!(contact["required"], json!(["first_name", "last_name", "role"]));
    let unless_lead = json!([{"properties": {"role": {"const": "Lead"}}}, {"required": ["email"]}]);
    assert_eq!(contact["anyOf"], unless_lead);
    assert_eq!(Schema::Create(Entity::Company).json(&CustomFields::new())["required"], json!(["name"]));
    assert_eq!(Schema::Update(Entity::Company).json(&CustomFields::new()).get("required"), None);
}

#[test]
fn an_accounts_own_fields_stand_in_its_schemas() {
    let field = "019e7f00-0000-7000-8000-000000000000";
    let own = Map::from_iter([(field.to_owned(), json!({"type": "string", "title": "Shoe size"}))]);
    let document = made(&CustomFields::from([(Entity::Contact, own)]));
    for schema in ["Contact", "ContactCreate", "ContactUpdate"] {
        let at = format!("/components/schemas/{schema}/properties/custom_fields/properties/{field}/title");
        assert_eq!(document.pointer(&at), Some(&json!("Shoe size")), "{schema}");
    }
    assert_eq!(document.pointer("/components/schemas/Company/properties/custom_fields"), None);
}
