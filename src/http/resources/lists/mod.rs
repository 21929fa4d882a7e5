//! `/contacts`, `/companies`: pages of records, filtered and ordered by the query.
//!
//! A `nextPage` link carries the position at which its page begins (`cursor`). A client that follows the links gets
//! every record that exists throughout its walk exactly once, on any replica, whatever is created or deleted meanwhile
//! and however many clients walk, and every page costs the same. The exception is a record whose value in the list's
//! order changes during the walk: it may be listed twice or not at all. The default order, that of creation, has no
//! such values.
//!
//! A client that counts pages instead gets each page from the end of the one before it, where the replica has cached
//! that end for the client's key, else by an offset. Pages by offset are exact while no record is created or deleted.
//! The link to the previous page has a number only.

mod cursor;
mod page_links;
mod page_request;
mod past;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use moka::future::Cache;
use serde_json::json;
use serde_json::value::RawValue;

use self::cursor::After;
pub(in crate::http) use self::page_links::PageLinks;
use self::page_request::PageRequest;
use super::changes;
use super::company_fields::group_fields;
use super::meta;
use super::resolve_links::resolve_links;
use super::resource::Resource;
use crate::clock::Clock;
use crate::domain::{AccountId, Entity, ValidationErrors};
use crate::http::request::at::At;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::request::service_url::ServiceUrl;
use crate::http::response::envelope;
use crate::http::response::in_flight::InFlight;
use crate::http::response::problem::Problem;
use crate::store::Store;
use crate::store::lists::{CompanyRef, List, ListCount, ListFilter, Page, Position, Start};
use crate::store::records::StoredRecord;
use uuid::Uuid;

/// The state of the handlers of lists.
pub(in crate::http) struct ListState {
    pub(in crate::http) store: Store,
    pub(in crate::http) page_cursors: PageCursorCache,
    pub(in crate::http) in_flight: Arc<InFlight>,
}

pub(in crate::http) async fn list<R: Resource>(
    State(state): State<Arc<ListState>>,
    State(clock): State<Clock>,
    caller: Caller,
    service_url: ServiceUrl,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let links = PageLinks { service_url: &service_url, uri: &uri, query: &query };
    if let Some(at) = At::of(&query).map_err(changes::invalid)? {
        return past::show::<R>(&state, &clock, &caller, &links, at).await;
    }
    let (page_request, after) = read(R::ENTITY, caller.account, caller.key_id, &query)?;
    let mut page = match after {
        Some(after) => continued(&state.store, &page_request, after).await?,
        None => state.page_cursors.page(&state.store, &page_request).await?,
    };
    page.records = resolve_links(&state.store, caller.account, R::ENTITY, page.records).await?;
    group_fields(&state.store, caller.account, R::ENTITY, &mut page.records).await?;
    let attributes = meta::requested(&state.store, &caller, R::ENTITY, &query).await?;
    // Rows that are being read are bounded by the read connections. Responses that wait for their clients are bounded
    // here.
    let mut room = state.in_flight.room(caller.account, 0).await?;
    room.cover(page.records.iter().map(|stored| stored.record.len()).sum())?;
    Ok(show::<R>(&links, &page_request, page, attributes, |body| room.hold(body)))
}

/// Reads a query, or refuses it with every error in it. `after` takes precedence over `page`, and brings the number of
/// its page.
fn read(
    entity: Entity,
    account: AccountId,
    key_id: Uuid,
    query: &Query,
) -> Result<(PageRequest, Option<After>), Problem> {
    let mut errors = ValidationErrors::default();
    let mut page_request = PageRequest::read(entity, account, key_id, query, &mut errors);
    // A cursor is compared with the list by a digest, which needs a valid query.
    let after = query.get("after").filter(|_| errors.is_empty()).map(|text| After::decode(text, &page_request));
    let after = errors.take(after.transpose()).flatten();
    errors.into_result(())?;
    page_request.number = after.as_ref().map_or(page_request.number, |after| after.number);
    Ok((page_request, after))
}

/// The page after another one. 410 where the log was restored since that one: then the walk's `as_of` is void too.
async fn continued(store: &Store, page_request: &PageRequest, after: After) -> Result<Page, Problem> {
    let page = page(store, page_request, Start::After(after.position), Some(after.counted)).await?;
    let (before, now) = (after.counted.as_of, page.counted.as_of);
    if before.epoch != now.epoch || before.seq > now.seq {
        // A standby may be behind the server that had the page before; the primary is not.
        let head = store.head(page_request.account).await?.ok_or_else(Problem::unauthorized)?;
        changes::position(Some(before), head)?;
    }
    Ok(page)
}

async fn page(store: &Store, request: &PageRequest, start: Start, counted: Option<ListCount>) -> Result<Page, Problem> {
    let PageRequest { account, entity, order, size: limit, .. } = *request;
    let list =
        List { entity, filter: request.filter.clone(), order, start, limit, counted, max_count: None, max_read: None };
    Ok(store.page(account, &list).await?)
}

/// The response that [`list`] gives for an account with this many records, each of which `draw` makes up.
pub(in crate::http) fn sampled<R: Resource>(
    links: &PageLinks<'_>,
    account: AccountId,
    counted: ListCount,
    attributes: Option<Box<RawValue>>,
    mut draw: impl FnMut() -> Result<StoredRecord, Problem>,
) -> Result<Response, Problem> {
    if At::of(links.query).map_err(changes::invalid)?.is_some() {
        past::check(links.query)?;
    }
    let (page_request, _) = read(R::ENTITY, account, account.0, links.query)?;
    let before = (page_request.number - 1) * page_request.size;
    let here = (counted.total - before).clamp(0, page_request.size);
    let records = (0..here).map(|_| draw()).collect::<Result<_, _>>()?;
    let page = Page { records, more: before + here < counted.total, end: None, counted };
    Ok(show::<R>(links, &page_request, page, attributes, Into::into))
}

/// Renders a page. Records are copied once, into the body, from which `hold` makes the response's.
fn show<R: Resource>(
    links: &PageLinks<'_>,
    page_request: &PageRequest,
    page: Page,
    attributes: Option<Box<RawValue>>,
    hold: impl FnOnce(Vec<u8>) -> Bytes,
) -> Response {
    let (pagination, as_of) = (links.pagination(page_request, &page), json!(page.counted.as_of.to_string()));
    // Attributes are JSON text already, because a parsed object would lose their order.
    let attributes = attributes.map(|attributes| format!(r#","attributes":{attributes}"#)).unwrap_or_default();
    let meta = format!(r#"{{"pagination":{pagination},"as_of":{as_of}{attributes}}}"#);
    let body = envelope::list(R::LISTED, page.records.iter().map(|stored| stored.record.as_bytes()), &meta);
    envelope::json_bytes(hold(body))
}

/// The positions at which pages begin that clients are likely to request next.
pub(in crate::http) struct PageCursorCache {
    next: Cache<PageRequest, PageCursor>,
}

/// The position and the total of a page that was not requested yet.
#[derive(Clone)]
struct PageCursor {
    after: Position,
    counted: ListCount,
}

impl PageCursorCache {
    /// The time that a client may take from one page to the next.
    const TTL: Duration = Duration::from_mins(15);
    /// Bytes, estimated.
    const CAPACITY: u64 = 16 << 20;

    pub(in crate::http) fn new() -> Self {
        let next = Cache::builder().weigher(weight).max_capacity(Self::CAPACITY).time_to_live(Self::TTL).build();
        Self { next }
    }

    async fn page(&self, store: &Store, page_request: &PageRequest) -> Result<Page, Problem> {
        let page_cursor = self.next.get(page_request).await;
        let counted = page_cursor.as_ref().map(|page_cursor| page_cursor.counted);
        let after = page_cursor.map(|page_cursor| page_cursor.after);
        let start = match &after {
            Some(after) => Start::After(after.clone()),
            None => Start::Offset((page_request.number - 1) * page_request.size),
        };
        let page = page(store, page_request, start, counted).await?;
        // An empty page ends where it began, so that records created later appear on the page after it.
        if let Some(after) = page.end.clone().or(after) {
            let next = PageRequest { number: page_request.number + 1, ..page_request.clone() };
            self.next.insert(next, PageCursor { after, counted: page.counted }).await;
        }
        Ok(page)
    }
}

fn weight(page_request: &PageRequest, page_cursor: &PageCursor) -> u32 {
    let ListFilter { key, tag, company, text, .. } = &page_request.filter;
    let company = match company {
        Some(CompanyRef::Key(key)) => Some(key),
        Some(CompanyRef::Uid(_)) | None => None,
    };
    let texts = [key.as_ref(), tag.as_ref(), company, text.as_ref(), page_cursor.after.value.as_ref()];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    // Twice the entry's size, because the cache's own bookkeeping takes about as much.
    // The cache takes no entry that is larger than its capacity, so saturation only keeps a huge one out.
    u32::try_from(2 * (size_of::<PageRequest>() + size_of::<PageCursor>()) + texts).unwrap_or(u32::MAX)
}
