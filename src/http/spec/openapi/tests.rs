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
        assert_eq!(keys(&Schema::Record(entity).json(None)), shown);
    }
}

#[test]
fn what_is_required_follows_from_the_rules() {
    let contact = Schema::Create(InputKind::Contact).json(None);
    assert_eq!(contact["required"], json!(["first_name", "last_name", "role"]));
    let unless_lead = json!([{"properties": {"role": {"const": "Lead"}}}, {"required": ["email"]}]);
    assert_eq!(contact["anyOf"], unless_lead);
    assert_eq!(Schema::Create(InputKind::Company).json(None)["required"], json!(["name"]));
    assert_eq!(Schema::Update(InputKind::Company).json(None).get("required"), None);
}

#[test]
fn an_accounts_own_fields_stand_in_its_schemas() {
    let uid = Uid(uuid::Uuid::from_u128(17));
    let texts = [(Field::Owner, FieldOwner::Contact.name()), (Field::Type, "number"), (Field::Name, "Shoe size")];
    let changes = texts.map(|(field, text)| (field, Some(Value::Text(text.to_owned())))).into();
    let added = NewEvent { entity: Entity::CustomField, uid, event_type: EventType::FieldAdded, changes };
    let (field, _) = Record::evolve(None, added, Seq(1), Timestamp::UNIX_EPOCH);
    let document = made(Some(&AccountSchema { custom_fields: vec![field], audiences: Vec::new() }));
    let own = |schema: &str| {
        let at = format!("/components/schemas/{schema}/properties/custom_fields/properties/{uid}");
        document.pointer(&at).cloned()
    };
    assert_eq!(own("Contact"), Some(json!({"type": "number", "title": "Shoe size"})));
    for schema in ["ContactCreate", "ContactUpdate"] {
        assert_eq!(own(schema), Some(json!({"type": ["number", "null"], "title": "Shoe size"})));
    }
    assert_eq!(own("Company"), None);
}
