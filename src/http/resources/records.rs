//! Records: create, read, update, delete.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;

use super::changes::invalid;
use super::company_fields::FieldGroups;
use super::meta;
use super::missing::missing;
use super::past;
use super::resolve_links::resolve_links;
use super::resource::{Resource, Writable};
use crate::clock::{self, Clock};
use crate::command::Lanes;
use crate::command::{CommandEnvelope, CommandResult};
use crate::contract::input::{self, InputKind};
use crate::contract::outcome::Disposition;
use crate::domain::{Command, Delete, Entity, Seq, Target};
use crate::http::request::at::At;
use crate::http::request::caller::Caller;
use crate::http::request::conditions::has_version;
use crate::http::request::extract::{NamedTarget, Query, Write};
use crate::http::response::envelope;
use crate::http::response::problem::{Problem, gone_record};
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
    submit(&state, &caller, write, command).await
}

pub(in crate::http) async fn update<R: Writable>(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> HandlerResult {
    change(&state, &caller, R::BODY, target, write).await
}

/// Changes the record that the target names.
pub(in crate::http) async fn change(
    state: &RecordsState,
    caller: &Caller,
    kind: InputKind,
    target: Target,
    write: Write,
) -> HandlerResult {
    let command = input::update(kind, target, write.if_match.clone(), write.json()?, &mut clock::fresh_uid)?;
    submit(state, caller, write, command).await.or_else(|problem| missing(caller, kind.entity(), problem))
}

pub(in crate::http) async fn delete<R: Writable>(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> HandlerResult {
    let command = Command::Delete(Delete { entity: R::ENTITY, target, if_match: write.if_match.clone() });
    submit(&state, &caller, write, command).await.or_else(|problem| missing(&caller, R::ENTITY, problem))
}

pub(in crate::http) async fn read<R: Resource>(
    State(state): State<Arc<RecordsState>>,
    State(clock): State<Clock>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult {
    let stored = state.store.record(caller.account, R::ENTITY, &target).await?;
    show(&state.store, &clock, &caller, R::ENTITY, stored, &query, &headers).await
}

/// Responds to a GET of one record.
pub(in crate::http) async fn show(
    store: &Store,
    clock: &Clock,
    caller: &Caller,
    entity: Entity,
    stored: Option<StoredRecord>,
    query: &Query,
    headers: &HeaderMap,
) -> HandlerResult {
    if let Some(at) = At::of(query).map_err(invalid)? {
        return past::show(store, clock, caller, entity, stored, query, at).await;
    }
    let stored = match stored {
        None => return missing(caller, entity, Problem::missing(entity.noun())),
        Some(stored) if stored.deleted => {
            return missing(caller, entity, gone_record(entity, stored.version, &stored.record));
        }
        Some(stored) => stored,
    };
    let meta = meta::requested(store, caller, entity, query).await?;
    let is_known = has_version(headers, stored.version) && meta.is_none();
    let as_it_was = is_known.then(|| stored.record.clone());
    let mut records = resolve_links(store, caller.account, entity, vec![stored]).await?;
    let stored = records.pop().ok_or_else(|| Problem::missing(entity.noun()))?;
    let groups = FieldGroups::read(store, caller.account, entity, [&*stored.record]).await?;
    // Linked names in a record and the groups of its values may change without a new version, so an equal version alone
    // does not mean an equal record.
    if as_it_was.as_ref() == Some(&stored.record) && groups.changed_at <= stored.version {
        return Ok(envelope::not_modified(stored.version));
    }
    let shown = groups.shown(caller.account, entity, &stored.record)?;
    Ok(render(entity, &shown, stored.version, meta))
}

/// Renders a record, with its attributes where they were requested.
pub(in crate::http) fn render(
    entity: Entity,
    record: &str,
    version: Seq,
    attributes: Option<Box<RawValue>>,
) -> Response {
    let message = format!("The {} was found.", entity.noun());
    // Attributes are JSON text already, because a parsed object would lose their order.
    let meta = attributes.map_or_else(|| "{}".to_owned(), |attributes| format!(r#"{{"attributes":{attributes}}}"#));
    envelope::record(StatusCode::OK, &message, record, version, &meta)
}

/// Executes a command and responds with its record.
pub(in crate::http) async fn submit(
    state: &RecordsState,
    caller: &Caller,
    write: Write,
    command: Command,
) -> HandlerResult {
    // The command holds what it needs of the body, so the body need not wait in the lane.
    let Write { body, idempotency, traceparent, .. } = write;
    let bytes = body.len();
    drop(body);
    let (account, origin) = (caller.account, Arc::clone(&caller.origin));
    let envelope =
        CommandEnvelope { idempotency, traceparent, bytes, ..CommandEnvelope::new(account, origin, command) };
    let mut result = state.lanes.submit(envelope).await?;
    let entity = result.done.entity;
    let groups = FieldGroups::read(&state.store, account, entity, [&*result.record]).await?;
    if let Cow::Owned(grouped) = groups.shown(account, entity, &result.record)? {
        result.record = grouped;
    }
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
