//! `meta.pagination` and links to other pages of a list.

use hyper::Uri;
use serde_json::{Value as Json, json};

use super::cursor::After;
use super::page_request::PageRequest;
use crate::http::request::extract::Query;
use crate::http::request::service_url::ServiceUrl;
use crate::store::lists::Page;

/// The parts of links to other pages.
pub(in crate::http) struct PageLinks<'a> {
    pub(in crate::http) service_url: &'a ServiceUrl,
    pub(in crate::http) uri: &'a Uri,
    pub(in crate::http) query: &'a Query,
}

impl PageLinks<'_> {
    /// `meta.pagination`: always all six keys. `nextPage` follows from the rows and not from the total: while records
    /// are created and deleted, a walk may end before or after the page that the total makes the last.
    pub(super) fn pagination(&self, page_request: &PageRequest, page: &Page) -> Json {
        let PageRequest { size, number, .. } = *page_request;
        let total = page.counted.total.max(0);
        let counted = (total + size - 1) / size;
        // A client that stops at `totalPages` stops no sooner than one that follows the links.
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
        let page = ("page", number.to_string());
        self.with(&["page", "after"], [page].into_iter().chain(after.map(|after| ("after", after))))
    }

    /// A link to this list with other parameters in place of some.
    pub(super) fn with(
        &self,
        without: &[&str],
        parameters: impl IntoIterator<Item = (&'static str, String)>,
    ) -> String {
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(self.query.pairs().iter().filter(|(key, _)| !without.contains(&key.as_str())));
        pairs.extend_pairs(parameters);
        format!("{}{}?{}", self.service_url.0, self.uri.path(), pairs.finish())
    }
}

/// The cursor of the next page, for its link.
fn end(page_request: &PageRequest, page: &Page) -> Option<String> {
    let (position, counted) = (page.end.clone()?, page.counted);
    After { position, counted, number: page_request.number + 1 }.encode(page_request)
}
