use serde_json::{Value as Json, json};

use super::of;
use crate::domain::Entity;
use crate::store::schema::AccountSchema;

fn meta(entity: Entity) -> Json {
    json!(of(entity, &AccountSchema { custom_fields: Vec::new(), audiences: Vec::new() }))
}

#[test]
fn every_field_of_every_record_is_described() {
    for entity in Entity::ALL {
        let meta = meta(entity);
        for field in entity.fields() {
            assert!(meta[field.name()].is_object(), "{} has no {}", entity.name(), field.name());
        }
    }
}

/// Each object of the attributes, with the path that leads to it.
fn described(at: &str, attribute: &Json, each: &mut impl FnMut(&str, &Json)) {
    each(at, attribute);
    for (name, inner) in attribute["properties"].as_object().into_iter().flatten() {
        described(&format!("{at}/{name}"), inner, each);
    }
}

#[test]
fn an_attribute_that_is_read_or_written_says_whether_it_is_required() {
    for entity in Entity::ALL {
        for (name, attribute) in meta(entity).as_object().into_iter().flatten() {
            described(name, attribute, &mut |at, attribute| {
                // The vendor's API describes these two without `required`.
                let is_bare = ["circles/add", "circles/remove"].contains(&at);
                assert!(is_bare || attribute["required"].is_boolean(), "{} {at}: {attribute}", entity.name());
                assert!(attribute["nullable"].is_boolean(), "{} {at}: {attribute}", entity.name());
                assert!(attribute["allowed_on_action"].is_array(), "{} {at}: {attribute}", entity.name());
            });
        }
    }
}
