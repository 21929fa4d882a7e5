//! `/contact/{id}/erase`: erasing a contact from everything that the service stores, and how far that is.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde_json::json;

use super::records::RecordsState;
use crate::command::CommandEnvelope;
use crate::contract::timestamp;
use crate::domain::sync::{Erase, SyncOperation};
use crate::domain::{Command, Entity, Target};
use crate::erasure::ErasureService;
use crate::http::request::caller::Caller;
use crate::http::request::extract::{NamedTarget, Write};
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;
use crate::store::erasure::{Erasure, ErasureStage};

/// A request waits for this time until the erasure is done. After it the response says how far it is.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// The noun of an erasure that does not exist.
const ERASURE: &str = "erasure of a contact";

pub(in crate::http) async fn erase(
    State(state): State<Arc<RecordsState>>,
    State(erasures): State<ErasureService>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> Result<Response, Problem> {
    let Write { body, idempotency, traceparent, .. } = write;
    let operation = SyncOperation::Erase(Erase { entity: Entity::Contact, target });
    let command = Command::Sync(Box::new(operation));
    let envelope = CommandEnvelope {
        idempotency,
        traceparent,
        bytes: body.len(),
        ..CommandEnvelope::new(caller.account, Arc::clone(&caller.origin), command)
    };
    let result = state.lanes.submit(envelope).await?;
    let erasure = erasures.wait(caller.account, result.done.uid, MAX_WAIT).await?;
    let mut response = render(&erasure.ok_or_else(|| Problem::missing(ERASURE))?);
    if result.replayed {
        mark_replayed(&mut response);
    }
    Ok(response)
}

pub(in crate::http) async fn progress(
    State(erasures): State<ErasureService>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
) -> Result<Response, Problem> {
    // An erased contact has no email address by which it could be found.
    let Target::Uid(uid) = target else { return Err(Problem::missing(ERASURE)) };
    let erasure = erasures.progress(caller.account, uid).await?;
    Ok(render(&erasure.ok_or_else(|| Problem::missing(ERASURE))?))
}

/// Renders how far an erasure is.
pub(in crate::http) fn render(erasure: &Erasure) -> Response {
    let (status, message) = if erasure.stage == ErasureStage::Done {
        (StatusCode::OK, "The contact was erased.")
    } else {
        (StatusCode::ACCEPTED, "The contact is being erased.")
    };
    let data = json!({
        "uid": erasure.uid,
        "seq": erasure.seq,
        "stage": erasure.stage.name(),
        "merged": erasure.eraser.uids.iter().filter(|uid| **uid != erasure.uid).collect::<Vec<_>>(),
        "searched_seq": erasure.scanned,
        "events": erasure.events,
        "messages": erasure.messages,
        "begun_at": timestamp::seconds(erasure.begun_at),
        "done_at": erasure.done_at.map(timestamp::seconds),
    });
    envelope::success(status, message, &data.to_string(), &json!({}))
}
