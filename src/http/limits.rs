//! Where an account stands in its limits, as the fields of draft-ietf-httpapi-ratelimit-headers.

use axum::response::{IntoResponse as _, Response};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::problem::Problem;
use crate::quota::{RateLimitStatus, Window};

/// The policies' names.
pub(super) const BURST: &str = "burst";
pub(super) const MONTH: &str = "month";

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Puts both fields on an answer.
pub(super) fn show(standing: &RateLimitStatus, headers: &mut HeaderMap) {
    let named = || [(BURST, standing.burst)].into_iter().chain(standing.month.map(|month| (MONTH, month)));
    let list = |item: fn(&str, Window) -> String| {
        named().map(|(name, window)| item(name, window)).collect::<Vec<_>>().join(", ")
    };
    let policy = list(|name, Window { limit, seconds, .. }| format!("\"{name}\";q={limit};w={seconds}"));
    let limit = list(|name, Window { remaining, reset_in, .. }| format!("\"{name}\";r={remaining};t={reset_in}"));
    for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
        // Digits and names are always a header's text.
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
}

/// 429, with the time to wait.
pub(super) fn refuse(policy: &'static str, standing: &RateLimitStatus, window: Window) -> Response {
    let detail = if policy == MONTH {
        format!("All {} calls of this month are used.", window.limit)
    } else {
        format!("More than {} calls in one second.", window.limit)
    };
    let mut response = Problem::quota_exceeded(policy, detail, window.reset_in).into_response();
    show(standing, response.headers_mut());
    response
}
