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
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::response::Response;
use hyper::Uri;
use moka::future::Cache;
use serde_json::{Value as Json, json};

use self::turn::Turn;
use super::auth::Caller;
use super::extract::{Origin, Query};
use super::present::present;
use super::problem::Problem;
use super::records::Resource;
use super::{Api, envelope, meta};
use crate::domain::AccountId;
use crate::store::lists::{Counted, Filter, Named, Page, Position, Start};
use crate::store::records::Stored;

pub(super) async fn list<R: Resource>(
    State(api): State<Arc<Api>>,
    caller: Caller,
    origin: Origin,
    OriginalUri(uri): OriginalUri,
    query: Query,
) -> Result<Response, Problem> {
    let (turn, after) = Turn::read(R::ENTITY, caller.account, caller.key_id, &query)?;
    let mut page = match after {
        Some(after) => turn.page(&api, Start::After(after.position), Some(after.counted)).await?,
        None => api.walks.page(&api, &turn).await?,
    };
    page.rows = present(&api.store, caller.account, R::ENTITY, page.rows).await?;
    let attributes = meta::wanted(&api, &caller, R::ENTITY, &query).await?;
    // What is read at a time is bounded by the connections that read; what waits for its client is not.
    let mut room = api.in_flight.room(caller.account, 0).await?;
    room.cover(page.rows.iter().map(|stored| stored.record.len()).sum())?;
    let links = Links { origin: &origin, uri: &uri, query: &query };
    Ok(show::<R>(&links, &turn, page, attributes, |body| room.hold(body)))
}

/// The answer that [`list`] gives where an account has so many records, each of which `draw` makes up.
pub(super) fn sampled<R: Resource>(
    links: &Links<'_>,
    account: AccountId,
    counted: Counted,
    attributes: Option<Json>,
    mut draw: impl FnMut() -> Stored,
) -> Result<Response, Problem> {
    let (turn, _) = Turn::read(R::ENTITY, account, account.0, links.query)?;
    let before = (turn.number - 1).saturating_mul(turn.size);
    let here = (counted.total - before).clamp(0, turn.size);
    let rows = (0..here).map(|_| draw()).collect();
    let page = Page { rows, more: before.saturating_add(here) < counted.total, end: None, counted };
    Ok(show::<R>(links, &turn, page, attributes, Into::into))
}

/// The records are copied once, into the body, which `hold` makes an answer's of.
fn show<R: Resource>(
    links: &Links<'_>,
    turn: &Turn,
    page: Page,
    attributes: Option<Json>,
    hold: impl FnOnce(Vec<u8>) -> Bytes,
) -> Response {
    let mut meta = json!({
        "pagination": links.pagination(turn, &page),
        "as_of": page.counted.as_of.to_string(),
    });
    if let Json::Object(members) = &mut meta {
        members.extend(attributes.map(|attributes| ("attributes".to_owned(), attributes)));
    }
    let body = envelope::list(R::LISTED, page.rows.iter().map(|stored| stored.record.as_bytes()), &meta);
    envelope::json_bytes(hold(body))
}

/// Where pages begin that were not asked for yet.
pub(super) struct Walks {
    next: Cache<Turn, Bookmark>,
}

/// What is known of a page before it is asked for.
#[derive(Clone)]
struct Bookmark {
    after: Position,
    counted: Counted,
}

impl Walks {
    /// A client may take so long from one page to the next.
    const REMEMBERED: Duration = Duration::from_mins(15);
    /// Bytes, about.
    const CAPACITY: u64 = 16 << 20;

    pub(super) fn new() -> Self {
        let next = Cache::builder().weigher(weight).max_capacity(Self::CAPACITY).time_to_live(Self::REMEMBERED).build();
        Self { next }
    }

    async fn page(&self, api: &Api, turn: &Turn) -> Result<Page, Problem> {
        let bookmark = self.next.get(turn).await;
        let counted = bookmark.as_ref().map(|bookmark| bookmark.counted);
        let after = bookmark.map(|bookmark| bookmark.after);
        let start = match &after {
            Some(after) => Start::After(after.clone()),
            None => Start::Offset((turn.number - 1).saturating_mul(turn.size)),
        };
        let page = turn.page(api, start, counted).await?;
        // An empty page ends where it began, so that what is added later is on the page after it.
        if let Some(after) = page.end.clone().or(after) {
            let next = Turn { number: turn.number + 1, ..turn.clone() };
            self.next.insert(next, Bookmark { after, counted: page.counted }).await;
        }
        Ok(page)
    }
}

fn weight(turn: &Turn, bookmark: &Bookmark) -> u32 {
    let Filter { key, tag, company, text, .. } = &turn.filter;
    let company = match company {
        Some(Named::Key(key)) => Some(key),
        Some(Named::Uid(_)) | None => None,
    };
    let texts = [key.as_ref(), tag.as_ref(), company, text.as_ref(), bookmark.after.value.as_ref()];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    // What the cache keeps of its own is about as much as what it is given.
    u32::try_from(2 * (size_of::<Turn>() + size_of::<Bookmark>()) + texts).unwrap_or(u32::MAX)
}

/// What links to other pages are made from.
pub(super) struct Links<'a> {
    pub(super) origin: &'a Origin,
    pub(super) uri: &'a Uri,
    pub(super) query: &'a Query,
}

impl Links<'_> {
    /// `meta.pagination`: all six keys, always. Whether there is a next page is said by the rows: while records come and
    /// go, a walk may end before or after the page that the total makes the last.
    fn pagination(&self, turn: &Turn, page: &Page) -> Json {
        let Turn { size, number, .. } = *turn;
        let total = page.counted.total.max(0);
        let counted = (total + size - 1) / size;
        // A client that stops at the last page by its number stops no sooner than one that follows the links.
        let pages = if page.more { counted.max(number + 1) } else { counted };
        let previous = (number > 1).then(|| self.link((number - 1).min(pages.max(1)), None));
        let next = page.more.then(|| self.link(number + 1, turn.end(page)));
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
