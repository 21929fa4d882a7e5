//! Records: create, read, update, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::HeaderValue;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value as Json, json};

use super::meta;
use super::resolve_links::resolve_links;
use crate::clock;
use crate::command::{CommandEnvelope, CommandResult};
use crate::contract::input::{self, InputKind};
use crate::contract::outcome::Disposition;
use crate::domain::account::OnMissing;
use crate::domain::{Command, Delete, Entity, Seq, Target};
use crate::http::Api;
use crate::http::request::auth::Caller;
use crate::http::request::extract::{self, NamedTarget, Query, Write};
use crate::http::response::envelope;
use crate::http::response::problem::{Problem, REPLAYED, gone};
use crate::store::records::StoredRecord;

type HandlerResult = Result<Response, Problem>;

/// A kind of record as a resource: handlers are written once, for each of these.
pub(in crate::http) trait Resource: Send + Sync + 'static {
    const ENTITY: Entity;
    /// What the answer to a list says.
    const LISTED: &'static str;
}

/// A resource that is written by sending its record.
pub(in crate::http) trait Writable: Resource {
    const BODY: InputKind;
}

macro_rules! resources {
    ($($name:ident $listed:literal $($body:ident)?;)*) => {$(
        #[doc = $listed]
        pub(in crate::http) struct $name;

        impl Resource for $name {
            const ENTITY: Entity = Entity::$name;
            const LISTED: &'static str = $listed;
        }

        $(impl Writable for $name {
            const BODY: InputKind = InputKind::$body;
        })?
    )*};
}

resources! {
    Contact "Contacts were listed." Contact;
    Company "Companies were listed." Company;
    Project "Projects were listed." Project;
    CustomField "Custom fields were listed." CustomField;
    Audience "Audiences were listed.";
    World "Worlds were listed.";
}

pub(in crate::http) async fn create<R: Writable>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    write: Write,
) -> HandlerResult {
    let command = input::create(R::BODY, write.json()?, &mut clock::fresh_uid)?;
    submit(&api, &caller, write, command).await
}

pub(in crate::http) async fn update<R: Writable>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> HandlerResult {
    change(&api, &caller, R::BODY, target, write).await
}

/// Changes the record that was found or named.
pub(in crate::http) async fn change(
    api: &Api,
    caller: &Caller,
    what: InputKind,
    target: Target,
    write: Write,
) -> HandlerResult {
    let command = input::update(what, target, write.if_match.clone(), write.json()?, &mut clock::fresh_uid)?;
    submit(api, caller, write, command).await.or_else(|problem| missing(caller, what.entity(), problem))
}

pub(in crate::http) async fn delete<R: Writable>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    write: Write,
) -> HandlerResult {
    let command = Command::Delete(Delete { entity: R::ENTITY, target, if_match: write.if_match.clone() });
    submit(&api, &caller, write, command).await.or_else(|problem| missing(&caller, R::ENTITY, problem))
}

pub(in crate::http) async fn read<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    query: Query,
    headers: HeaderMap,
) -> HandlerResult {
    let stored = api.store.record(caller.account, R::ENTITY, &target).await?;
    show(&api, &caller, R::ENTITY, stored, &query, &headers).await
}

/// The answer to a GET of one record, where it was found.
pub(in crate::http) async fn show(
    api: &Api,
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
    let meta = meta::wanted(api, caller, entity, query).await?;
    let has_version = extract::has_version(headers, stored.version) && meta.is_none();
    let as_it_was = has_version.then(|| stored.record.clone());
    let mut records = resolve_links(&api.store, caller.account, entity, vec![stored]).await?;
    let stored = records.pop().ok_or_else(|| Problem::missing(entity.noun()))?;
    // What a record shows of others may change without it: then its version says too little.
    if as_it_was.as_ref() == Some(&stored.record) {
        return Ok(envelope::not_modified(stored.version));
    }
    Ok(found(entity, &stored.record, stored.version, meta))
}

/// A record as it is read, with its attributes where they were asked for.
pub(in crate::http) fn found(entity: Entity, record: &str, version: Seq, attributes: Option<Json>) -> Response {
    let message = format!("The {} was found.", entity.noun());
    let meta = attributes.map_or_else(|| json!({}), |attributes| json!({ "attributes": attributes }));
    envelope::record(StatusCode::OK, &message, record, version, &meta)
}

async fn submit(api: &Api, caller: &Caller, write: Write, command: Command) -> HandlerResult {
    // The body has become the command; what waits in a lane need not hold it.
    let Write { body, idempotency, traceparent, .. } = write;
    let bytes = body.len();
    drop(body);
    let (account, origin) = (caller.account, Arc::clone(&caller.origin));
    let order = CommandEnvelope { account, command, origin, idempotency, traceparent, bytes };
    let result = api.lanes.submit(order).await?;
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

/// Says that it is the stored answer of an earlier request.
pub(in crate::http) fn mark_replayed(response: &mut Response) {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
}

/// What the account wants to hear where a record is not there: a problem, or a success without data.
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
