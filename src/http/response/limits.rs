//! An account's limits as the fields of draft-ietf-httpapi-ratelimit-headers.

use std::fmt::Write as _;

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
    show_windows(status.burst, Some(status.month), headers);
}

/// 429 for the calls of one second. The month is not shown, because the database was not queried.
pub(in crate::http) fn refuse_burst(window: Window) -> Response {
    let detail = format!("More than {} calls in one second.", window.limit);
    let mut response = refuse(BURST, detail, window);
    show_windows(Some(window), None, response.headers_mut());
    response
}

/// 429 for the calls of the month.
pub(in crate::http) fn refuse_month(status: &RateLimitStatus) -> Response {
    let detail = format!("All {} calls of this month are used.", status.month.limit);
    let mut response = refuse(MONTH, detail, status.month);
    show(status, response.headers_mut());
    response
}

/// 429, with the time to wait in `Retry-After`.
fn refuse(policy: &'static str, detail: String, window: Window) -> Response {
    Problem::quota_exceeded(policy, detail, window.reset_in).into_response()
}

fn show_windows(burst: Option<Window>, month: Option<Window>, headers: &mut HeaderMap) {
    let (mut policy, mut limit) = (String::with_capacity(64), String::with_capacity(64));
    for (name, window) in [(BURST, burst), (MONTH, month)] {
        let Some(Window { limit: calls, seconds, remaining, reset_in }) = window else { continue };
        let separator = if policy.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _written = write!(policy, "{separator}\"{name}\";q={calls};w={seconds}");
        let _written = write!(limit, "{separator}\"{name}\";r={remaining};t={reset_in}");
    }
    for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
        // Digits and names are always valid in a header.
        headers.extend(HeaderValue::try_from(value).ok().map(|value| (name, value)));
    }
}
