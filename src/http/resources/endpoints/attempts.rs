//! Results of an endpoint's deliveries: the log of attempts, and the parked events.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{HandlerResult, parse};
use crate::contract::event::TYPE_ROOT;
use crate::contract::timestamp;
use crate::domain::endpoint::ParkedEvent;
use crate::domain::{Invalid, Seq, ValidationErrors};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::push::outcome::shown_from_log;
use crate::push::service::EndpointService;
use crate::store::attempts::{AttemptRow, Narrowed};

pub(in crate::http) async fn attempts(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> HandlerResult {
    let narrowed = narrowed(&query)?;
    let id = parse(&id)?;
    Ok(listed_attempts(&service.attempts(caller.account, id, narrowed).await?))
}

/// The filter of a query.
pub(in crate::http) fn narrowed(query: &Query) -> Result<Narrowed, Problem> {
    let mut errors = ValidationErrors::default();
    let mut narrowed = Narrowed::default();
    match query.get("status") {
        None => {}
        Some("delivered") => narrowed.delivered = Some(true),
        Some("failed") => narrowed.delivered = Some(false),
        Some(text) => match text.parse().ok().filter(|status| (100..=999).contains(status)) {
            Some(status) => narrowed.status = Some(status),
            None => errors.push(Invalid::new("status", "Must be delivered, failed, or the status of an answer.")),
        },
    }
    match query.get("after").map(Uuid::try_parse) {
        None => {}
        Some(Ok(after)) => narrowed.before = Some(after),
        Some(Err(_)) => errors.push(Invalid::new("after", "Must be the id of an attempt.")),
    }
    Ok(errors.into_result(narrowed)?)
}

pub(in crate::http) fn listed_attempts(attempts: &[AttemptRow]) -> Response {
    let shown: Vec<Json> = attempts
        .iter()
        .map(|attempt| {
            let (outcome, error) = shown_from_log(&attempt.outcome, attempt.error.as_deref());
            json!({
                "id": attempt.attempt_id,
                "at": timestamp::seconds(attempt.at),
                "seq": attempt.seq,
                "webhook_id": attempt.webhook_id,
                "trigger": attempt.trigger,
                "outcome": outcome,
                "status": attempt.status,
                "error": error,
                "duration_ms": attempt.duration_ms,
                "bytes": attempt.bytes,
                "body": String::from_utf8_lossy(&attempt.body),
            })
        })
        .collect();
    envelope::success(StatusCode::OK, "Attempts were listed.", &json!(shown).to_string(), &json!({}))
}

pub(in crate::http) async fn parked(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> HandlerResult {
    let after = after_seq(&query)?;
    let id = parse(&id)?;
    Ok(listed_parked(&service.parked(caller.account, id, after).await?))
}

/// The position after which parked events are listed.
pub(in crate::http) fn after_seq(query: &Query) -> Result<Seq, Problem> {
    query.number("after", 0..=i64::MAX, 0).map(Seq).map_err(|invalid| Problem::invalid(&[invalid]))
}

pub(in crate::http) fn listed_parked(parked: &[ParkedEvent]) -> Response {
    let shown: Vec<Json> = parked
        .iter()
        .map(|event| {
            json!({
                "seq": event.seq,
                "subject": event.uid,
                "type": format!("{TYPE_ROOT}.{}", event.kind),
                "attempts": event.attempts,
                "parked_at": timestamp::seconds(event.parked_at),
            })
        })
        .collect();
    envelope::success(StatusCode::OK, "Parked events were listed.", &json!(shown).to_string(), &json!({}))
}
