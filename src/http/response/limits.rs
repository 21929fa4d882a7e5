//! An account's limits as the fields of draft-ietf-httpapi-ratelimit-headers.

use axum::response::{IntoResponse as _, Response};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::problem::Problem;
use crate::quota::{RateLimitStatus, Window};

/// The names of the policies.
const BURST: &str = "burst";
const MONTH: &str = "month";

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Puts both fields on a response.
pub(in crate::http) fn show(status: &RateLimitStatus, headers: &mut HeaderMap) {
    let named = || [(BURST, status.burst)].into_iter().chain(status.month.map(|month| (MONTH, month)));
    let list = |item: fn(&str, Window) -> String| {
        named().map(|(name, window)| item(name, window)).collect::<Vec<_>>().join(", ")
    };
    let policy = list(|name, Window { limit, seconds, .. }| format!("\"{name}\";q={limit};w={seconds}"));
    let limit = list(|name, Window { remaining, reset_in, .. }| format!("\"{name}\";r={remaining};t={reset_in}"));
    for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
        // Digits and names are always valid in a header.
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
}

/// 429 for the calls of one second.
pub(in crate::http) fn refuse_burst(status: &RateLimitStatus) -> Response {
    let detail = format!("More than {} calls in one second.", status.burst.limit);
    refuse(BURST, detail, status, status.burst)
}

/// 429 for the calls of the month.
pub(in crate::http) fn refuse_month(status: &RateLimitStatus) -> Response {
    // A refusal for the month has the month's window; it is absent only from refusals for the burst.
    let window = status.month.unwrap_or(status.burst);
    refuse(MONTH, format!("All {} calls of this month are used.", window.limit), status, window)
}

/// 429, with the time to wait in `Retry-After`.
fn refuse(policy: &'static str, detail: String, status: &RateLimitStatus, window: Window) -> Response {
    let mut response = Problem::quota_exceeded(policy, detail, window.reset_in).into_response();
    show(status, response.headers_mut());
    response
}
