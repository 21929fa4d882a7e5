//! `/contact/{id}/history`: a record's events, the newest first.
//!
//! Each is the event of the feed without the record. A page begins at the record's version, or at the event that the page
//! before it names in `meta.cursor`. It is bounded by events and by bytes, and has at least one event. A deleted record
//! has its history by its uid.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value as Json, json};

use super::changes;
use super::lists::ListState;
use super::missing::missing_list;
use super::resource::Resource;
use crate::contract::Cursor;
use crate::contract::event::EventOutline;
use crate::domain::{Entity, Invalid, Seq, Target, Uid};
use crate::feed::PageLimit;
use crate::http::request::caller::Caller;
use crate::http::request::extract::{NamedTarget, Query};
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::store::StoreError;
use crate::store::history::HistoryPage;
use crate::store::records::StoredRecord;

/// The most bytes of events on a page, unless a single event is larger.
const PAGE_BYTES: usize = 1 << 20;

/// The page that a query asks for.
pub(in crate::http) struct HistoryRequest {
    /// The event with which the page begins; `None` for the record's latest one.
    pub(in crate::http) from: Option<Cursor>,
    pub(in crate::http) limit: usize,
}

impl HistoryRequest {
    pub(in crate::http) fn of(query: &Query) -> Result<Self, Problem> {
        let limit = query.number("limit", 1..=500, 100).map_err(changes::invalid)?;
        Ok(Self { from: changes::cursor(query.get("after"))?, limit })
    }
}

pub(in crate::http) async fn read<R: Resource>(
    State(state): State<Arc<ListState>>,
    caller: Caller,
    NamedTarget(target): NamedTarget,
    query: Query,
) -> Result<Response, Problem> {
    of_target(&state, &caller, R::ENTITY, &target, &query).await
}

/// Responds with the history of the record that a target names.
pub(super) async fn of_target(
    state: &ListState,
    caller: &Caller,
    entity: Entity,
    target: &Target,
    query: &Query,
) -> Result<Response, Problem> {
    let stored = state.store.record(caller.account, entity, target).await?;
    show(state, caller, entity, stored, query).await
}

/// Responds with a record's history.
pub(super) async fn show(
    state: &ListState,
    caller: &Caller,
    entity: Entity,
    stored: Option<StoredRecord>,
    query: &Query,
) -> Result<Response, Problem> {
    let HistoryRequest { from, limit } = HistoryRequest::of(query)?;
    let Some(StoredRecord { uid, version, .. }) = stored else {
        return missing_list(caller, entity, &meta(None));
    };
    let head = state.store.head(caller.account).await?.ok_or_else(Problem::unauthorized)?;
    let from = changes::position(from, head)?;
    let room = state.in_flight.room(caller.account, PAGE_BYTES).await?;
    let limit = PageLimit { events: limit, bytes: PAGE_BYTES };
    let page = state.store.history(caller.account, uid, from.unwrap_or(version), limit).await?;
    let page = page.ok_or_else(|| no_event(from, uid))?;
    let body = render(&page, |seq| Cursor { epoch: head.epoch, seq }, entity)?;
    Ok(envelope::json_bytes(room.hold(body)))
}

/// The event with which a page should begin is no event of the record.
fn no_event(from: Option<Seq>, uid: Uid) -> Problem {
    if from.is_none() {
        return StoreError::corrupt("event", "seq", uid, "the record's version has no event").into();
    }
    let detail = "Must be the meta.cursor of a page of this record's history.";
    changes::invalid(Invalid::new("after", detail))
}

/// Renders a page. `cursor` makes the cursor of the next page.
pub(in crate::http) fn render(
    page: &HistoryPage,
    cursor: impl Fn(Seq) -> Cursor,
    entity: Entity,
) -> Result<Vec<u8>, Problem> {
    let without_record =
        |body: &String| EventOutline::without_record(body).map(|[before, after]| [before, after].concat());
    let events: Vec<String> = page
        .bodies
        .iter()
        .map(without_record)
        .collect::<Result<_, _>>()
        .map_err(|error| StoreError::corrupt("event", "body", entity.name(), error))?;
    let meta = meta(page.next.map(cursor));
    Ok(envelope::list("The history was read.", events.iter().map(String::as_bytes), &meta))
}

/// `next` is the cursor of the next page.
fn meta(next: Option<Cursor>) -> Json {
    json!({"cursor": next.map(|cursor| cursor.to_string()), "has_more": next.is_some()})
}
