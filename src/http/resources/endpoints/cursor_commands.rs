//! Whether an endpoint is delivered to, and from where on.
//!
//! A place is moved by whoever owns the account's shard, within moments: what is answered here is that it will be.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Map, Value as Json, json};

use super::EndpointsState;
use super::idempotent_write::{IdempotentWrite, ResponseBody};
use super::{Written, missing, object, parse, position, show_placed};
use crate::domain::endpoint::CursorCommand;
use crate::domain::{Invalid, Seq};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::problem::Problem;

pub(in crate::http) async fn pause(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let (writing, mut placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    // What was disabled stays so until it is resumed.
    if placed.endpoint.pause() {
        writing.update(&mut placed.endpoint).await?;
    }
    let said =
        ResponseBody::ok("The endpoint is paused; nothing is lost meanwhile.", show_placed(&state.masters, &placed));
    writing.finish("push.pause", &json!({"endpoint": id}), said).await
}

pub(in crate::http) async fn resume(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let (writing, mut placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    placed.endpoint.resume();
    writing.update(&mut placed.endpoint).await?;
    writing.change.enqueue(id, CursorCommand::Resume, state.clock.now()).await?;
    let said = ResponseBody::ok(
        "The endpoint goes on where it stands; nothing was skipped.",
        show_placed(&state.masters, &placed),
    );
    writing.finish("push.resume", &json!({"endpoint": id}), said).await
}

pub(in crate::http) async fn replay(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let mut body = object(&write)?;
    state.store.endpoint(caller.account, id).await?.ok_or_else(missing)?;
    let (after, through) = seq_range(&state, &caller, &mut body).await?;
    let (writing, placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    writing.change.enqueue(id, CursorCommand::Replay { after, through }, state.clock.now()).await?;
    let said = ResponseBody::ok("These events will be sent again.", show_placed(&state.masters, &placed));
    writing.finish("push.replay", &json!({"endpoint": id, "after": after, "through": through}), said).await
}

/// `from` and `to`.
async fn seq_range(
    state: &EndpointsState,
    caller: &Caller,
    body: &mut Map<String, Json>,
) -> Result<(Seq, Option<Seq>), Problem> {
    let wrong = |key| Invalid::new(key, "Must be start, a cursor of this log, or the number of one of its events.");
    let after = match body.remove("from") {
        Some(from) => position(state, caller, &from).await?.ok_or_else(|| wrong("from")),
        None => Err(wrong("from")),
    };
    let through = match body.remove("to") {
        None | Some(Json::Null) => Ok(None),
        Some(to) => match position(state, caller, &to).await? {
            Some(through) if after.as_ref().is_ok_and(|after| through <= *after) => {
                Err(Invalid::new("to", "Must be later than from."))
            }
            Some(through) => Ok(Some(through)),
            None => Err(wrong("to")),
        },
    };
    match (after, through) {
        (Ok(after), Ok(through)) => Ok((after, through)),
        (after, through) => Err(Problem::invalid(&after.err().into_iter().chain(through.err()).collect::<Vec<_>>())),
    }
}

pub(in crate::http) async fn skip(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let seq = object(&write)?.remove("seq").and_then(|seq| seq.as_i64());
    let (writing, placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    let Some(seq) = seq.map(Seq).filter(|seq| (Seq(1)..=writing.head).contains(seq)) else {
        let invalid = Invalid::new("seq", "Must be the number of an event of the log.");
        return Err(Problem::invalid(&[invalid]).into());
    };
    writing.change.enqueue(id, CursorCommand::Skip { through: seq }, state.clock.now()).await?;
    let said = ResponseBody::ok("Events up to this one will not be sent.", show_placed(&state.masters, &placed));
    writing.finish("push.skip", &json!({"endpoint": id, "through": seq}), said).await
}

pub(in crate::http) async fn retry(
    State(state): State<Arc<EndpointsState>>,
    caller: Caller,
    Path((id, seq)): Path<(String, String)>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let seq = Seq(seq.parse().map_err(|_| Problem::missing("parked event"))?);
    let (writing, placed) = IdempotentWrite::of(&state, &caller, &write, id).await?;
    if !writing.change.is_parked(id, seq).await? {
        return Err(Problem::missing("parked event").into());
    }
    writing.change.enqueue(id, CursorCommand::Retry { seq }, state.clock.now()).await?;
    let said = ResponseBody::ok("The event will be tried again.", show_placed(&state.masters, &placed));
    writing.finish("push.retry", &json!({"endpoint": id, "seq": seq}), said).await
}
