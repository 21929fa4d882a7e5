//! An account's rules for concurrent changes, in JSON:
//! `{"default": "incoming_wins", "fields": {"contact.phone": "existing_wins", "contact.email": {"system_of_record": "erp"}}}`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::record::Corrupt;
use crate::domain::{Entity, Field, FieldPolicy, Invalid, SyncPolicy, ValidationErrors};

/// The detail of an error about a rule.
const RULES: &str = "Must be incoming_wins, existing_wins, reject or {\"system_of_record\": \"an origin\"}.";

/// The longest origin, in characters.
const MAX_ORIGIN: usize = 255;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyJson {
    #[serde(default = "incoming_wins")]
    default: RuleJson,
    #[serde(default)]
    fields: BTreeMap<String, RuleJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RuleJson {
    Name(String),
    SystemOfRecord { system_of_record: String },
}

fn incoming_wins() -> RuleJson {
    RuleJson::Name(FieldPolicy::IncomingWins.name().to_owned())
}

/// The JSON of a policy.
pub fn encode(policy: &SyncPolicy) -> serde_json::Result<String> {
    let fields = policy.fields.iter().map(|((entity, field), rule)| {
        let name = [entity.name(), ".", field.name()].concat();
        (name, rule_json(rule))
    });
    serde_json::to_string(&PolicyJson { default: rule_json(&policy.default), fields: fields.collect() })
}

/// Decodes the output of [`encode`].
pub fn decode(text: &str) -> Result<SyncPolicy, Corrupt> {
    let json: PolicyJson = serde_json::from_str(text)?;
    policy(json).map_err(|_| Corrupt::Key("fields"))
}

/// Reads a policy that a client sent.
pub fn read(body: Json) -> Result<SyncPolicy, ValidationErrors> {
    let Json::Object(mut body) = body else { return Err(Invalid::of_body("Must be an object.").into()) };
    let mut errors = ValidationErrors::default();
    let mut rule =
        |pointer: &str, json: Json| errors.take(serde_json::from_value(json).map_err(|_| Invalid::new(pointer, RULES)));
    let default = body.remove("default").and_then(|json| rule("default", json)).unwrap_or_else(incoming_wins);
    let fields = match body.remove("fields") {
        None => BTreeMap::new(),
        Some(Json::Object(fields)) => {
            let rules = fields.into_iter();
            rules.filter_map(|(name, json)| Some((name.clone(), rule(&format!("fields/{name}"), json)?))).collect()
        }
        Some(_) => {
            errors.push(Invalid::new("fields", "Must be an object of attributes with their rules."));
            BTreeMap::new()
        }
    };
    if let Some(unknown) = body.keys().next() {
        errors.push(Invalid::new(unknown, "Is unknown: there are default and fields."));
    }
    match policy(PolicyJson { default, fields }) {
        Ok(policy) => errors.into_result(policy),
        Err(more) => {
            errors.append(more);
            Err(errors)
        }
    }
}

fn policy(json: PolicyJson) -> Result<SyncPolicy, ValidationErrors> {
    let mut errors = ValidationErrors::default();
    let default = errors.take(rule("default", json.default)).unwrap_or_default();
    if matches!(default, FieldPolicy::SystemOfRecord(_)) {
        errors.push(Invalid::new("default", "Must be incoming_wins, existing_wins or reject."));
    }
    let mut fields = BTreeMap::new();
    for (name, json) in json.fields {
        let pointer = format!("fields/{name}");
        let Some(field) = field(&name) else {
            errors
                .push(Invalid::new(&pointer, "Is no attribute of a contact, company or project: write contact.phone."));
            continue;
        };
        if let Some(rule) = errors.take(rule(&pointer, json)) {
            fields.insert(field, rule);
        }
    }
    errors.into_result(SyncPolicy { default, fields })
}

fn field(name: &str) -> Option<(Entity, Field)> {
    let (entity, field) = name.split_once('.')?;
    let entity = Entity::from_name(entity).filter(|entity| entity.is_synced())?;
    Some((entity, entity.field(field)?))
}

fn rule(pointer: &str, json: RuleJson) -> Result<FieldPolicy, Invalid> {
    match json {
        RuleJson::SystemOfRecord { system_of_record: origin } => {
            if origin.is_empty() || origin.chars().count() > MAX_ORIGIN {
                return Err(Invalid::new(pointer, "The system of record is the origin of a key: 1 to 255 characters."));
            }
            Ok(FieldPolicy::SystemOfRecord(origin))
        }
        RuleJson::Name(name) => match name.as_str() {
            "incoming_wins" => Ok(FieldPolicy::IncomingWins),
            "existing_wins" => Ok(FieldPolicy::ExistingWins),
            "reject" => Ok(FieldPolicy::Reject),
            _ => Err(Invalid::new(pointer, RULES)),
        },
    }
}

fn rule_json(rule: &FieldPolicy) -> RuleJson {
    match rule {
        FieldPolicy::SystemOfRecord(origin) => RuleJson::SystemOfRecord { system_of_record: origin.clone() },
        FieldPolicy::IncomingWins | FieldPolicy::ExistingWins | FieldPolicy::Reject => {
            RuleJson::Name(rule.name().to_owned())
        }
    }
}
