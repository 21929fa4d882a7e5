//! `/push/endpoints`: the webhooks of an account. Requests are read and results are rendered here; the push module's
//! application service does the rest.

pub(in crate::http) mod attempts;
pub(in crate::http) mod cursor_commands;
mod reply;
pub(in crate::http) mod secrets;
mod settings;
mod view;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use self::reply::{EndpointRefusal, reply, write_request};
use self::view::view;
use self::view::view_with_secret;
use crate::audited::Rendered;
use crate::contract::{Cursor, input};
use crate::domain::{Invalid, Seq};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::push::service::{EndpointService, EndpointView, LogPosition};

type HandlerResult = Result<Response, EndpointRefusal>;

pub(in crate::http) async fn create(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    write: Write,
) -> HandlerResult {
    let input = settings::read(&mut object(&write)?);
    let actor = caller.key_id.to_string();
    let message = "The endpoint was created. Its secret is shown this once.";
    let render = |endpoint: &EndpointView| Rendered {
        status: StatusCode::CREATED.as_u16(),
        body: body(message, &view_with_secret(endpoint)),
    };
    reply(service.create(&write_request(&caller, &actor, &write), input, render).await)
}

pub(in crate::http) async fn list(State(service): State<Arc<EndpointService>>, caller: Caller) -> HandlerResult {
    Ok(listed(&service.list(caller.account).await?))
}

pub(in crate::http) fn listed(endpoints: &[EndpointView]) -> Response {
    let endpoints: Vec<Json> = endpoints.iter().map(view).collect();
    envelope::success(StatusCode::OK, "Endpoints were listed.", &json!(endpoints).to_string(), &json!({}))
}

pub(in crate::http) async fn read(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
) -> HandlerResult {
    Ok(shown(&service.get(caller.account, parse(&id)?).await?))
}

pub(in crate::http) fn shown(endpoint: &EndpointView) -> Response {
    envelope::success(StatusCode::OK, "The endpoint was found.", &view(endpoint).to_string(), &json!({}))
}

pub(in crate::http) async fn update(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let id = parse(&id)?;
    let mut body = object(&write)?;
    // An endpoint is moved by a replay or a skip; here the member means nothing.
    body.remove("from");
    let input = settings::read(&mut body);
    let actor = caller.key_id.to_string();
    let render = |endpoint: &EndpointView| ok("The endpoint was updated.", &view(endpoint));
    reply(service.update(&write_request(&caller, &actor, &write), id, input, render).await)
}

pub(in crate::http) async fn delete(
    State(service): State<Arc<EndpointService>>,
    caller: Caller,
    Path(id): Path<String>,
    write: Write,
) -> HandlerResult {
    let id = parse(&id)?;
    let actor = caller.key_id.to_string();
    let render = || ok("The endpoint was deleted.", &Json::Null);
    reply(service.delete(&write_request(&caller, &actor, &write), id, render).await)
}

/// A body that must be an object.
fn object(write: &Write) -> Result<Map<String, Json>, Problem> {
    let body = Some(write.json()?).filter(|body| !body.is_string()).and_then(|body| input::object(body).ok());
    body.ok_or_else(|| Problem::invalid(&[Invalid::of_body("Must be an object.")]))
}

fn parse(id: &str) -> Result<Uuid, Problem> {
    Uuid::try_parse(id).map_err(|_| Problem::missing("endpoint"))
}

/// A position in the account's log as a body names it: `start`, a cursor, or the number of an event.
fn position(value: &Json) -> Option<LogPosition> {
    match value.as_str() {
        Some("start") => Some(LogPosition::Start),
        Some(text) => text.parse::<Cursor>().ok().map(LogPosition::Cursor),
        None => value.as_i64().map(|number| LogPosition::Event(Seq(number))),
    }
}

/// The rendered result of a request that succeeded.
fn ok(message: &str, data: &Json) -> Rendered {
    Rendered { status: StatusCode::OK.as_u16(), body: body(message, data) }
}

fn body(message: &str, data: &Json) -> String {
    envelope::text(message, &data.to_string(), &json!({}))
}
