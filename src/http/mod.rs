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
mod finish;
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
mod problem;
mod projects;
mod records;
mod replays;
mod resolve_links;
mod samples;
pub mod server;
mod sessions;
mod socket;
mod trace;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::authenticator::Authenticator;
use self::brand::Brands;
use self::docs::Assets;
use self::finish::finish;
use self::in_flight::InFlight;
use self::lists::PageCursorCache;
use self::openapi::Documents;
use self::operations::Methods;
use self::problem::Problem;
pub use self::sessions::KeyCheck;
use self::sessions::Sessions;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::command::Lanes;
use crate::config::Config;
use crate::feed::Feed;
use crate::keys::LastUsed;
use crate::metrics::Metrics;
use crate::push::address::AddressPolicy;
use crate::push::ping::Pinger;
use crate::quota::QuotaLimiter;
use crate::secrets::MasterKeys;
use crate::store::Store;

/// The path that every route of the API stands below.
pub const BASE: &str = "/secure-api";

/// What handlers need.
pub struct Api {
    config: Config,
    lanes: Lanes,
    store: Store,
    feed: Feed,
    broker: Broker,
    limiter: QuotaLimiter,
    last_used: LastUsed,
    clock: Clock,
    metrics: Metrics,
    policy: Arc<AddressPolicy>,
    pinger: Arc<Pinger>,
    masters: MasterKeys,
    authenticator: Authenticator,
    sessions: Arc<Sessions>,
    in_flight: Arc<InFlight>,
    page_cursors: PageCursorCache,
    brands: Brands,
    assets: Assets,
    documents: Documents,
    methods: Methods,
    /// Long answers end when this is cancelled.
    stop: CancellationToken,
    /// Cancelled when a background task has panicked.
    failed: CancellationToken,
}

/// What an [`Api`] is made of.
#[expect(missing_docs, reason = "the names say it")]
pub struct Parts {
    pub config: Config,
    pub lanes: Lanes,
    pub store: Store,
    pub feed: Feed,
    pub broker: Broker,
    pub limiter: QuotaLimiter,
    pub last_used: LastUsed,
    pub clock: Clock,
    pub metrics: Metrics,
    pub policy: Arc<AddressPolicy>,
    pub pinger: Arc<Pinger>,
    pub stop: CancellationToken,
    pub failed: CancellationToken,
}

impl Api {
    /// The state of the routes.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            config,
            lanes,
            store,
            feed,
            broker,
            limiter,
            last_used,
            clock,
            metrics,
            policy,
            pinger,
            stop,
            failed,
        } = parts;
        let authenticator = Authenticator::new(store.clone(), &config.brand.slug);
        let sessions = Sessions::new(config.feed.clone(), metrics.clone());
        let in_flight = InFlight::new(&config.feed, metrics.clone());
        let masters = MasterKeys::new(&config.secrets.master_keys);
        let page_cursors = PageCursorCache::new();
        let brands = Brands::new(store.clone(), config.brand.shown());
        let assets = Assets::new();
        let (documents, methods) = (Documents::new(), Methods::new());
        Arc::new(Self {
            config,
            lanes,
            store,
            feed,
            broker,
            limiter,
            last_used,
            clock,
            metrics,
            policy,
            pinger,
            masters,
            authenticator,
            sessions,
            in_flight,
            page_cursors,
            brands,
            assets,
            documents,
            methods,
            stop,
            failed,
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
