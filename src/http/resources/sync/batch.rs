//! `POST /sync/batch`: operations of a partner, each executed by itself, or all together.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value as Json, json};

use super::item::{OperationResult, render};
use crate::clock;
use crate::command::{AtomicStep, CommandEnvelope, CommandResult, Failure, Idempotency};
use crate::contract::sync_op::{self, MAX_OPERATIONS, ReadOperation};
use crate::domain::{Invalid, Refusal};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::request::replays::{self, OnlyReplay};
use crate::http::resources::records::RecordsState;
use crate::http::response::envelope;
use crate::http::response::limits;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;

pub(in crate::http) async fn execute(
    State(state): State<Arc<RecordsState>>,
    caller: Caller,
    only_replay: Option<Extension<OnlyReplay>>,
    write: Write,
) -> Result<Response, Problem> {
    let (operations, atomic) = read(write.json()?)?;
    let prepared = prepare(operations, &caller, &write);
    if let Some(Extension(OnlyReplay { status })) = only_replay {
        let requests: Vec<Idempotency> = prepared.iter().filter_map(|one| one.idempotency.clone()).collect();
        let are_all = !requests.is_empty() && requests.len() == prepared.len();
        if !are_all || !replays::are_stored(&state.store, &caller, &requests).await? {
            return Ok(limits::refuse_month(&status));
        }
    }
    let items = if atomic {
        execute_atomic(&state, &caller, &write, prepared).await
    } else {
        execute_each(&state, &caller, &write, prepared).await
    };
    let replayed = !items.is_empty() && items.iter().all(OperationResult::is_replayed);
    let succeeded = items.iter().filter(|item| item.result.is_ok()).count();
    let message = format!("{succeeded} of {} operations were executed.", items.len());
    let data = render(&state.store, caller.account, items).await?;
    let mut response = envelope::success(StatusCode::OK, &message, &data, &json!({}));
    if replayed {
        mark_replayed(&mut response);
    }
    Ok(response)
}

/// Executes one operation. Returns its result, rendered, and whether it was executed before.
pub(super) async fn execute_one(
    state: &RecordsState,
    caller: &Caller,
    write: &Write,
    operation: Json,
) -> Result<(String, bool), Problem> {
    let items = execute_each(state, caller, write, prepare(vec![operation], caller, write)).await;
    let replayed = items.iter().all(OperationResult::is_replayed);
    let list = render(&state.store, caller.account, items).await?;
    let one = list.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
    Ok((one.unwrap_or(&list).to_owned(), replayed))
}

/// An operation with what identifies it.
struct Prepared {
    operation: ReadOperation,
    idempotency: Option<Idempotency>,
    bytes: usize,
}

/// The operations of a body, and whether they are all or nothing.
fn read(body: Json) -> Result<(Vec<Json>, bool), Problem> {
    let Json::Object(mut body) = body else {
        return Err(Refusal::from(Invalid::of_body("Must be an object with ops.")).into());
    };
    let atomic = match body.remove("atomic") {
        None | Some(Json::Null) => false,
        Some(Json::Bool(atomic)) => atomic,
        Some(_) => return Err(Refusal::from(Invalid::new("atomic", "Must be true or false.")).into()),
    };
    let Some(Json::Array(operations)) = body.remove("ops") else {
        return Err(Refusal::from(Invalid::new("ops", "Must be a list of operations.")).into());
    };
    if !(1..=MAX_OPERATIONS).contains(&operations.len()) {
        let detail = format!("Must have 1 to {MAX_OPERATIONS} operations.");
        return Err(Refusal::from(Invalid::new("ops", detail)).into());
    }
    Ok((operations, atomic))
}

fn prepare(operations: Vec<Json>, caller: &Caller, write: &Write) -> Vec<Prepared> {
    let share = write.body.len() / operations.len().max(1);
    let prepare = |(index, json): (usize, Json)| {
        // The text of the object, whose keys serde_json sorts, so that a repetition may be formatted in another way.
        let text = json.to_string();
        let operation = sync_op::read(json, &caller.origin, &mut clock::fresh_uid);
        let idempotency = match &operation.op_id {
            Some(op_id) => Some(Idempotency::of_operation(&caller.origin, op_id, &text)),
            None => write.idempotency.as_ref().map(|whole| whole.at(index)),
        };
        Prepared { operation, idempotency, bytes: share }
    };
    operations.into_iter().enumerate().map(prepare).collect()
}

/// Executes each operation by itself, in order.
async fn execute_each(
    state: &RecordsState,
    caller: &Caller,
    write: &Write,
    prepared: Vec<Prepared>,
) -> Vec<OperationResult> {
    let mut envelopes = Vec::with_capacity(prepared.len());
    let mut items = Vec::with_capacity(prepared.len());
    for Prepared { operation: ReadOperation { op_id, command }, idempotency, bytes } in prepared {
        let result = match command {
            Ok(command) => {
                let envelope = CommandEnvelope::new(caller.account, Arc::clone(&caller.origin), command);
                envelopes.push(CommandEnvelope {
                    idempotency,
                    bytes,
                    causation: op_id.clone(),
                    correlation: correlation(write),
                    traceparent: write.traceparent.clone(),
                    ..envelope
                });
                None
            }
            Err(refusal) => Some(Err(Failure::Refused { refusal, replayed: false })),
        };
        items.push((op_id, result));
    }
    let mut results = state.lanes.submit_all(envelopes).await.into_iter();
    let item = |(op_id, result): (Option<String>, Option<Result<CommandResult, Failure>>)| {
        let result = result.or_else(|| results.next()).unwrap_or(Err(Failure::Unavailable));
        OperationResult { op_id, result, is_applied: true }
    };
    items.into_iter().map(item).collect()
}

/// Executes all operations, or none.
async fn execute_atomic(
    state: &RecordsState,
    caller: &Caller,
    write: &Write,
    prepared: Vec<Prepared>,
) -> Vec<OperationResult> {
    let op_ids: Vec<Option<String>> = prepared.iter().map(|one| one.operation.op_id.clone()).collect();
    let mut steps = Vec::with_capacity(prepared.len());
    for (index, Prepared { operation, idempotency, .. }) in prepared.into_iter().enumerate() {
        match operation.command {
            Ok(command) => steps.push(AtomicStep { command, idempotency, causation: operation.op_id }),
            Err(refusal) => return failed_at(op_ids, index, &Failure::Refused { refusal, replayed: false }),
        }
    }
    let mut steps = steps.into_iter();
    let Some(first) = steps.next() else { return Vec::new() };
    let envelope = CommandEnvelope {
        idempotency: first.idempotency,
        bytes: write.body.len(),
        causation: first.causation,
        correlation: correlation(write),
        traceparent: write.traceparent.clone(),
        is_atomic: true,
        then: steps.collect(),
        ..CommandEnvelope::new(caller.account, Arc::clone(&caller.origin), first.command)
    };
    match state.lanes.submit(envelope).await {
        Ok(mut first) => {
            let then = std::mem::take(&mut first.then);
            let results = std::iter::once(first).chain(then);
            op_ids
                .into_iter()
                .zip(results)
                .map(|(op_id, result)| OperationResult { op_id, result: Ok(result), is_applied: true })
                .collect()
        }
        Err(Failure::StepRefused { index, refusal }) => {
            failed_at(op_ids, index, &Failure::Refused { refusal, replayed: false })
        }
        Err(failure @ Failure::Refused { .. }) => failed_at(op_ids, 0, &failure),
        Err(failure) => op_ids
            .into_iter()
            .map(|op_id| OperationResult { op_id, result: Err(failure.clone()), is_applied: true })
            .collect(),
    }
}

/// The items of an atomic batch that failed at one operation.
fn failed_at(op_ids: Vec<Option<String>>, failed: usize, failure: &Failure) -> Vec<OperationResult> {
    let item = |(index, op_id)| OperationResult { op_id, result: Err(failure.clone()), is_applied: index == failed };
    op_ids.into_iter().enumerate().map(item).collect()
}

/// The request's id for the events: its idempotency key, as the client sent it.
fn correlation(write: &Write) -> Option<String> {
    write.idempotency.as_ref().map(|whole| whole.unscoped_key.clone())
}
