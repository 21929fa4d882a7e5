//! The Secure API over HTTP.
//!
//! `server` accepts a request, `request` reads and authenticates it, a handler of `resources` carries it out and
//! responds in the forms of `response`; `spec` has the list of operations and the documents made of it. This file puts
//! them together. The folder knows nothing of SQL or NATS.

mod request;
mod resources;
mod response;
pub mod server;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::request::admission::Admission;
use self::request::auth;
use self::request::authenticator::Authenticator;
use self::request::extract::BodyLimit;
use self::request::peer::TrustedProxies;
pub use self::request::sessions::KeyCheck;
use self::request::sessions::Sessions;
use self::resources::changes::FeedState;
use self::resources::lists::{ListState, PageCursorCache};
use self::resources::ops::{self, OpsState};
use self::resources::records::RecordsState;
use self::response::in_flight::InFlight;
use self::response::problem::Problem;
use self::server::allow::AllowedMethods;
use self::server::finish::{Finish, finish};
pub use self::spec::BASE;
use self::spec::brand::Brands;
use self::spec::docs::{self, Assets, Pages};
use self::spec::openapi::{self, Documents};
use self::spec::operations;
use self::spec::operations::state::HandlerState;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::command::Lanes;
use crate::config::Config;
use crate::feed::Feed;
use crate::keys::LastUsed;
use crate::metrics::Metrics;
use crate::push::service::EndpointService;
use crate::quota::QuotaLimiter;
use crate::store::Store;

/// The states of all routes and layers.
pub struct Api {
    handlers: HandlerState,
    admission: Arc<Admission>,
    finish: Arc<Finish>,
    pages: Arc<Pages>,
    documents: Arc<Documents>,
    ops: Arc<OpsState>,
}

/// The parts of the service that an [`Api`] is made of.
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
    pub endpoints: Arc<EndpointService>,
    /// Streams and waiting requests end when this is cancelled.
    pub stop: CancellationToken,
    /// Cancelled when a background task has panicked; the service is not ready after that.
    pub failed: CancellationToken,
}

impl Api {
    /// Makes the state of every route and layer.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { config, store, metrics, .. } = &parts;
        let authenticator = Authenticator::new(store.clone(), &config.brand.slug);
        let brands = Arc::new(Brands::new(store.clone(), config.brand.shown()));
        Self {
            handlers: handlers(&parts),
            finish: Arc::new(Finish {
                methods: AllowedMethods::new(operations::methods()),
                proxies: TrustedProxies::new(&config.http.trusted_proxies),
                request_timeout: Duration::from_secs(config.http.request_timeout_s),
                metrics: metrics.clone(),
            }),
            pages: Arc::new(Pages {
                brands: Arc::clone(&brands),
                assets: Assets::new(),
                burst_per_second: config.quota.burst_per_second,
                subject_root: config.nats.subject_root.clone(),
            }),
            documents: Arc::new(Documents::new(brands, authenticator.clone(), store.clone())),
            ops: Arc::new(OpsState {
                metrics: metrics.clone(),
                store: store.clone(),
                broker: parts.broker.clone(),
                stop: parts.stop.clone(),
                failed: parts.failed.clone(),
            }),
            admission: Arc::new(Admission {
                authenticator,
                limiter: parts.limiter.clone(),
                last_used: parts.last_used.clone(),
                store: store.clone(),
                metrics: metrics.clone(),
                request_timeout: Duration::from_secs(config.http.request_timeout_s),
                body_limit: BodyLimit(config.http.body_limit_bytes),
            }),
        }
    }

    /// The worker that ends the streams and long polls of keys that no longer work.
    #[must_use]
    pub fn key_check(&self) -> KeyCheck {
        KeyCheck::new(Arc::clone(&self.handlers.feed.sessions), Store::clone(&self.handlers.store))
    }
}

fn handlers(parts: &Parts) -> HandlerState {
    let Parts { config, lanes, store, feed, clock, metrics, .. } = parts;
    let in_flight = InFlight::new(&config.feed, metrics.clone());
    HandlerState {
        records: Arc::new(RecordsState { store: store.clone(), lanes: lanes.clone() }),
        lists: Arc::new(ListState {
            store: store.clone(),
            page_cursors: PageCursorCache::new(),
            in_flight: Arc::clone(&in_flight),
        }),
        feed: Arc::new(FeedState {
            feed: feed.clone(),
            sessions: Sessions::new(config.feed.clone(), metrics.clone()),
            in_flight,
            page_bytes: config.feed.page_bytes,
            stop: parts.stop.clone(),
        }),
        endpoints: Arc::clone(&parts.endpoints),
        store: Arc::new(store.clone()),
        clock: clock.clone(),
        body_limit: BodyLimit(config.http.body_limit_bytes),
    }
}

/// The API's routes.
pub fn api(api: &Api) -> Router {
    let (calls, uncounted) = operations::routers();
    let calls = calls.layer(middleware::from_fn_with_state(Arc::clone(&api.admission), auth::authenticate));
    let uncounted =
        uncounted.layer(middleware::from_fn_with_state(Arc::clone(&api.admission), auth::authenticate_uncounted));
    let operations = calls.merge(uncounted).with_state(api.handlers.clone());
    let pages = Router::new()
        .route("/swagger", get(docs::page))
        .route("/swagger/", get(docs::page))
        .route("/swagger/assets/{name}", get(docs::asset))
        .route("/asyncapi.json", get(docs::events))
        .with_state(Arc::clone(&api.pages));
    let document =
        Router::new().route("/swagger/json-file", get(openapi::serve)).with_state(Arc::clone(&api.documents));
    finished(api, Router::new().nest(BASE, operations.merge(pages).merge(document)))
}

/// The routes of operators, on a listener of their own.
pub fn ops(api: &Api) -> Router {
    let routes = Router::new()
        .route("/metrics", get(ops::metrics))
        .route("/livez", get(ops::alive))
        .route("/readyz", get(ops::ready))
        .with_state(Arc::clone(&api.ops));
    finished(api, routes)
}

/// Routes with the fallback and the outermost layer of both listeners.
fn finished(api: &Api, routes: Router) -> Router {
    let fallback = routes.fallback(|| async { Problem::no_route() });
    fallback.layer(middleware::from_fn_with_state(Arc::clone(&api.finish), finish))
}
