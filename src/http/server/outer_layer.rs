//! The outermost layer, around every route of both listeners.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use hyper::header::{ALLOW, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, StatusCode};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::allow::AllowedMethods;
use crate::clock;
use crate::http::request::client_address::ClientAddress;
use crate::http::request::head;
use crate::http::request::method::is_write;
use crate::http::request::peer::TrustedProxies;
use crate::http::request::request_id::{RequestId, X_REQUEST_ID};
use crate::http::request::trace;
use crate::http::response::problem::Problem;
use crate::metrics::Metrics;
use crate::traces::{ActiveSpan, SpanKind, Tracer};

/// The time for authentication and the reservation of a call, added to the handler's deadline. A request that takes longer
/// than both together is refused with 503.
const ADMISSION: Duration = Duration::from_secs(10);

/// The state of the outermost layer.
pub(in crate::http) struct OuterLayer {
    pub(in crate::http) methods: AllowedMethods,
    pub(in crate::http) proxies: TrustedProxies,
    /// The time for the handler. [`ADMISSION`] is added to it.
    pub(in crate::http) request_timeout: Duration,
    pub(in crate::http) metrics: Metrics,
    pub(in crate::http) tracer: Tracer,
}

/// Gives each request an id and a span, and its response the headers that every response has; counts the request.
pub(in crate::http) async fn outer_layer(
    State(state): State<Arc<OuterLayer>>,
    request: Request,
    next: Next,
) -> Response {
    let began = clock::instant();
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    // All paths without a route share one label, because a caller can invent paths.
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (mut parts, body) = request.into_parts();
    // From here on the request's trace context is that of its span, which commands and events carry on.
    let traced = state.tracer.root(trace::parent(&parts.headers).as_deref(), began);
    if let Some(traced) = &traced {
        trace::replace(&mut parts.headers, traced.context());
    }
    let id = RequestId::of(&parts, &state.proxies);
    let span = tracing::error_span!("request", request_id = id.as_str(), method, route, account = Empty);
    let request = Request::from_parts(parts, body);
    let mut response = respond(&state, route, request, next).instrument(span.clone()).await;
    // Forbids browsers to guess a content type other than the declared one.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().insert(X_REQUEST_ID, id.header());
    let (status, elapsed) = (response.status(), began.elapsed());
    let duration_ms = elapsed.as_secs_f64() * 1e3;
    span.in_scope(|| tracing::debug!(status = status.as_u16(), duration_ms, "request ended"));
    if let Some(traced) = traced {
        end_span(traced, method, route, &id, status);
    }
    state.metrics.http_requests_total.with_label_values(&[route, method, status.as_str()]).inc();
    state.metrics.http_request_seconds.with_label_values(&[route, method]).observe(elapsed.as_secs_f64());
    response
}

/// Ends the span of a request, with the names of OpenTelemetry's semantic conventions for HTTP servers.
fn end_span(span: ActiveSpan, method: &'static str, route: &str, id: &RequestId, status: StatusCode) {
    let attributes = vec![
        ("http.request.method", method.into()),
        ("http.route", route.into()),
        ("http.response.status_code", status.as_u16().into()),
        ("unificus.request_id", id.as_str().into()),
    ];
    span.end(format!("{method} {route}"), SpanKind::Server, status.is_server_error(), attributes);
}

/// Refuses ambiguous heads, answers OPTIONS, enforces the deadline and renders problems.
async fn respond(state: &OuterLayer, route: &str, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let (mut parts, body) = request.into_parts();
    let allow = if parts.method == Method::OPTIONS { state.methods.of(route, &path) } else { None };
    match (head::check(&parts, &state.proxies), allow) {
        (Err(problem), _) => problem.render(&path),
        (Ok(_), Some(allow)) => options(allow),
        (Ok(service_url), None) => {
            parts.extensions.insert(service_url);
            parts.extensions.insert(ClientAddress::of(&parts, &state.proxies));
            let writes = is_write(&parts.method);
            let deadline = state.request_timeout + ADMISSION;
            match tokio::time::timeout(deadline, next.run(Request::from_parts(parts, body))).await {
                Ok(response) => render(response, &path),
                Err(_) => Problem::too_slow(writes).render(&path),
            }
        }
    }
}

/// The response to OPTIONS: needs no keys and counts no call. It has no CORS headers, because no other origin is
/// allowed.
fn options(allow: &HeaderValue) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow.clone());
    response
}

/// A method as a label. Unknown methods share one, because a caller can invent methods.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}

fn render(mut response: Response, path: &str) -> Response {
    match Problem::of(&mut response) {
        Some(problem) => {
            let mut rendered = problem.render(path);
            // Headers that inner layers put on the bare response are kept.
            for (name, value) in response.headers() {
                rendered.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            rendered
        }
        None => response,
    }
}
