//! Responses in the envelope `{"success", "message", "data", "meta"}`, around data that is JSON text already.

use std::fmt::Display;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue};
use serde::Serialize;
use serde_json::json;

use super::problem::Problem;
use crate::domain::Seq;

/// A successful response. `message` is one plain sentence; `data` is JSON text, and so is `meta` when it is displayed.
pub(in crate::http) fn success(status: StatusCode, message: &str, data: &str, meta: &impl Display) -> Response {
    json_text(status, text(message, data, meta))
}

/// The body of a successful response.
pub(in crate::http) fn text(message: &str, data: &str, meta: &impl Display) -> String {
    // The data is not parsed: it is the text that was stored when the record's event was appended.
    let message = json!(message);
    format!(r#"{{"success":true,"message":{message},"data":{data},"meta":{meta}}}"#)
}

/// The body of a successful response with a list of items that are JSON text. Each item is copied once.
pub(in crate::http) fn list<'a>(
    message: &str,
    items: impl Iterator<Item = &'a [u8]> + Clone,
    meta: &impl Display,
) -> Vec<u8> {
    let (message, meta) = (json!(message).to_string(), meta.to_string());
    let length: usize = items.clone().map(|item| item.len() + 1).sum();
    let mut body = Vec::with_capacity(length + message.len() + meta.len() + 64);
    for part in [r#"{"success":true,"message":"#, &message, r#","data":["#] {
        body.extend_from_slice(part.as_bytes());
    }
    for (index, item) in items.enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(item);
    }
    for part in [r#"],"meta":"#, &meta, "}"] {
        body.extend_from_slice(part.as_bytes());
    }
    body
}

/// A response without the envelope.
pub(in crate::http) fn bare(body: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_string(body).map_err(|error| {
        tracing::error!(error = %error, "encode response failed");
        Problem::internal()
    })?;
    Ok(json_text(StatusCode::OK, body))
}

/// A response whose body is JSON text.
pub(in crate::http) fn json_text(status: StatusCode, body: String) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A successful response whose body was made by [`list`].
pub(in crate::http) fn json_bytes(body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A successful response with one record, and its version as the entity tag.
pub(in crate::http) fn record(
    status: StatusCode,
    message: &str,
    data: &str,
    version: Seq,
    meta: &impl Display,
) -> Response {
    tagged(success(status, message, data, meta), version)
}

/// 304: the client has this version already.
pub(in crate::http) fn not_modified(version: Seq) -> Response {
    tagged(StatusCode::NOT_MODIFIED.into_response(), version)
}

fn tagged(mut response: Response, version: Seq) -> Response {
    // Quotes and digits are always valid in a header.
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}
