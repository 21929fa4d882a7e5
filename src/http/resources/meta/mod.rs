//! `/contact/meta` and the like: the attributes of a record, and their possible values.
//!
//! The response has no envelope, and each of its values is an object. The attributes of contacts and companies equal those
//! of the vendor's API, key by key and in the same order; the attributes that only this service has come after them. A form
//! plugin reads `field_name` and `required`, and hides every field whose `required` is not `false`.

mod attribute;
mod company;
mod contact;
mod custom;
mod others;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::ser::{Serialize, Serializer};
use serde_json::value::RawValue;

use self::attribute::Attributes;
use super::resource::Resource;
use crate::domain::schema::FieldGroup;
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

/// The attributes as JSON text, where the query has `meta`.
pub(in crate::http) async fn requested(
    store: &Store,
    caller: &Caller,
    entity: Entity,
    query: &Query,
) -> Result<Option<Box<RawValue>>, Problem> {
    if query.get("meta").is_none() {
        return Ok(None);
    }
    let schema = store.schema(caller.account).await?;
    text(entity, &schema).map(Some)
}

/// The attributes as JSON text, which keeps their order.
pub(in crate::http) fn text(entity: Entity, schema: &AccountSchema) -> Result<Box<RawValue>, Problem> {
    serde_json::value::to_raw_value(&of(entity, schema)).map_err(|error| {
        tracing::error!(error = %error, "encode attributes failed");
        Problem::internal()
    })
}

/// Attributes by name, in a fixed order.
pub(in crate::http) struct Meta(Attributes);

impl Serialize for Meta {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, attribute)| (name, attribute)))
    }
}

/// The attributes of an account's records of this kind.
pub(in crate::http) fn of(entity: Entity, schema: &AccountSchema) -> Meta {
    let of_owner = |owner| custom::custom_fields(schema, |definition| definition.owner == owner);
    Meta(match entity {
        Entity::Contact => {
            let mut meta = contact::of_contacts(of_owner(FieldOwner::Contact), of_owner(FieldOwner::Target));
            meta.extend(custom::account_wide(schema));
            meta
        }
        Entity::Company => {
            let group = |group| custom::custom_fields(schema, |definition| definition.group() == Some(group));
            let all = custom::custom_fields(schema, |definition| definition.group().is_some());
            company::of_companies(FieldGroup::ALL.map(|name| (name.name(), group(name))), all)
        }
        Entity::Project
        | Entity::CustomField
        | Entity::Audience
        | Entity::Circle
        | Entity::Note
        | Entity::World
        | Entity::Push
        | Entity::Conflict => others::of_entity(entity, of_owner),
    })
}
