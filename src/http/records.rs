//! `/contact`, `/company`: create, read, update, delete, list.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value as Json, json};

use super::Api;
use super::auth::Caller;
use super::envelope;
use super::extract::{self, Named, Origin, PageNumber, Query, Write};
use super::present::{has_links, present};
use super::problem::{Problem, REPLAYED, gone};
use crate::clock;
use crate::command::{Order, Receipt};
use crate::contract::Cursor;
use crate::contract::input::{self, FreshUids};
use crate::contract::outcome::What;
use crate::domain::account::OnMissing;
use crate::domain::{Command, Delete, Entity, Invalid, Seq};
use crate::store::records::Filter;

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
    let mut records = present(&api.store, caller.account, entity, vec![stored]).await?;
    let stored = records.pop().ok_or_else(|| Problem::missing(entity.name()))?;
    Ok(found(entity, &stored.record, stored.version))
}

pub(super) fn found(entity: Entity, record: &str, version: Seq) -> Response {
    envelope::record(StatusCode::OK, &format!("The {} was found.", entity.name()), record, version)
}

pub(super) async fn list<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    origin: Origin,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Answer {
    let number = PageNumber::of(&query)?;
    let filter = filter(&query)?;
    let page = api.store.page(caller.account, R::ENTITY, &filter, number.number, number.size).await?;
    let records = present(&api.store, caller.account, R::ENTITY, page.rows).await?;
    let data: Vec<String> = records.into_iter().map(|stored| stored.record).collect();
    let as_of = Cursor { epoch: page.epoch, seq: page.as_of };
    Ok(listed(R::ENTITY, &data, envelope::pagination(&origin, &uri, &query, number, page.total), as_of))
}

pub(super) fn listed(entity: Entity, records: &[String], pagination: Json, as_of: Cursor) -> Response {
    let meta = json!({"pagination": pagination, "as_of": as_of.to_string()});
    let message = match entity {
        Entity::Contact => "Contacts were listed.",
        Entity::Company => "Companies were listed.",
    };
    envelope::success(StatusCode::OK, message, &format!("[{}]", records.join(",")), &meta)
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

pub(super) fn filter(query: &Query) -> Result<Filter, Problem> {
    let after = query.moment("createdMin");
    let before = query.moment("createdMax");
    match (after, before) {
        (Ok(Some(after)), Ok(Some(before))) if after >= before => {
            Err(Problem::invalid(&[Invalid::new("createdMin", "Must be before createdMax.")]))
        }
        (Ok(created_after), Ok(created_before)) => Ok(Filter { created_after, created_before }),
        (after, before) => {
            let errors: Vec<_> = [after.err(), before.err()].into_iter().flatten().collect();
            Err(Problem::invalid(&errors))
        }
    }
}
