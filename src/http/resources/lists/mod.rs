//! `/contacts`, `/companies`: pages of records, filtered and ordered by the query.
//!
//! A `nextPage` link carries the place where its page begins (`cursor`). A client that follows the links is shown every
//! record that lives throughout its walk exactly once, on any replica, whatever comes and goes meanwhile and however
//! many others walk, and no page costs more than the first. The exception is a record whose value in the walk's order
//! changes: it is shown where it stands when the walk comes there, so it may be shown twice or not at all. The order of
//! creation, which is the default, has no such values.
//!
//! A client that counts pages instead is given each from where the one before it ended, as far as the replica remembers
//! that for its key, and else after as many rows as the number says: exact while nothing comes and goes, or while one
//! client at a time walks one replica. The link to the page before has a number only.

mod cursor;
mod page_request;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use hyper::Uri;
use moka::future::Cache;
use serde_json::{Value as Json, json};

use self::cursor::After;
use self::page_request::{PageRequest, keep};
use super::meta;
use super::resolve_links::resolve_links;
use super::resource::Resource;
use crate::domain::{AccountId, Entity, ValidationErrors};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Query;
use crate::http::request::origin::Origin;
use crate::http::response::envelope;
use crate::http::response::in_flight::InFlight;
use crate::http::response::problem::Problem;
use crate::store::Store;
use crate::store::lists::{CompanyRef, List, ListCount, ListFilter, Page, Position, Start};
use crate::store::records::StoredRecord;
use uuid::Uuid;

/// What the handlers of lists need.
pub(in crate::http) struct ListState {
    pub(in crate::http) store: Store,
    pub(in crate::http) page_cursors: PageCursorCache,
    pub(in crate::http) in_flight: Arc<InFlight>,
}

pub(in crate::http) async fn list<R: Resource>(
    State(state): State<Arc<ListState>>,
    caller: Caller,
    origin: Origin,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let (page_request, after) = read(R::ENTITY, caller.account, caller.key_id, &query)?;
    let mut page = match after {
        Some(after) => page(&state.store, &page_request, Start::After(after.position), Some(after.counted)).await?,
        None => state.page_cursors.page(&state.store, &page_request).await?,
    };
    page.rows = resolve_links(&state.store, caller.account, R::ENTITY, page.rows).await?;
    let attributes = meta::requested(&state.store, &caller, R::ENTITY, &query).await?;
    // What is read at a time is bounded by the connections that read; what waits for its client is not.
    let mut room = state.in_flight.room(caller.account, 0).await?;
    room.cover(page.rows.iter().map(|stored| stored.record.len()).sum())?;
    let links = PageLinks { origin: &origin, uri: &uri, query: &query };
    Ok(show::<R>(&links, &page_request, page, attributes, |body| room.hold(body)))
}

/// Reads a query, and refuses it with everything that is wrong with it. `after` takes precedence over `page`, and brings the
/// number of its page.
fn read(
    entity: Entity,
    account: AccountId,
    key_id: Uuid,
    query: &Query,
) -> Result<(PageRequest, Option<After>), Problem> {
    let mut errors = ValidationErrors::default();
    let mut page_request = PageRequest::read(entity, account, key_id, query, &mut errors);
    // The cursor names its list by a digest, which is compared with that of a valid request only.
    let after = query.get("after").filter(|_| errors.is_empty()).map(|text| After::decode(text, &page_request));
    let after = keep(after.transpose(), &mut errors);
    errors.refuse()?;
    page_request.number = after.as_ref().map_or(page_request.number, |after| after.number);
    Ok((page_request, after))
}

async fn page(store: &Store, request: &PageRequest, start: Start, counted: Option<ListCount>) -> Result<Page, Problem> {
    let PageRequest { account, entity, order, size: limit, .. } = *request;
    let list = List { entity, filter: request.filter.clone(), order, start, limit, counted };
    Ok(store.page(account, &list).await?)
}

/// The cursor of the page after this one, for its link.
fn end(page_request: &PageRequest, page: &Page) -> Option<String> {
    let (position, counted) = (page.end.clone()?, page.counted);
    After { position, counted, number: page_request.number + 1 }.encode(page_request)
}

/// The answer that [`list`] gives where an account has so many records, each of which `draw` makes up.
pub(in crate::http) fn sampled<R: Resource>(
    links: &PageLinks<'_>,
    account: AccountId,
    counted: ListCount,
    attributes: Option<Json>,
    mut draw: impl FnMut() -> StoredRecord,
) -> Result<Response, Problem> {
    let (page_request, _) = read(R::ENTITY, account, account.0, links.query)?;
    let before = (page_request.number - 1).saturating_mul(page_request.size);
    let here = (counted.total - before).clamp(0, page_request.size);
    let rows = (0..here).map(|_| draw()).collect();
    let page = Page { rows, more: before.saturating_add(here) < counted.total, end: None, counted };
    Ok(show::<R>(links, &page_request, page, attributes, Into::into))
}

/// The records are copied once, into the body, which `hold` makes an answer's of.
fn show<R: Resource>(
    links: &PageLinks<'_>,
    page_request: &PageRequest,
    page: Page,
    attributes: Option<Json>,
    hold: impl FnOnce(Vec<u8>) -> Bytes,
) -> Response {
    let mut meta = json!({
        "pagination": links.pagination(page_request, &page),
        "as_of": page.counted.as_of.to_string(),
    });
    if let Json::Object(members) = &mut meta {
        members.extend(attributes.map(|attributes| ("attributes".to_owned(), attributes)));
    }
    let body = envelope::list(R::LISTED, page.rows.iter().map(|stored| stored.record.as_bytes()), &meta);
    envelope::json_bytes(hold(body))
}

/// Where pages begin that were not asked for yet.
pub(in crate::http) struct PageCursorCache {
    next: Cache<PageRequest, PageCursor>,
}

/// What is known of a page before it is asked for.
#[derive(Clone)]
struct PageCursor {
    after: Position,
    counted: ListCount,
}

impl PageCursorCache {
    /// A client may take so long from one page to the next.
    const IDEMPOTENCY_TTL: Duration = Duration::from_mins(15);
    /// Bytes, about.
    const CAPACITY: u64 = 16 << 20;

    pub(in crate::http) fn new() -> Self {
        let next =
            Cache::builder().weigher(weight).max_capacity(Self::CAPACITY).time_to_live(Self::IDEMPOTENCY_TTL).build();
        Self { next }
    }

    async fn page(&self, store: &Store, page_request: &PageRequest) -> Result<Page, Problem> {
        let page_cursor = self.next.get(page_request).await;
        let counted = page_cursor.as_ref().map(|page_cursor| page_cursor.counted);
        let after = page_cursor.map(|page_cursor| page_cursor.after);
        let start = match &after {
            Some(after) => Start::After(after.clone()),
            None => Start::Offset((page_request.number - 1).saturating_mul(page_request.size)),
        };
        let page = page(store, page_request, start, counted).await?;
        // An empty page ends where it began, so that what is added later is on the page after it.
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
    // What the cache keeps of its own is about as much as what it is given.
    u32::try_from(2 * (size_of::<PageRequest>() + size_of::<PageCursor>()) + texts).unwrap_or(u32::MAX)
}

/// What links to other pages are made from.
pub(in crate::http) struct PageLinks<'a> {
    pub(in crate::http) origin: &'a Origin,
    pub(in crate::http) uri: &'a Uri,
    pub(in crate::http) query: &'a Query,
}

impl PageLinks<'_> {
    /// `meta.pagination`: all six keys, always. Whether there is a next page is said by the rows: while records come and
    /// go, a walk may end before or after the page that the total makes the last.
    fn pagination(&self, page_request: &PageRequest, page: &Page) -> Json {
        let PageRequest { size, number, .. } = *page_request;
        let total = page.counted.total.max(0);
        let counted = (total + size - 1) / size;
        // A client that stops at the last page by its number stops no sooner than one that follows the links.
        let pages = if page.more { counted.max(number + 1) } else { counted };
        let previous = (number > 1).then(|| self.link((number - 1).min(pages.max(1)), None));
        let next = page.more.then(|| self.link(number + 1, end(page_request, page)));
        json!({
            "pageSize": size,
            "totalPages": pages,
            "totalItems": total,
            "currentPageNumber": number,
            "previousPage": previous,
            "nextPage": next,
        })
    }

    fn link(&self, number: i64, after: Option<String>) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(self.query.pairs().iter().filter(|(key, _)| key != "page" && key != "after"));
        pairs.append_pair("page", &number.to_string());
        pairs.extend_pairs(after.map(|after| ("after", after)));
        format!("{}{}?{}", self.origin.0, self.uri.path(), pairs.finish())
    }
}
