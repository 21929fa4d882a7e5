//! The head of a request, before anybody is asked what it wants: what no route takes is refused here.
//!
//! A field that says who calls, which request it is, or where a stream goes on stands once or not at all: of two lines a
//! proxy may have looked at the one and this service at the other.

use axum::http::request::Parts;
use hyper::header::{HOST, HeaderName, TRANSFER_ENCODING};
use hyper::{HeaderMap, Version};

use super::origin::Origin;
use crate::config::Http;
use crate::http::response::problem::Problem;

const CREDENTIALS: [HeaderName; 2] = [HeaderName::from_static("x-public-id"), HeaderName::from_static("x-secret-key")];

pub(in crate::http) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest path with its query, in bytes.
const MAX_TARGET: usize = 32 << 10;

/// Whether a request can be read in one way only.
pub(in crate::http) fn check(parts: &Parts, http: &Http) -> Result<(), Problem> {
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        return Err(Problem::long_target());
    }
    if parts.version == Version::HTTP_11 && !parts.headers.contains_key(HOST) {
        return Err(Problem::malformed("A request of HTTP/1.1 has a Host header."));
    }
    Origin::of(parts, http)?;
    for name in [IDEMPOTENCY_KEY, LAST_EVENT_ID] {
        only(&parts.headers, &name)?;
    }
    let is_twice = |name| parts.headers.get_all(name).iter().nth(1).is_some();
    if CREDENTIALS.iter().any(is_twice) {
        return Err(Problem::unauthorized());
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), _) => Err(Problem::unknown_coding()),
    }
}

/// The text of a field that stands at most once; a value that is no ASCII is refused and not passed over.
pub(in crate::http) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), more) = (lines.next(), lines.next()) else { return Ok(None) };
    if more.is_some() {
        return Err(Problem::malformed(format!("The header {name} stands more than once.")));
    }
    let text = line.to_str().map_err(|_| Problem::malformed(format!("The header {name} must be ASCII.")))?;
    Ok(Some(text))
}
