//! What contacts and companies have in common: create, read, update, delete, list.

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use hyper::{HeaderMap, StatusCode, Uri};
use serde_json::json;

use super::Api;
use super::auth::Caller;
use super::envelope;
use super::extract::{self, Origin, PageNumber, Query, Write};
use super::present::present;
use super::problem::{Problem, REPLAYED, gone};
use crate::clock;
use crate::command::{Order, Receipt};
use crate::contract::Cursor;
use crate::contract::input::{self, FreshUids};
use crate::contract::outcome::What;
use crate::domain::account::OnMissing;
use crate::domain::{Command, Delete, Entity, Invalid};
use crate::store::records::Filter;

pub(super) async fn create(api: &Api, caller: &Caller, entity: Entity, write: Write) -> Result<Response, Problem> {
    let uids = FreshUids { own: clock::fresh_uid(), beside: clock::fresh_uid() };
    let command = input::create(entity, write.json()?, uids)?;
    submit(api, caller, write, command).await
}

pub(super) async fn update(
    api: &Api,
    caller: &Caller,
    entity: Entity,
    identifier: &str,
    write: Write,
) -> Result<Response, Problem> {
    let target = extract::target(identifier);
    let command = input::update(entity, target, write.if_match.clone(), write.json()?, clock::fresh_uid())?;
    submit(api, caller, write, command).await.or_else(|problem| missing(caller, entity, problem))
}

pub(super) async fn delete(
    api: &Api,
    caller: &Caller,
    entity: Entity,
    identifier: &str,
    write: Write,
) -> Result<Response, Problem> {
    let target = extract::target(identifier);
    let command = Command::Delete(Delete { entity, target, if_match: write.if_match.clone() });
    submit(api, caller, write, command).await.or_else(|problem| missing(caller, entity, problem))
}

pub(super) async fn read(
    api: &Api,
    caller: &Caller,
    entity: Entity,
    identifier: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let found = api.store.record(caller.account, entity, &extract::target(identifier)).await?;
    let stored = match found {
        None => return missing(caller, entity, Problem::missing(entity.name())),
        Some(stored) if stored.deleted => return missing(caller, entity, gone(entity, stored.version.0)),
        Some(stored) => stored,
    };
    if extract::has_version(headers, stored.version) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    let message = found_one(entity);
    let mut records = present(&api.store, caller.account, entity, vec![stored]).await?;
    let stored = records.pop().ok_or_else(|| Problem::missing(entity.name()))?;
    Ok(envelope::record(StatusCode::OK, message, &stored.record, stored.version))
}

pub(super) async fn list(
    api: &Api,
    caller: &Caller,
    entity: Entity,
    origin: &Origin,
    uri: &Uri,
    query: &Query,
) -> Result<Response, Problem> {
    let number = PageNumber::of(query)?;
    let filter = filter(query)?;
    let page = api.store.page(caller.account, entity, &filter, number.number, number.size).await?;
    let records = present(&api.store, caller.account, entity, page.rows).await?;
    let data: Vec<String> = records.into_iter().map(|stored| stored.record).collect();
    let meta = json!({
        "pagination": envelope::pagination(origin, uri, query, number, page.total),
        "as_of": Cursor { epoch: page.epoch, seq: page.as_of }.to_string(),
    });
    let message = match entity {
        Entity::Contact => "Contacts were listed.",
        Entity::Company => "Companies were listed.",
    };
    Ok(envelope::success(StatusCode::OK, message, &format!("[{}]", data.join(",")), &meta))
}

async fn submit(api: &Api, caller: &Caller, write: Write, command: Command) -> Result<Response, Problem> {
    let order = Order {
        account: caller.account,
        command,
        origin: Arc::clone(&caller.origin),
        idempotency: write.idempotency,
        traceparent: write.traceparent,
        bytes: write.body.len(),
    };
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
fn missing(caller: &Caller, entity: Entity, problem: Problem) -> Result<Response, Problem> {
    if caller.on_missing == OnMissing::Fail || !problem.is_missing_record() {
        return Err(problem);
    }
    let message = format!("No matching {} was found; nothing was changed.", entity.name());
    Ok(envelope::success(StatusCode::OK, &message, "null", &json!({})))
}

fn found_one(entity: Entity) -> &'static str {
    match entity {
        Entity::Contact => "The contact was found.",
        Entity::Company => "The company was found.",
    }
}

fn filter(query: &Query) -> Result<Filter, Problem> {
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
