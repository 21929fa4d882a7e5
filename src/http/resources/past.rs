//! `?at=`: the state that a record had at a position of the log.
//!
//! The record is named by what it is called now: its uid, or the email address or name that it has now. It is shown as its
//! event has it, so links keep the names that they had when they were made. A position beyond the log's end is refused,
//! because the response would be another one later.

use axum::response::Response;
use hyper::StatusCode;
use serde_json::Value as Json;
use serde_json::json;

use super::changes;
use super::company_fields::FieldGroups;
use super::meta;
use super::missing::missing;
use crate::clock::Clock;
use crate::contract::Cursor;
use crate::domain::{AccountId, Entity, Invalid, Seq};
use crate::http::request::at::{AT, At};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::response::envelope;
use crate::http::response::problem::{Problem, gone_record};
use crate::store::Store;
use crate::store::history::PastState;
use crate::store::records::StoredRecord;

/// Returns the position that a query names. 422 where the log does not reach it yet, 410 where a cursor is of a lost log.
pub(in crate::http) async fn position(
    store: &Store,
    clock: &Clock,
    account: AccountId,
    at: At,
) -> Result<Cursor, Problem> {
    let head = store.head(account).await?.ok_or_else(Problem::unauthorized)?;
    let seq = match at {
        At::Seq(seq) if seq > head.seq => {
            let detail = format!("Must not be beyond the end of the log, which is event {}.", head.seq);
            return Err(changes::invalid(Invalid::new(AT, detail)));
        }
        At::Seq(seq) => seq,
        At::Time(time) if time > clock.now() => {
            return Err(changes::invalid(Invalid::new(AT, "Must not be in the future.")));
        }
        At::Time(time) => store.seq_at(account, time).await?,
        At::Cursor(cursor) => changes::position(Some(cursor), head)?.unwrap_or(Seq::ZERO),
    };
    Ok(Cursor { epoch: head.epoch, seq })
}

/// Responds to a GET of one record as it was. `stored` is the record as it is, a tombstone included.
pub(super) async fn show(
    store: &Store,
    clock: &Clock,
    caller: &Caller,
    entity: Entity,
    stored: Option<StoredRecord>,
    query: &Query,
    at: At,
) -> Result<Response, Problem> {
    let Some(stored) = stored else { return missing(caller, entity, Problem::missing(entity.noun())) };
    let at = position(store, clock, caller.account, at).await?;
    let state = if stored.version <= at.seq {
        PastState::Version(stored)
    } else {
        store.past_state(caller.account, stored.uid, stored.version, at.seq).await?
    };
    let then = match state {
        PastState::Version(then) if then.deleted => {
            return missing(caller, entity, gone_record(entity, then.version, &then.record));
        }
        PastState::Version(then) => then,
        PastState::NotCreated => return missing(caller, entity, Problem::not_created(entity.noun())),
        PastState::TooFar => {
            let detail = "Lies too far back for this record, which has more than 10000 later events. Read its history, and \
                          give the seq of one of its events.";
            return Err(changes::invalid(Invalid::new(AT, detail)));
        }
    };
    let attributes = meta::requested(store, caller, entity, query).await?;
    let groups = FieldGroups::read(store, caller.account, entity, [&*then.record]).await?;
    let shown = groups.shown(caller.account, entity, &then.record)?;
    let message = format!("The {} was found as it was.", entity.noun());
    // Attributes are JSON text already, because a parsed object would lose their order.
    let attributes = attributes.map(|attributes| format!(r#","attributes":{attributes}"#)).unwrap_or_default();
    let meta = format!(r#"{{"as_of":{},"at":{}{attributes}}}"#, as_of(at), at.seq);
    Ok(envelope::record(StatusCode::OK, &message, &shown, then.version, &meta))
}

/// A cursor in `meta`.
pub(super) fn as_of(at: Cursor) -> Json {
    json!(at.to_string())
}
