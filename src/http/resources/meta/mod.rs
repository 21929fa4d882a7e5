//! `/contact/meta` and the like: the attributes of a record, and their possible values.
//!
//! The response has no envelope, and each of its values is an object: a client that iterates over them finds
//! `field_name` and `required` in each.

mod attribute;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::ser::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use self::attribute::{attributes, audience, custom_field, kept};
use super::resource::Resource;

use crate::domain::schema::Definition;
use crate::domain::{Entity, FieldOwner};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::store::Store;
use crate::store::schema::AccountSchema;

pub(in crate::http) async fn read<R: Resource>(
    State(store): State<Arc<Store>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let schema = store.schema(caller.account).await?;
    envelope::bare(&of(R::ENTITY, &schema))
}

/// The attributes, where the query has `meta`.
pub(in crate::http) async fn requested(
    store: &Store,
    caller: &Caller,
    entity: Entity,
    query: &Query,
) -> Result<Option<Json>, Problem> {
    if query.get("meta").is_none() {
        return Ok(None);
    }
    let schema = store.schema(caller.account).await?;
    Ok(Some(Json::Object(of(entity, &schema).0.into_iter().collect())))
}

/// Attributes by name, in a fixed order.
pub(in crate::http) struct Meta(Vec<(String, Json)>);

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, attribute)| (name, attribute)))
    }
}

/// The attributes of an account's records of this kind.
pub(in crate::http) fn of(entity: Entity, schema: &AccountSchema) -> Meta {
    let mut meta = attributes(entity, |owner| properties(owner, schema));
    if entity == Entity::Contact {
        // The attributes of contacts include everything that the account defined, because clients look for it here.
        let audiences = schema.audiences.iter().filter_map(audience).collect();
        let others = [
            ("company_custom_fields", "Custom fields of companies", properties(FieldOwner::Company, schema)),
            ("project_custom_fields", "Custom fields of projects", properties(FieldOwner::Project, schema)),
            ("marketing_audiences", "Audiences to subscribe to", Json::Object(audiences)),
            ("meta_attributes", "What the service keeps about every record", kept()),
        ];
        meta.extend(others.map(|(name, label, properties)| {
            let attribute = json!({
                "type": "object", "required": false, "nullable": true, "allowed_on_action": ["read"],
                "field_name": label, "properties": properties,
            });
            (name.to_owned(), attribute)
        }));
    }
    Meta(meta)
}

fn properties(owner: FieldOwner, schema: &AccountSchema) -> Json {
    let definitions = schema.custom_fields.iter().filter_map(Definition::of);
    let own = definitions.filter(|definition| definition.owner == owner);
    Json::Object(own.map(|definition| (definition.uid.to_string(), custom_field(&definition))).collect())
}
