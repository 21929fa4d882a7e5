//! `/sync/consumers`: the durable consumers of an account on the stream of NATS.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use hyper::StatusCode;
use serde_json::{Map, Value as Json, json};

use crate::audited::{ChangeError, Rendered, WriteRequest};
use crate::contract::{input, timestamp};
use crate::domain::{Entity, Invalid, Refusal, ValidationErrors};
use crate::gateway::consumers::{
    ConsumerError, ConsumerInput, ConsumerService, ConsumerView, Lag, MAX_NAME, Missing, StartPosition, is_name,
};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;

pub(in crate::http) async fn create(
    State(service): State<Arc<ConsumerService>>,
    caller: Caller,
    write: Write,
) -> Result<Response, Problem> {
    let input = read_input(&mut object(&write)?);
    let actor = caller.key_id.to_string();
    let render = |consumer: &ConsumerView| Rendered {
        status: StatusCode::CREATED.as_u16(),
        body: envelope::text("The consumer was created.", &view(consumer).to_string(), &json!({})),
    };
    reply(service.create(&write_request(&caller, &actor, &write), input, render).await)
}

pub(in crate::http) async fn list(
    State(service): State<Arc<ConsumerService>>,
    caller: Caller,
) -> Result<Response, Problem> {
    Ok(listed(&service.list(caller.account).await?))
}

pub(in crate::http) fn listed(consumers: &[ConsumerView]) -> Response {
    let consumers: Vec<Json> = consumers.iter().map(view).collect();
    envelope::success(StatusCode::OK, "Consumers were listed.", &json!(consumers).to_string(), &json!({}))
}

pub(in crate::http) async fn read(
    State(service): State<Arc<ConsumerService>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    Ok(shown(&service.get(caller.account, &name).await?))
}

pub(in crate::http) fn shown(consumer: &ConsumerView) -> Response {
    envelope::success(StatusCode::OK, "The consumer was found.", &view(consumer).to_string(), &json!({}))
}

pub(in crate::http) async fn delete(
    State(service): State<Arc<ConsumerService>>,
    caller: Caller,
    Path(name): Path<String>,
    write: Write,
) -> Result<Response, Problem> {
    let actor = caller.key_id.to_string();
    let render = || Rendered {
        status: StatusCode::OK.as_u16(),
        body: envelope::text("The consumer was deleted.", &Json::Null.to_string(), &json!({})),
    };
    reply(service.delete(&write_request(&caller, &actor, &write), &name, render).await)
}

/// A body that must be an object.
fn object(write: &Write) -> Result<Map<String, Json>, Problem> {
    let body = Some(write.json()?).filter(|body| !body.is_string()).and_then(|body| input::object(body).ok());
    body.ok_or_else(|| Problem::invalid(&[Invalid::of_body("Must be an object.")]))
}

/// Reads a consumer that is to be created. Other members are ignored, as everywhere.
fn read_input(body: &mut Map<String, Json>) -> ConsumerInput {
    let mut errors = ValidationErrors::default();
    let name = body.remove("name").and_then(|name| name.as_str().map(str::to_owned)).filter(|name| is_name(name));
    if name.is_none() {
        let detail = format!("Must be 1 to {MAX_NAME} of a to z, 0 to 9, - and _, and begin with a letter or a digit.");
        errors.push(Invalid::new("name", detail));
    }
    let given = |value: Option<Json>| value.filter(|value| !value.is_null());
    let entity = given(body.remove("entity")).map(|entity| entity.as_str().and_then(Entity::from_name));
    if entity == Some(None) {
        let names = Entity::ALL.map(Entity::name).join(", ");
        errors.push(Invalid::new("entity", format!("Must be one of {names}.")));
    }
    let from = given(body.remove("from")).map(|from| match from.as_str() {
        Some("start") => Some(StartPosition::Start),
        Some("now") => Some(StartPosition::Now),
        Some(cursor) => cursor.parse().ok().map(StartPosition::Cursor),
        None => None,
    });
    if from == Some(None) {
        errors.push(Invalid::new("from", "Must be start, now, or a cursor that this service gave out."));
    }
    let (name, entity, from) = (name.unwrap_or_default(), entity.flatten(), from.flatten().unwrap_or_default());
    ConsumerInput { name, entity, from, errors }
}

fn view(shown: &ConsumerView) -> Json {
    let ConsumerView { consumer, stream, durable, lag, missing } = shown;
    let range = |missing: &Missing| json!({"after_seq": missing.after, "through_seq": missing.through});
    json!({
        "name": consumer.name,
        "stream": stream,
        "durable": durable,
        "entity": consumer.entity.map(Entity::name),
        "created": timestamp::seconds(consumer.created_at),
        "after_seq": consumer.start,
        "acknowledged_seq": consumer.acknowledged,
        "state": if lag.is_some() { "ready" } else { "provisioning" },
        "pending": lag.map(|lag: Lag| lag.pending),
        "ack_pending": lag.map(|lag: Lag| lag.ack_pending),
        "delivered_seq": lag.map(|lag: Lag| lag.delivered),
        "missing": missing.as_ref().map(range),
    })
}

/// The caller of a change. `actor` is the key's id as text.
fn write_request<'a>(caller: &'a Caller, actor: &'a str, write: &'a Write) -> WriteRequest<'a> {
    WriteRequest {
        account: caller.account,
        actor,
        origin: &caller.origin,
        address: None,
        idempotency: write.idempotency.as_ref(),
    }
}

/// The response to a change, or to its repetition.
fn reply(result: Result<Rendered, ConsumerError>) -> Result<Response, Problem> {
    let response = |rendered: Rendered| {
        let created = rendered.status == StatusCode::CREATED.as_u16();
        envelope::json_text(if created { StatusCode::CREATED } else { StatusCode::OK }, rendered.body)
    };
    match result {
        Ok(rendered) => Ok(response(rendered).into_response()),
        Err(error) => {
            let mut response = response(error.repeated()?);
            mark_replayed(&mut response);
            Ok(response)
        }
    }
}

impl From<ConsumerError> for Problem {
    fn from(error: ConsumerError) -> Self {
        match error {
            ConsumerError::Invalid(errors) => errors.into(),
            ConsumerError::NotFound => Self::missing("consumer"),
            ConsumerError::Resync => Self::resync(),
            ConsumerError::NoNats => Self::unavailable("NATS is not available. Retry in a few seconds."),
            ConsumerError::Change(error) => error.into(),
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::NoAccount => Self::unauthorized(),
            ChangeError::KeyReused => Refusal::KeyReused.into(),
            ChangeError::Store(error) => error.into(),
            // A repetition is responded to before it becomes a problem.
            ChangeError::Repeated(_) => Self::internal(),
            ChangeError::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "change of an account failed");
                Self::internal()
            }
        }
    }
}
