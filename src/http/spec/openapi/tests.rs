use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::{Schema, document};
use crate::config::BrandConfig;
use crate::contract::input::InputKind;
use crate::contract::record::RecordJson;
use crate::domain::schema::FieldGroup;
use crate::domain::{Entity, EventType, Field, FieldOwner, NewEvent, Record, Seq, Timestamp, Uid, Value};
use crate::http::request::service_url::ServiceUrl;
use crate::http::spec::samples;
use crate::store::schema::AccountSchema;

fn made(own: Option<&AccountSchema>) -> Json {
    document(&BrandConfig::default().shown(), &ServiceUrl("https://crm.example.com".to_owned()), own)
}

fn keys(schema: &Json) -> BTreeSet<&str> {
    schema["properties"].as_object().expect("an object's schema").keys().map(String::as_str).collect()
}

/// One line per operation with its parameters, body and statuses: short enough to be reviewed when it changes.
#[test]
fn the_operations_in_outline() {
    let document = made(None);
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
    assert_eq!(made(None).to_string(), made(None).to_string());
}

#[test]
fn a_records_schema_has_the_keys_that_records_have() {
    for entity in Entity::ALL {
        let shown = json!(RecordJson(&samples::record(entity, Timestamp::UNIX_EPOCH)));
        let mut shown: BTreeSet<&str> = shown.as_object().expect("an object").keys().map(String::as_str).collect();
        if entity == Entity::Company {
            // Responses show the values of custom fields in groups too.
            shown.extend(FieldGroup::ALL.map(FieldGroup::name));
        }
        // A record has these only where origins dispute it, or it was merged or erased.
        shown.extend(["flips", "merged_into", "erased"]);
        assert_eq!(keys(&Schema::Record(entity).json(None)), shown);
    }
}

/// The schemas that are not at the top of the document's components and not made of a few plain members.
fn unnamed_objects(schema: &Json, at: &str, unnamed: &mut Vec<String>) {
    match schema {
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                unnamed_objects(item, &format!("{at}/{index}"), unnamed);
            }
        }
        Json::Object(members) => {
            let depth = at.split('/').count();
            if depth > 4 && members.get("type") == Some(&json!("object")) && members.contains_key("properties") {
                unnamed.push(at.to_owned());
            }
            for (key, member) in members {
                unnamed_objects(member, &format!("{at}/{key}"), unnamed);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

#[test]
fn every_object_has_a_name_and_every_reference_leads_to_a_component() {
    for document in [made(None), made(Some(&AccountSchema { custom_fields: Vec::new(), audiences: Vec::new() }))] {
        let mut unnamed = Vec::new();
        unnamed_objects(&document, "", &mut unnamed);
        assert_eq!(unnamed, [""; 0]);
        let text = document.to_string();
        assert!(!text.contains("x-component"));
        for reference in text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}

#[test]
fn what_is_required_follows_from_the_rules() {
    let contact = Schema::Create(InputKind::Contact).json(None);
    assert_eq!(contact["required"], json!(["first_name", "last_name", "role"]));
    assert_eq!(contact["if"], json!({"properties": {"role": {"const": "Lead"}}}));
    assert_eq!((&contact["else"], contact.get("then")), (&json!({"required": ["email"]}), None));
    assert_eq!(Schema::Create(InputKind::Company).json(None)["required"], json!(["name"]));
    assert_eq!(Schema::Update(InputKind::Company).json(None).get("required"), None);
}

#[test]
fn an_accounts_own_fields_stand_in_its_schemas() {
    let uid = Uid(uuid::Uuid::from_u128(17));
    let texts = [(Field::Owner, FieldOwner::Contact.name()), (Field::Type, "number"), (Field::Name, "Shoe size")];
    let changes = texts.map(|(field, text)| (field, Some(Value::Text(text.to_owned())))).into();
    let added = NewEvent::new(Entity::CustomField, uid, EventType::FieldAdded, changes);
    let (field, _) = Record::evolve(None, added, Seq(1), Timestamp::UNIX_EPOCH, &"test".into());
    let document = made(Some(&AccountSchema { custom_fields: vec![field], audiences: Vec::new() }));
    let own = |schema: &str| {
        let at = format!("/components/schemas/{schema}/properties/custom_fields");
        let schema = document.pointer(&at).expect("custom fields");
        let reference = schema.get("$ref").or_else(|| schema.pointer("/oneOf/0/$ref")).and_then(Json::as_str);
        let schema = document.pointer(reference.expect("a component").trim_start_matches('#')).expect("the component");
        schema["properties"].get(uid.to_string()).cloned()
    };
    assert_eq!(own("Contact"), Some(json!({"type": "number", "title": "Shoe size"})));
    for schema in ["ContactCreate", "ContactUpdate"] {
        assert_eq!(own(schema), Some(json!({"type": ["number", "null"], "title": "Shoe size"})));
    }
    assert_eq!(own("Company"), None);
}
