//! `/contact`, `/company`: create, read, update, delete.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;

use super::Api;
use super::auth::Caller;
use super::envelope;
use super::extract::{self, Named, Write};
use super::present::{has_links, present};
use super::problem::{Problem, REPLAYED, gone};
use crate::clock;
use crate::command::{Order, Receipt};
use crate::contract::input::{self, FreshUids};
use crate::contract::outcome::What;
use crate::domain::account::OnMissing;
use crate::domain::{Command, Delete, Entity};

type Answer = Result<Response, Problem>;

/// A kind of record as a resource: handlers are written once, for each of these.
pub(super) trait Resource: Send + Sync + 'static {
    const ENTITY: Entity;
}

/// `/contact`
pub(super) struct Contact;

/// `/company`
pub(super) struct Company;

impl Resource for Contact {
    const ENTITY: Entity = Entity::Contact;
}

impl Resource for Company {
    const ENTITY: Entity = Entity::Company;
}

pub(super) async fn create<R: Resource>(State(api): State<Arc<Api>>, caller: Caller, write: Write) -> Answer {
    let uids = FreshUids { own: clock::fresh_uid(), beside: clock::fresh_uid() };
    let command = input::create(R::ENTITY, write.json()?, uids)?;
    submit(&api, &caller, write, command).await
}

pub(super) async fn update<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(target): Named,
    write: Write,
) -> Answer {
    let command = input::update(R::ENTITY, target, write.if_match.clone(), write.json()?, clock::fresh_uid())?;
    submit(&api, &caller, write, command).await.or_else(|problem| missing(&caller, R::ENTITY, problem))
}

pub(super) async fn delete<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(target): Named,
    write: Write,
) -> Answer {
    let command = Command::Delete(Delete { entity: R::ENTITY, target, if_match: write.if_match.clone() });
    submit(&api, &caller, write, command).await.or_else(|problem| missing(&caller, R::ENTITY, problem))
}

pub(super) async fn read<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Named(target): Named,
    headers: HeaderMap,
) -> Answer {
    let entity = R::ENTITY;
    let stored = match api.store.record(caller.account, entity, &target).await? {
        None => return missing(&caller, entity, Problem::missing(entity.name())),
        Some(stored) if stored.deleted => return missing(&caller, entity, gone(entity, stored.version.0)),
        Some(stored) => stored,
    };
    // What a record shows of others may change without it: then its version says too little.
    if extract::has_version(&headers, stored.version) && !has_links(entity, &stored.record) {
        return Ok(envelope::not_modified(stored.version));
    }
    let message = format!("The {} was found.", entity.name());
    let mut records = present(&api.store, caller.account, entity, vec![stored]).await?;
    let stored = records.pop().ok_or_else(|| Problem::missing(entity.name()))?;
    Ok(envelope::record(StatusCode::OK, &message, &stored.record, stored.version))
}

async fn submit(api: &Api, caller: &Caller, write: Write, command: Command) -> Answer {
    // The body has become the command; what waits in a lane need not hold it.
    let Write { body, idempotency, traceparent, .. } = write;
    let bytes = body.len();
    drop(body);
    let (account, origin) = (caller.account, Arc::clone(&caller.origin));
    let order = Order { account, command, origin, idempotency, traceparent, bytes };
    let receipt = api.lanes.submit(order).await?;
    Ok(answer(&receipt))
}

fn answer(receipt: &Receipt) -> Response {
    let (status, verb) = match receipt.done.what {
        What::Created => (StatusCode::CREATED, "was created"),
        What::Updated => (StatusCode::OK, "was updated"),
        What::Unchanged => (StatusCode::OK, "is already as requested; nothing was changed"),
        What::Deleted => (StatusCode::OK, "was deleted"),
    };
    let message = format!("The {} {verb}.", receipt.done.entity.name());
    let mut response = envelope::record(status, &message, &receipt.record, receipt.done.version);
    if receipt.replayed {
        response.headers_mut().insert(REPLAYED, hyper::header::HeaderValue::from_static("true"));
    }
    response
}

/// What the account wants to hear where a record is not there: a problem, or a success without data.
fn missing(caller: &Caller, entity: Entity, problem: Problem) -> Answer {
    if caller.on_missing == OnMissing::Fail || !problem.is_missing_record() {
        return Err(problem);
    }
    let message = format!("No matching {} was found; nothing was changed.", entity.name());
    Ok(envelope::success(StatusCode::OK, &message, "null", &json!({})))
}
