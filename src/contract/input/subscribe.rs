//! Reads the body of `/marketing/subscribe`: a list whose items are separate commands.

use serde_json::Value as Json;

use super::value::value;
use super::{Action, Fresh, Reader};
use crate::domain::contact::Subscribe;
use crate::domain::{Command, Entity, Field, Invalid, Patch, Refusal};

/// The most items of one request.
const MAX_ITEMS: usize = 100;

/// A command or refusal for each item.
pub fn subscriptions(body: Json, fresh: Fresh<'_>) -> Result<Vec<Result<Command, Refusal>>, Refusal> {
    match body {
        Json::Array(items) if (1..=MAX_ITEMS).contains(&items.len()) => {
            Ok(items.into_iter().map(|item| subscription(item, fresh)).collect())
        }
        _ => Err(Invalid::of_body(format!("Must be a list of 1 to {MAX_ITEMS} items.")).into()),
    }
}

fn subscription(item: Json, fresh: Fresh<'_>) -> Result<Command, Refusal> {
    let mut reader = Reader::new(Action::Create, item)?;
    let mut patch = Patch::new();
    for field in [Field::Email, Field::FirstName, Field::LastName] {
        // A name that is null is unknown.
        let Some(json) = reader.body.remove(field.name()).filter(|json| !json.is_null()) else { continue };
        match value(field, json) {
            Ok(value) => {
                patch.insert(field, value);
            }
            Err(detail) => reader.refuse(field.name(), detail),
        }
    }
    let audiences = reader.audiences();
    let custom = reader.custom(Entity::Contact, &mut patch);
    let subscribe = Subscribe::new(fresh(), patch, audiences, custom);
    reader.finish_with(subscribe).map(Command::Subscribe)
}

impl Reader {
    fn audiences(&mut self) -> Vec<i64> {
        let id = |json: &Json| match json {
            Json::String(text) => text.trim().parse().ok(),
            json => json.as_i64(),
        };
        let ids = match self.body.remove("audiences") {
            None | Some(Json::Null) => Some(Vec::new()),
            Some(Json::Array(list)) if list.len() <= MAX_ITEMS => list.iter().map(id).collect(),
            Some(one) => id(&one).map(|id| vec![id]),
        };
        ids.unwrap_or_else(|| {
            self.refuse("audiences", format!("Must be a list of at most {MAX_ITEMS} whole numbers."));
            Vec::new()
        })
    }
}
