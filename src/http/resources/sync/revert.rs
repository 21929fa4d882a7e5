//! `POST /sync/revert`: undoes what an origin wrote in a range of the log.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::item::conflict;
use crate::clock::Clock;
use crate::contract::record::FieldValueJson;
use crate::domain::sync::{Existence, Revert};
use crate::domain::{Invalid, Refusal, Seq, ValidationErrors};
use crate::http::request::at::At;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::resources::past;
use crate::http::resources::records::RecordsState;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::sync::revert::{Report, RevertError, RevertRequest, Skipped, revert};

pub(in crate::http) async fn execute(
    State(state): State<Arc<RecordsState>>,
    State(clock): State<Clock>,
    caller: Caller,
    write: Write,
) -> Result<Response, Problem> {
    let body = read(write.json()?)?;
    let head = state.store.head(caller.account).await?.ok_or_else(Problem::unauthorized)?;
    let position = async |at: Option<At>, default| match at {
        Some(at) => past::position(&state.store, &clock, caller.account, at).await.map(|cursor| cursor.seq),
        None => Ok(default),
    };
    let request = RevertRequest {
        account: caller.account,
        origin: body.origin,
        from: position(Some(body.from), Seq::ZERO).await?,
        to: position(body.to, head.seq).await?,
        by: Arc::clone(&caller.origin),
        correlation: write.idempotency.as_ref().map(|whole| whole.unscoped_key.clone()),
    };
    if request.from > request.to {
        return Err(Refusal::from(Invalid::new("from", "Must not be after to.")).into());
    }
    let report = revert(&state.store, &state.lanes, &request, body.dry_run).await?;
    Ok(respond(&request, &report, body.dry_run))
}

struct Body {
    origin: String,
    from: At,
    to: Option<At>,
    dry_run: bool,
}

fn read(body: Json) -> Result<Body, Refusal> {
    let Json::Object(mut body) = body else { return Err(Invalid::of_body("Must be an object.").into()) };
    let mut errors = ValidationErrors::default();
    let origin = match body.remove("origin") {
        Some(Json::String(origin)) if !origin.is_empty() => Some(origin),
        _ => {
            errors.push(Invalid::new("origin", "Must be the origin whose changes are undone."));
            None
        }
    };
    let mut at = |key: &str| match body.remove(key) {
        None | Some(Json::Null) => None,
        Some(Json::Number(seq)) => errors.take(At::read(key, &seq.to_string())),
        Some(Json::String(text)) => errors.take(At::read(key, &text)),
        Some(_) => errors.take(Err(Invalid::new(key, "Must be a seq, a time or a cursor."))),
    };
    let (from, to) = (at("from"), at("to"));
    if from.is_none() && !errors.contains("#/from") {
        errors.push(Invalid::new("from", "Is required: a seq, a time or a cursor. Changes after it are undone."));
    }
    let dry_run = match body.remove("dry_run") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(dry_run)) => dry_run,
        Some(_) => {
            errors.push(Invalid::new("dry_run", "Must be true or false."));
            false
        }
    };
    match (origin, from) {
        (Some(origin), Some(from)) => Ok(errors.into_result(Body { origin, from, to, dry_run })?),
        _ => Err(errors.into()),
    }
}

fn respond(request: &RevertRequest, report: &Report, dry_run: bool) -> Response {
    let is_complete = report.remaining == 0;
    let message = match (dry_run, is_complete) {
        (true, _) => format!("{} records would be looked at; nothing was changed.", report.records),
        (false, true) => "The changes were undone.".to_owned(),
        (false, false) => format!("{} records remain. Send the same request again.", report.remaining),
    };
    let data = json!({
        "origin": request.origin,
        "from": request.from,
        "to": request.to,
        "dry_run": dry_run,
        "complete": is_complete,
        "records": report.records,
        "remaining": report.remaining,
        "updated": report.updated,
        "deleted": report.deleted,
        "restored": report.restored,
        "unchanged": report.unchanged,
        "skipped_total": report.skipped_total,
        "skipped": report.skipped.iter().map(skipped).collect::<Vec<_>>(),
        "planned": report.planned.iter().map(planned).collect::<Vec<_>>(),
    });
    envelope::success(StatusCode::OK, &message, &data.to_string(), &json!({}))
}

fn skipped(skipped: &Skipped) -> Json {
    let problem = skipped.refusal.clone().map(|refusal| Problem::from(refusal).members());
    json!({
        "entity": skipped.entity.name(),
        "uid": skipped.uid,
        "fields": skipped.fields.iter().map(conflict).collect::<Vec<_>>(),
        "problem": problem,
    })
}

fn planned(revert: &Revert) -> Json {
    let existence = revert.existence.map(|existence| match existence {
        Existence::Deleted => "delete",
        Existence::Live => "restore",
    });
    let fields = revert.fields.iter().map(|undo| {
        let to = FieldValueJson(undo.field, undo.to.as_ref());
        json!({"field": undo.field.name(), "seq": undo.changed_at, "to": to})
    });
    json!({
        "entity": revert.entity.name(),
        "uid": revert.uid,
        "existence": existence,
        "fields": fields.collect::<Vec<_>>(),
    })
}

impl From<RevertError> for Problem {
    fn from(error: RevertError) -> Self {
        match error {
            RevertError::TooLarge | RevertError::TooLong => {
                let detail = format!("Must be a shorter range: {error}.");
                Refusal::from(Invalid::new("from", detail)).into()
            }
            RevertError::Failed(failure) => failure.into(),
            RevertError::Store(error) => error.into(),
        }
    }
}
