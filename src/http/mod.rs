//! The Secure API over HTTP.
//!
//! The list of routes stands in `operations`, and `openapi` documents it. A resource is a file; what they share stands in
//! `extract` (requests), `envelope` (answers) and `problem` (errors); `samples` answer the test credentials. Nothing
//! that matters happens in a handler after its command was submitted. It knows nothing of SQL or NATS.

mod asyncapi;
mod auth;
mod authenticator;
mod brand;
mod change_stream;
mod changes;
mod closing;
mod conditions;
mod docs;
mod endpoints;
mod envelope;
mod exchange;
mod extract;
mod head;
mod idempotency;
mod in_flight;
mod limits;
mod lists;
mod marketing;
mod meta;
mod openapi;
mod operations;
mod ops;
mod origin;
mod pace;
mod peers;
mod present;
mod problem;
mod projects;
mod records;
mod replays;
mod samples;
pub mod server;
mod sessions;
mod socket;
mod trace;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use hyper::header::{ALLOW, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use self::authenticator::Authenticator;
use self::brand::Brands;
use self::docs::Assets;
use self::in_flight::InFlight;
use self::lists::Walks;
use self::openapi::Documents;
use self::operations::Methods;
use self::problem::Problem;
pub use self::sessions::KeyCheck;
use self::sessions::Sessions;
use crate::broker::Broker;
use crate::clock::{self, Clock};
use crate::command::Lanes;
use crate::config::Config;
use crate::feed::Feed;
use crate::keys::LastUsed;
use crate::metrics::Metrics;
use crate::push::address::AddressPolicy;
use crate::push::ping::Pinger;
use crate::quota::Ledger;
use crate::secrets::MasterKeys;
use crate::store::Store;

/// The path that every route of the API stands below.
pub const BASE: &str = "/secure-api";

/// Finding out who calls and whether they may takes no longer than this, or the request ends.
const ADMISSION: Duration = Duration::from_secs(10);

/// What handlers need.
pub struct Api {
    config: Config,
    lanes: Lanes,
    store: Store,
    feed: Feed,
    broker: Broker,
    ledger: Ledger,
    last_used: LastUsed,
    clock: Clock,
    metrics: Metrics,
    policy: Arc<AddressPolicy>,
    pinger: Arc<Pinger>,
    masters: MasterKeys,
    authenticator: Authenticator,
    sessions: Arc<Sessions>,
    in_flight: Arc<InFlight>,
    walks: Walks,
    brands: Brands,
    assets: Assets,
    documents: Documents,
    methods: Methods,
    /// Long answers end when this is cancelled.
    stop: CancellationToken,
}

/// What an [`Api`] is made of.
#[expect(missing_docs, reason = "the names say it")]
pub struct Parts {
    pub config: Config,
    pub lanes: Lanes,
    pub store: Store,
    pub feed: Feed,
    pub broker: Broker,
    pub ledger: Ledger,
    pub last_used: LastUsed,
    pub clock: Clock,
    pub metrics: Metrics,
    pub policy: Arc<AddressPolicy>,
    pub pinger: Arc<Pinger>,
    pub stop: CancellationToken,
}

impl Api {
    /// The state of the routes.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, lanes, store, feed, broker, ledger, last_used, clock, metrics, policy, pinger, stop } =
            parts;
        let authenticator = Authenticator::new(store.clone(), &config.brand.slug);
        let sessions = Sessions::new(config.feed.clone(), metrics.clone());
        let in_flight = InFlight::new(&config.feed, metrics.clone());
        let masters = MasterKeys::new(&config.secrets.master_keys);
        let walks = Walks::new();
        let brands = Brands::new(store.clone(), config.brand.shown());
        let assets = Assets::new();
        let (documents, methods) = (Documents::new(), Methods::new());
        Arc::new(Self {
            config,
            lanes,
            store,
            feed,
            broker,
            ledger,
            last_used,
            clock,
            metrics,
            policy,
            pinger,
            masters,
            authenticator,
            sessions,
            in_flight,
            walks,
            brands,
            assets,
            documents,
            methods,
            stop,
        })
    }
}

/// The API's routes.
pub fn api(api: &Arc<Api>) -> Router {
    let (calls, uncounted) = operations::routers();
    let calls = calls.layer(middleware::from_fn_with_state(Arc::clone(api), auth::authenticate));
    let uncounted = uncounted.layer(middleware::from_fn_with_state(Arc::clone(api), auth::authenticate_uncounted));
    let public = Router::new()
        .route("/swagger", get(docs::page))
        .route("/swagger/", get(docs::page))
        .route("/swagger/json-file", get(openapi::serve))
        .route("/swagger/assets/{name}", get(docs::asset))
        .route("/asyncapi.json", get(docs::events));
    Router::new()
        .nest(BASE, calls.merge(uncounted).merge(public))
        .fallback(|| async { Problem::no_route() })
        .layer(middleware::from_fn_with_state(Arc::clone(api), finish))
        .with_state(Arc::clone(api))
}

/// The routes of operators, on a listener of their own.
pub fn ops(api: &Arc<Api>) -> Router {
    Router::new()
        .route("/metrics", get(ops::metrics))
        .route("/livez", get(ops::alive))
        .route("/readyz", get(ops::ready))
        .fallback(|| async { Problem::no_route() })
        .layer(middleware::from_fn_with_state(Arc::clone(api), finish))
        .with_state(Arc::clone(api))
}

/// The outermost layer: heads that can be read in one way only, one deadline, one count, and problems get their bodies.
async fn finish(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let began = clock::instant();
    let method = known_method(request.method());
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    // Paths that no route matches are one label: they are anybody's to invent.
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let (parts, body) = request.into_parts();
    let allow = if parts.method == Method::OPTIONS { api.methods.of(route, &path) } else { None };
    let mut response = match (head::check(&parts, &api.config.http), allow) {
        (Err(problem), _) => problem.render(&path),
        (Ok(()), Some(allow)) => options(allow),
        (Ok(()), None) => {
            let deadline = Duration::from_secs(api.config.http.request_timeout_s) + ADMISSION;
            match tokio::time::timeout(deadline, next.run(Request::from_parts(parts, body))).await {
                Ok(response) => render(response, &path),
                Err(_) => Problem::too_slow().render(&path),
            }
        }
    };
    // No answer is anything but what its content type says.
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    api.metrics.http_requests_total.with_label_values(&[route, method, response.status().as_str()]).inc();
    api.metrics.http_request_seconds.with_label_values(&[route]).observe(began.elapsed().as_secs_f64());
    response
}

/// The answer to OPTIONS: no keys are asked for and no call is counted. No other origin is promised anything, so it has
/// nothing of CORS.
fn options(allow: &HeaderValue) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow.clone());
    response
}

/// A method as a label: any token is a method, and labels are not for callers to invent.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    known.into_iter().find(|known| method == known).unwrap_or("other")
}

fn render(mut response: Response, path: &str) -> Response {
    match Problem::of(&mut response) {
        Some(problem) => {
            let mut rendered = problem.render(path);
            // What the layers in between put on the bare answer stays.
            for (name, value) in response.headers() {
                rendered.headers_mut().entry(name).or_insert_with(|| value.clone());
            }
            rendered
        }
        None => response,
    }
}
