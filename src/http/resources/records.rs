//! Records: create, read, update, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value as Json, json};

use super::meta;
use super::resolve_links::resolve_links;
use super::resource::{Resource, Writable};
use crate::clock;
use crate::command::Lanes;
use crate::command::{CommandEnvelope, CommandResult};
use crate::contract::input::{self, InputKind};
use crate::contract::outcome::Disposition;
use crate::domain::account::OnMissing;
use crate::domain::{Command, Delete, Entity, Seq, Target};
use crate::http::request::caller::Caller;
use crate::http::request::conditions::has_version;
use crate::http::request::extract::{NamedTarget, Query, Write};
use crate::http::response::envelope;
use crate::http::response::problem::{Problem, gone};
use crate::http::response::replayed::mark_replayed;
use crate::store::Store;
use crate::store::records::StoredRecord;

type HandlerResult = Result<Response, Problem>;

/// The state of the handlers of records.
pub(in crate::http) struct RecordsState {
    pub(in crate::http) store: Store,
    pub(in crate::http) lanes: Lanes,
}

pub(in crate::http) async fn create<R: Writable>(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    write: Write,
) -> HandlerResult {
    let command = input::create(R::BODY, write.json()?, &mut clock::fresh_uid)?;
    submit(&state.lanes, &caller, write, command).await
}

pub(in crate::http) async fn update<R: Writable>(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> HandlerResult {
    change(&state.lanes, &caller, R::BODY, target, write).await
}

/// Changes the record that the target names.
pub(in crate::http) async fn change(
    lanes: &Lanes,
    caller: &Caller,
    kind: InputKind,
    target: Target,
    write: Write,
) -> HandlerResult {
    let command = input::update(kind, target, write.if_match.clone(), write.json()?, &mut clock::fresh_uid)?;
    submit(lanes, caller, write, command).await.or_else(|problem| missing(caller, kind.entity(), problem))
}

pub(in crate::http) async fn delete<R: Writable>(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> HandlerResult {
    let command = Command::Delete(Delete { entity: R::ENTITY, target, if_match: write.if_match.clone() });
    submit(&state.lanes, &caller, write, command).await.or_else(|problem| missing(&caller, R::ENTITY, problem))
}

pub(in crate::http) async fn read<R: Resource>(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult {
    let stored = state.store.record(caller.account, R::ENTITY, &target).await?;
    show(&state.store, &caller, R::ENTITY, stored, &query, &headers).await
}

/// Responds to a GET of one record.
pub(in crate::http) async fn show(
    store: &Store,
    caller: &Caller,
    entity: Entity,
    stored: Option<StoredRecord>,
    query: &Query,
    headers: &HeaderMap,
) -> HandlerResult {
    let stored = match stored {
        None => return missing(caller, entity, Problem::missing(entity.noun())),
        Some(stored) if stored.deleted => return missing(caller, entity, gone(entity, stored.version.0)),
        Some(stored) => stored,
    };
    let meta = meta::requested(store, caller, entity, query).await?;
    let is_known = has_version(headers, stored.version) && meta.is_none();
    let as_it_was = is_known.then(|| stored.record.clone());
    let mut records = resolve_links(store, caller.account, entity, vec![stored]).await?;
    let stored = records.pop().ok_or_else(|| Problem::missing(entity.noun()))?;
    // Linked names in a record may change without a new version, so an equal version alone does not mean an equal
    // record.
    if as_it_was.as_ref() == Some(&stored.record) {
        return Ok(envelope::not_modified(stored.version));
    }
    Ok(render(entity, &stored.record, stored.version, meta))
}

/// Renders a record, with its attributes where they were requested.
pub(in crate::http) fn render(entity: Entity, record: &str, version: Seq, attributes: Option<Json>) -> Response {
    let message = format!("The {} was found.", entity.noun());
    let meta = attributes.map_or_else(|| json!({}), |attributes| json!({ "attributes": attributes }));
    envelope::record(StatusCode::OK, &message, record, version, &meta)
}

async fn submit(lanes: &Lanes, caller: &Caller, write: Write, command: Command) -> HandlerResult {
    // The command holds what it needs of the body, so the body need not wait in the lane.
    let Write { body, idempotency, traceparent, .. } = write;
    let bytes = body.len();
    drop(body);
    let (account, origin) = (caller.account, Arc::clone(&caller.origin));
    let envelope = CommandEnvelope { account, command, origin, idempotency, traceparent, bytes };
    let result = lanes.submit(envelope).await?;
    Ok(answer(&result))
}

fn answer(result: &CommandResult) -> Response {
    let (status, event_type) = match result.done.disposition {
        Disposition::Created => (StatusCode::CREATED, "was created"),
        Disposition::Updated => (StatusCode::OK, "was updated"),
        Disposition::Unchanged => (StatusCode::OK, "is already as requested; nothing was changed"),
        Disposition::Deleted => (StatusCode::OK, "was deleted"),
    };
    let message = format!("The {} {event_type}.", result.done.entity.noun());
    let mut response = envelope::record(status, &message, &result.record, result.done.version, &json!({}));
    if result.replayed {
        mark_replayed(&mut response);
    }
    response
}

/// A missing record as the account wants to receive it: a problem, or a success without data.
fn missing(caller: &Caller, entity: Entity, problem: Problem) -> HandlerResult {
    if caller.on_missing == OnMissing::Fail || !problem.is_missing_record() {
        return Err(problem);
    }
    let message = format!("No matching {} was found; nothing was changed.", entity.noun());
    let mut response = envelope::success(StatusCode::OK, &message, "null", &json!({}));
    if problem.is_replayed() {
        mark_replayed(&mut response);
    }
    Ok(response)
}
