//! Requests for records that do not exist, or exist no longer.

use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value as Json, json};

use crate::domain::Entity;
use crate::domain::account::OnMissing;
use crate::http::request::caller::Caller;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;

/// A missing record as the account wants to receive it: a problem, or a success without data.
pub(super) fn missing(caller: &Caller, entity: Entity, problem: Problem) -> Result<Response, Problem> {
    if caller.on_missing == OnMissing::Fail || !problem.is_missing_record() {
        return Err(problem);
    }
    let mut response = envelope::success(StatusCode::OK, &message(entity), "null", &json!({}));
    if problem.is_replayed() {
        mark_replayed(&mut response);
    }
    Ok(response)
}

/// The same for a list of what belongs to a record: the success is an empty list.
pub(super) fn missing_list(caller: &Caller, entity: Entity, meta: &Json) -> Result<Response, Problem> {
    match caller.on_missing {
        OnMissing::Fail => Err(Problem::missing(entity.noun())),
        OnMissing::Succeed => Ok(envelope::success(StatusCode::OK, &message(entity), "[]", meta)),
    }
}

fn message(entity: Entity) -> String {
    format!("No matching {} was found; nothing was changed.", entity.noun())
}
