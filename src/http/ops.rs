//! `/metrics`, `/livez`, `/readyz`: for operators, on a listener of their own.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::Api;
use super::problem::Problem;

pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    match api.metrics.render() {
        Ok(text) => {
            let mut response = text.into_response();
            let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        Err(error) => {
            tracing::error!(error = %error, "metrics cannot be rendered");
            Problem::unavailable("The metrics cannot be rendered.").into_response()
        }
    }
}

/// The process runs.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Requests can be carried out: the database answers, no stop is under way and no background task has failed. NATS may be away: what is committed
/// then is published when it is back.
pub(super) async fn ready(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    if api.stop.is_cancelled() {
        return Err(Problem::unavailable("The service is stopping."));
    }
    if api.failed.is_cancelled() {
        return Err(Problem::unavailable("A background task has failed. See the log, and restart the service."));
    }
    api.store.ping().await?;
    Ok(if api.broker.is_connected() { "ready\n" } else { "ready, without NATS\n" })
}
