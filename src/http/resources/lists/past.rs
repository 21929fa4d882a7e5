//! A list as it was at a position of the log, page by page.
//!
//! Filters and orders need the values of then, which no index has, so only the order of creation is served. A link pins
//! the position by its cursor, so that every page is of the same state, and a restored log ends the walk with 410.

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use uuid::Uuid;

use super::page_request::{PAGE_SIZE, page_size};
use super::{ListState, PageLinks};
use crate::clock::Clock;
use crate::contract::Cursor;
use crate::domain::{Invalid, Seq, Uid, ValidationErrors};
use crate::http::request::at::{AT, At};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::resources::company_fields::group_fields;
use crate::http::resources::past::{as_of, position};
use crate::http::resources::resource::Resource;
use crate::http::resources::{changes, meta};
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::store::past_lists::PastStart;

/// The version of a cursor's layout. Lists of live records have another one.
const LAYOUT: u8 = 2;

/// Parameters of lists that a list as it was does not have.
const REFUSED: [&str; 12] = [
    "page",
    "orderBy",
    "createdMin",
    "createdMax",
    "updatedMin",
    "email",
    "role",
    "tag",
    "tags",
    "company",
    "q",
    "idle",
];

/// A page of a list as it was, as a query asks for it.
struct PastRequest {
    start: PastStart,
    size: i64,
}

impl PastRequest {
    fn of(query: &Query) -> Result<Self, Problem> {
        let mut errors = ValidationErrors::default();
        let refused = REFUSED.into_iter().filter(|name| query.get(name).is_some());
        errors.extend(refused.map(|name| {
            Invalid::new(name, "Is not for a list with at, which has all records of then in the order of creation.")
        }));
        let size = errors.take(page_size(query)).unwrap_or(PAGE_SIZE);
        let start = errors.take(query.get("after").map_or(Ok(PastStart::FIRST), decode)).unwrap_or(PastStart::FIRST);
        Ok(errors.into_result(Self { start, size })?)
    }
}

/// Checks a query as [`show`] does.
pub(super) fn check(query: &Query) -> Result<(), Problem> {
    PastRequest::of(query).map(drop)
}

/// Responds with a page of a list as it was.
pub(super) async fn show<R: Resource>(
    state: &ListState,
    clock: &Clock,
    caller: &Caller,
    links: &PageLinks<'_>,
    at: At,
) -> Result<Response, Problem> {
    let PastRequest { start, size } = PastRequest::of(links.query)?;
    let at = position(&state.store, clock, caller.account, at).await?;
    let page = state.store.past_page(caller.account, R::ENTITY, at.seq, start, size).await?;
    let mut page = page.ok_or_else(|| changes::invalid(foreign()))?;
    group_fields(&state.store, caller.account, R::ENTITY, &mut page.records).await?;
    let attributes = meta::requested(&state.store, caller, R::ENTITY, links.query).await?;
    let mut room = state.in_flight.room(caller.account, 0).await?;
    room.cover(page.records.iter().map(|stored| stored.record.len()).sum())?;
    let pagination = json!({
        "pageSize": size,
        "totalPages": null,
        "totalItems": null,
        "currentPageNumber": null,
        "previousPage": null,
        "nextPage": page.next.map(|next| link(links, at, next)),
    });
    // Attributes are JSON text already, because a parsed object would lose their order.
    let attributes = attributes.map(|attributes| format!(r#","attributes":{attributes}"#)).unwrap_or_default();
    let meta = format!(r#"{{"pagination":{pagination},"as_of":{},"at":{}{attributes}}}"#, as_of(at), at.seq);
    let body = envelope::list(R::LISTED, page.records.iter().map(|stored| stored.record.as_bytes()), &meta);
    Ok(envelope::json_bytes(room.hold(body)))
}

fn link(links: &PageLinks<'_>, at: Cursor, next: PastStart) -> String {
    links.with(&[AT, "after"], [(AT, at.to_string()), ("after", encode(next))])
}

fn encode(PastStart { uid, from }: PastStart) -> String {
    let mut bytes = vec![LAYOUT];
    bytes.extend(uid.0.as_bytes());
    bytes.extend(from.0.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Result<PastStart, Invalid> {
    let bytes: Option<[u8; 25]> = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    let [LAYOUT, rest @ ..] = bytes.ok_or_else(foreign)? else { return Err(foreign()) };
    let (uid, from) = rest.split_at(16);
    let uid = Uuid::from_slice(uid).map_err(|_| foreign())?;
    let from = from.try_into().map(i64::from_be_bytes).map_err(|_| foreign())?;
    if from < 0 { Err(foreign()) } else { Ok(PastStart { uid: Uid(uid), from: Seq(from) }) }
}

fn foreign() -> Invalid {
    Invalid::new("after", "Must be taken from a nextPage link of this list.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_no_other_text_is() {
        let start = PastStart { uid: crate::clock::fresh_uid(), from: Seq(42) };
        assert_eq!(decode(&encode(start)), Ok(start));
        let backwards = encode(PastStart { from: Seq(-1), ..start });
        let other_layout = URL_SAFE_NO_PAD.encode([1; 25]);
        for text in ["", "x", &backwards, &other_layout, &Cursor { epoch: 1, seq: Seq(1) }.to_string()] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}
