//! Whether an endpoint is delivered to, and from where on.
//!
//! A place is moved by whoever owns the account's shard, within moments: what is answered here is that it will be.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value as Json, json};

use super::writing::{Said, Writing};
use super::{Written, object, parse, position, show_placed};
use crate::domain::push::State as Standing;
use crate::domain::{Invalid, Seq};
use crate::http::Api;
use crate::http::auth::Caller;
use crate::http::extract::Write;
use crate::http::problem::Problem;
use crate::store::push_changes::Move;

pub(in crate::http) async fn pause(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let (writing, mut placed) = Writing::of(&api, &caller, &write, id).await?;
    // What was disabled stays so until it is resumed.
    if placed.endpoint.state == Standing::Live {
        placed.endpoint.state = Standing::Paused;
        writing.change.update(&placed.endpoint).await?;
    }
    let said = Said::ok("The endpoint is paused; nothing is lost meanwhile.", show_placed(&api.masters, &placed));
    writing.finish("push.pause", &json!({"endpoint": id}), said).await
}

pub(in crate::http) async fn resume(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let (writing, mut placed) = Writing::of(&api, &caller, &write, id).await?;
    placed.endpoint.state = Standing::Live;
    writing.change.update(&placed.endpoint).await?;
    writing.change.order(id, Move::Resume, api.clock.now()).await?;
    let said =
        Said::ok("The endpoint goes on where it stands; nothing was skipped.", show_placed(&api.masters, &placed));
    writing.finish("push.resume", &json!({"endpoint": id}), said).await
}

pub(in crate::http) async fn replay(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let mut body = object(&write)?;
    let (from, to) = (body.remove("from").unwrap_or(Json::Null), body.remove("to").unwrap_or(Json::Null));
    let wrong =
        |key: &str| Invalid::new(key, "Must be start, a cursor of this log, or the number of one of its events.");
    let mut errors = Vec::new();
    let after = position(&api, &caller, &from).await?;
    if after.is_none() {
        errors.push(wrong("from"));
    }
    let through = if to.is_null() { None } else { Some(position(&api, &caller, &to).await?) };
    if through.is_some_and(|through| through.is_none_or(|through| after.is_some_and(|after| through <= after))) {
        errors.push(if matches!(through, Some(Some(_))) {
            Invalid::new("to", "Must be later than from.")
        } else {
            wrong("to")
        });
    }
    let (Some(after), true) = (after, errors.is_empty()) else { return Err(Problem::invalid(&errors).into()) };
    let order = Move::Replay { after, through: through.flatten() };
    let (writing, placed) = Writing::of(&api, &caller, &write, id).await?;
    writing.change.order(id, order, api.clock.now()).await?;
    let said = Said::ok("These events will be sent again.", show_placed(&api.masters, &placed));
    let detail = json!({"endpoint": id, "after": after, "through": through.flatten()});
    writing.finish("push.replay", &detail, said).await
}

pub(in crate::http) async fn skip(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let seq = object(&write)?.remove("seq").and_then(|seq| seq.as_i64());
    let (writing, placed) = Writing::of(&api, &caller, &write, id).await?;
    let Some(seq) = seq.map(Seq).filter(|seq| (Seq(1)..=writing.head).contains(seq)) else {
        let invalid = Invalid::new("seq", "Must be the number of an event of the log.");
        return Err(Problem::invalid(&[invalid]).into());
    };
    writing.change.order(id, Move::Skip { through: seq }, api.clock.now()).await?;
    let said = Said::ok("Events up to this one will not be sent.", show_placed(&api.masters, &placed));
    writing.finish("push.skip", &json!({"endpoint": id, "through": seq}), said).await
}

pub(in crate::http) async fn retry(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path((id, seq)): Path<(String, String)>,
    write: Write,
) -> Written {
    let id = parse(&id)?;
    let seq = Seq(seq.parse().map_err(|_| Problem::missing("parked event"))?);
    let (writing, placed) = Writing::of(&api, &caller, &write, id).await?;
    if !writing.change.is_parked(id, seq).await? {
        return Err(Problem::missing("parked event").into());
    }
    writing.change.order(id, Move::Retry { seq }, api.clock.now()).await?;
    let said = Said::ok("The event will be tried again.", show_placed(&api.masters, &placed));
    writing.finish("push.retry", &json!({"endpoint": id, "seq": seq}), said).await
}
