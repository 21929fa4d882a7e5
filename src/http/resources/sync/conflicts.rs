//! `/sync/conflicts/{id}/resolve`: ends a conflict by choosing a value.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value as Json};

use crate::clock;
use crate::contract::input::{self, InputKind};
use crate::domain::sync::{Resolution, Resolve, SyncOperation};
use crate::domain::{Command, Entity, Field, Invalid, Refusal, Target};
use crate::http::request::caller::Caller;
use crate::http::request::extract::{NamedTarget, Write};
use crate::http::resources::records::{self, RecordsState};
use crate::http::response::problem::Problem;

pub(in crate::http) async fn resolve(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> Result<Response, Problem> {
    let Target::Uid(conflict) = target else { return Err(Problem::missing(Entity::Conflict.noun())) };
    let take = resolution(write.json()?)?;
    let resolve = Resolve { conflict, take, if_match: write.if_match.clone() };
    records::submit(&state, &caller, write, Command::Sync(Box::new(SyncOperation::Resolve(resolve)))).await
}

fn resolution(body: Json) -> Result<Resolution, Refusal> {
    let Json::Object(mut body) = body else { return Err(Invalid::of_body("Must be an object with take.").into()) };
    let other = body.remove("value").filter(|json| !json.is_null()).map(value).transpose()?;
    match (body.remove("take").as_ref().and_then(Json::as_str), other) {
        (Some("kept"), _) => Ok(Resolution::Kept),
        (Some("lost"), _) => Ok(Resolution::Lost),
        (Some("value"), Some(value)) => Ok(value),
        (Some("value"), None) => Err(Invalid::new("value", "Is required.").into()),
        (Some(_) | None, _) => Err(Invalid::new("take", "Must be kept, lost or value.").into()),
    }
}

/// A value with its attribute: `{"phone": "+31201234567"}`. The kind of record follows from the conflict, so that the value
/// is read as an attribute of each kind that has it; the decision takes the one that fits.
fn value(json: Json) -> Result<Resolution, Refusal> {
    let wrong =
        || Invalid::new("value", "Must be the attribute with its value, such as {\"phone\": \"+31201234567\"}.");
    let Json::Object(value) = json else { return Err(wrong().into()) };
    let mut names = value.keys();
    let (Some(name), None) = (names.next(), names.next()) else { return Err(wrong().into()) };
    if Field::of_records(name).is_none() {
        return Err(wrong().into());
    }
    let read = |kind: InputKind| read_value(kind, &value);
    Ok(Resolution::Value(Box::new([read(InputKind::Contact)?, read(InputKind::Company)?, read(InputKind::Project)?])))
}

fn read_value(kind: InputKind, value: &Map<String, Json>) -> Result<Command, Refusal> {
    let body = Json::Object(value.clone());
    input::update(kind, Target::Key(Vec::new()), None, body, &mut clock::fresh_uid)
}
