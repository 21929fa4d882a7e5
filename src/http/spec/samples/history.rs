//! Histories of records.

use axum::extract::State;

use super::records::event;
use super::{EPOCH, HandlerResult, NOBODY, words};
use crate::clock::Clock;
use crate::contract::{Cursor, EncodedEvent};
use crate::domain::{Entity, Seq, Timestamp};
use crate::http::request::extract::{NamedTarget, Query};
use crate::http::resources::history::{self, HistoryRequest};
use crate::http::resources::projects::ProjectSelector;
use crate::http::resources::resource::Resource;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::store::history::HistoryPage;

pub(in crate::http) async fn history<R: Resource>(
    State(clock): State<Clock>,
    _named: NamedTarget,
    query: Query,
) -> HandlerResult {
    history_of(R::ENTITY, &query, clock.now())
}

pub(in crate::http) async fn project_history(
    State(clock): State<Clock>,
    _selector: ProjectSelector,
    query: Query,
) -> HandlerResult {
    history_of(Entity::Project, &query, clock.now())
}

/// A history of a few events, on one page.
fn history_of(entity: Entity, query: &Query, now: Timestamp) -> HandlerResult {
    let HistoryRequest { from: _, limit } = HistoryRequest::of(query)?;
    let events = (1..=words::number(1..=5)).rev().take(limit);
    let bodies = events
        .map(|seq| {
            EncodedEvent::encode(NOBODY, &event(entity, Seq(seq), now)).map(|(event, _)| event.text().to_owned())
        })
        .collect::<Result<_, _>>()
        .map_err(|error| {
            tracing::error!(error = %error, "encoding a sample failed");
            Problem::internal()
        })?;
    let page = HistoryPage { bodies, next: None };
    let body = history::render(&page, |seq| Cursor { epoch: EPOCH, seq }, entity)?;
    Ok(envelope::json_bytes(body.into()))
}
