//! The mark of a response that is the stored one of an earlier request with the same idempotency key.

use axum::response::Response;
use hyper::header::HeaderValue;

use super::problem::{Problem, REPLAYED};

/// Marks a response as the stored one of an earlier request.
pub(in crate::http) fn mark_replayed(response: &mut Response) {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
}

/// Whether a response is the stored one of an earlier request. A problem that is not rendered yet has no headers, so it
/// is asked.
pub(in crate::http) fn is_replay(response: &Response) -> bool {
    let is_replayed_refusal = response.extensions().get::<Problem>().is_some_and(Problem::is_replayed);
    is_replayed_refusal || response.headers().contains_key(REPLAYED)
}
