//! `/metrics`, `/livez`, `/readyz`: for operators, on a listener of their own.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::gateway::GatewayStatus;
use crate::http::response::problem::Problem;
use crate::metrics::Metrics;
use crate::store::Store;

/// The state of the routes of operators.
pub(in crate::http) struct OpsState {
    pub(in crate::http) metrics: Metrics,
    pub(in crate::http) store: Store,
    pub(in crate::http) broker: Broker,
    pub(in crate::http) gateway: GatewayStatus,
    /// Cancelled when the service begins to stop.
    pub(in crate::http) stop: CancellationToken,
    /// Cancelled when a background task has panicked.
    pub(in crate::http) failed: CancellationToken,
}

pub(in crate::http) async fn metrics(State(state): State<Arc<OpsState>>) -> Response {
    match state.metrics.render() {
        Ok(text) => {
            let mut response = text.into_response();
            let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, format);
            response
        }
        Err(error) => {
            tracing::error!(error = %error, "render metrics failed");
            Problem::unavailable("The metrics cannot be rendered.").into_response()
        }
    }
}

/// Responds while the process runs.
pub(in crate::http) async fn alive() -> &'static str {
    "alive\n"
}

/// Responds where requests can be carried out: the database can be reached, the service is not stopping and no background
/// task has panicked. NATS is not needed: committed events are published when it is back. The second line says whether
/// clients can log in to NATS, and why not.
pub(in crate::http) async fn ready(State(state): State<Arc<OpsState>>) -> Result<String, Problem> {
    if state.stop.is_cancelled() {
        return Err(Problem::unavailable("The service is stopping."));
    }
    if state.failed.is_cancelled() {
        return Err(Problem::unavailable("A background task has failed. See the log, and restart the service."));
    }
    state.store.ping().await?;
    let ready = if state.broker.is_connected() { "ready" } else { "ready, without NATS" };
    Ok(format!("{ready}\n{}\n", state.gateway))
}
