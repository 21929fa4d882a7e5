//! Reads the values of custom fields, by their fields' UUIDs.
//!
//! No value is ignored: a value that belongs to no custom field of the record is refused, here or when the command is
//! decided.

use serde_json::Value as Json;

use super::Reader;
use super::lenient::object;
use super::value::untyped;
use crate::contract::record::parse_uid;
use crate::domain::schema::{FieldGroup, Input};
use crate::domain::{Entity, Field, FieldKind, Patch};

/// The most values of custom fields under one key.
const MAX_VALUES: usize = 500;
/// The most values of custom fields in a company's body. A client that sends back what it read names each field twice.
const MAX_COMPANY_VALUES: usize = 2 * MAX_VALUES;
/// The longest key that an error repeats, in bytes.
const MAX_SHOWN_KEY: usize = 255;

/// The keys under which records of some kind have values of custom fields.
const KEYS: [&str; 6] = [
    "custom_fields",
    "public_custom_fields",
    "private_custom_fields",
    "target_custom_fields",
    "company_custom_fields",
    "project_custom_fields",
];

impl Reader {
    /// The values of a contact's or project's custom fields; `null` clears all of an attribute.
    pub(super) fn custom(&mut self, entity: Entity, patch: &mut Patch) -> Vec<Input> {
        let mut inputs = Vec::new();
        for field in entity.fields().iter().copied().filter(|field| matches!(field.kind(), FieldKind::Custom(_))) {
            match self.body.remove(field.name()) {
                None => {}
                Some(Json::Null) => {
                    patch.insert(field, None);
                }
                Some(values) => self.values(field, field.name(), values, &mut inputs),
            }
        }
        self.refuse_other_keys(entity);
        inputs
    }

    /// The values of a company's custom fields. Each key takes values of every field that companies have, because the groups
    /// of the definitions decide only where a value is read. `null` clears a group, or all values.
    pub(super) fn company_custom(&mut self, patch: &mut Patch) -> (Vec<Input>, Vec<FieldGroup>) {
        let (mut inputs, mut cleared) = (Vec::new(), Vec::new());
        let field = Field::CompanyCustomFields;
        match self.body.remove(field.name()) {
            None => {}
            Some(Json::Null) => {
                patch.insert(field, None);
            }
            Some(values) => self.values(field, field.name(), values, &mut inputs),
        }
        for group in FieldGroup::ALL {
            match self.body.remove(group.name()) {
                None => {}
                Some(Json::Null) => cleared.push(group),
                Some(values) => self.values(field, group.name(), values, &mut inputs),
            }
        }
        if inputs.len() > MAX_COMPANY_VALUES {
            self.refuse(field.name(), format!("Must have at most {MAX_COMPANY_VALUES} values in all groups together."));
        }
        self.refuse_other_keys(Entity::Company);
        (inputs, cleared)
    }

    /// Reads the values under a key.
    fn values(&mut self, field: Field, key: &'static str, values: Json, inputs: &mut Vec<Input>) {
        let Ok(values) = object(values) else {
            return self.refuse(key, "Must be an object with the custom fields' UUIDs as its keys.");
        };
        if values.len() > MAX_VALUES {
            return self.refuse(key, format!("Must have at most {MAX_VALUES} values."));
        }
        for (name, json) in values {
            match parse_uid(&name) {
                Some(uid) => inputs.push(Input { field, key, uid, value: untyped(json) }),
                None if name.len() > MAX_SHOWN_KEY => self.refuse(key, "Has a key that is not a custom field's UUID."),
                None => self.refuse(&[key, "/", &escaped(&name)].concat(), "Is not a custom field's UUID."),
            }
        }
    }

    /// Refuses values under a key that other kinds of records have.
    fn refuse_other_keys(&mut self, entity: Entity) {
        let own = entity.fields().iter().find(|field| matches!(field.kind(), FieldKind::Custom(_)));
        let own = own.map_or("custom_fields", |field| field.name());
        self.refuse_values(&format!("A {} has its custom fields under {own}.", entity.noun()));
    }

    /// Refuses values under each key of custom fields that was not taken. Ignored as an unknown key, they would be lost.
    pub(super) fn refuse_values(&mut self, detail: &str) {
        for key in KEYS {
            let has_values = |json: Json| object(json).is_ok_and(|values| !values.is_empty());
            if self.body.remove(key).is_some_and(has_values) {
                self.refuse(key, detail);
            }
        }
    }
}

/// A key as a step of a JSON Pointer (RFC 6901, section 3).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
