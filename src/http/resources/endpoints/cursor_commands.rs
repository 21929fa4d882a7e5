//! Whether events are delivered to an endpoint, and from which position on.
//!
//! The replica that owns the account's shard moves the cursor, within moments. These responses say that it will be moved.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::Value as Json;

use super::reply::{reply, write_request};
use super::{HandlerResult, object, ok, parse, position, view};
use crate::domain::{Invalid, Seq, ValidationErrors};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::problem::Problem;
use crate::push::service::{EndpointService, EndpointView};

pub(in crate::http) async fn pause(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let render = |endpoint: &EndpointView| ok("The endpoint is paused; nothing is lost meanwhile.", &view(endpoint));
    reply(service.pause(&write_request(&caller, &actor, &write), id, render).await)
}

pub(in crate::http) async fn resume(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let message = "The endpoint goes on where it stopped; nothing was skipped.";
    let render = |endpoint: &EndpointView| ok(message, &view(endpoint));
    reply(service.resume(&write_request(&caller, &actor, &write), id, render).await)
}

pub(in crate::http) async fn replay(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let mut body = object(&write)?;
    let mut errors = ValidationErrors::default();
    let from = body.remove("from").and_then(|from| position(&from));
    let to = body.remove("to").filter(|to| *to != Json::Null);
    let through = to.as_ref().and_then(position);
    if to.is_some() && through.is_none() {
        errors.push(Invalid::new("to", "Must be start, a cursor of this log, or the number of one of its events."));
    }
    let render = |endpoint: &EndpointView| ok("These events will be sent again.", &view(endpoint));
    let request = write_request(&caller, &actor, &write);
    reply(service.replay(&request, id, (from, through), errors, render).await)
}

pub(in crate::http) async fn skip(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let through = object(&write)?.remove("seq").and_then(|seq| seq.as_i64()).map(Seq);
    let render = |endpoint: &EndpointView| ok("Events up to this one will not be sent.", &view(endpoint));
    reply(service.skip(&write_request(&caller, &actor, &write), id, through, render).await)
}

pub(in crate::http) async fn retry(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path((id, seq)): Path<(String, String)>,
    write: Write,
) -> HandlerResult {
    let (id, actor) = (parse(&id)?, caller.key_id.to_string());
    let seq = Seq(seq.parse().map_err(|_| Problem::missing("parked event"))?);
    let render = |endpoint: &EndpointView| ok("The event will be sent again.", &view(endpoint));
    reply(service.retry(&write_request(&caller, &actor, &write), id, seq, render).await)
}
