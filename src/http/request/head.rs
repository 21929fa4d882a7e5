//! The head of a request, before it is routed: a head that no route accepts is refused here.
//!
//! A field that names the caller, the request or a position of a stream stands once or not at all (see `header`).

use axum::http::request::Parts;
use hyper::Version;
use hyper::header::{HOST, HeaderName, TRANSFER_ENCODING};

use super::header::{IDEMPOTENCY_KEY, only};
use super::peer::TrustedProxies;
use super::service_url::ServiceUrl;
use crate::http::response::problem::Problem;

const CREDENTIALS: [HeaderName; 2] = [HeaderName::from_static("x-public-id"), HeaderName::from_static("x-secret-key")];

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest path with its query, in bytes. A longer one is refused with 414.
const MAX_TARGET: usize = 32 << 10;

/// Refuses a request that can be read in more than one way. Else returns its service URL.
pub(in crate::http) fn check(parts: &Parts, proxies: &TrustedProxies) -> Result<ServiceUrl, Problem> {
    if parts.uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        return Err(Problem::long_target());
    }
    if parts.version == Version::HTTP_11 && !parts.headers.contains_key(HOST) {
        return Err(Problem::malformed("A request of HTTP/1.1 has a Host header."));
    }
    let service_url = ServiceUrl::of(parts, proxies)?;
    for name in [IDEMPOTENCY_KEY, LAST_EVENT_ID] {
        only(&parts.headers, &name)?;
    }
    let is_twice = |name| parts.headers.get_all(name).iter().nth(1).is_some();
    if CREDENTIALS.iter().any(is_twice) {
        return Err(Problem::unauthorized());
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(service_url),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(service_url),
        (Some(_), _) => Err(Problem::unknown_coding()),
    }
}
