//! The Secure API over HTTP.
//!
//! `server` accepts a request, `request` reads and authenticates it, a handler of `resources` carries it out and
//! responds in the forms of `response`. `spec` has the list of operations, and makes the router (`spec/operations/mod.rs`)
//! and the documents from it. This file puts them together. The folder knows nothing of SQL or NATS.

mod request;
mod resources;
mod response;
pub(crate) mod server;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use self::request::admission::Admission;
use self::request::auth;
pub(crate) use self::request::client_address::ClientAddress;
use self::request::extract::BodyLimit;
use self::request::peer::TrustedProxies;
pub(crate) use self::request::service_url::ServiceUrl;
pub(crate) use self::request::sessions::KeyCheck;
use self::request::sessions::Sessions;
use self::resources::changes::FeedState;
use self::resources::lists::{ListState, PageCursorCache};
use self::resources::ops::{self, OpsState};
use self::resources::records::RecordsState;
use self::resources::sync::over_nats;
use self::response::in_flight::InFlight;
use self::response::problem::Problem;
use self::server::allow::AllowedMethods;
use self::server::outer_layer::{OuterLayer, outer_layer};
pub(crate) use self::spec::BASE;
pub(crate) use self::spec::brand::{Branded, Brands};
use self::spec::docs::{self, Assets, Pages};
use self::spec::openapi::{self, Documents};
use self::spec::operations;
use self::spec::operations::state::{HandlerState, HandlerStates};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::command::Lanes;
use crate::config::Config;
use crate::erasure::ErasureService;
use crate::feed::Feed;
use crate::gateway::consumers::ConsumerService;
use crate::gateway::{GatewayStatus, Operations};
use crate::keys::{Authenticator, LastUsed};
use crate::metrics::Metrics;
use crate::push::service::EndpointService;
use crate::quota::QuotaLimiter;
use crate::store::Store;
use crate::traces::Tracer;
use crate::worker::Worker;

/// The states of all routes and layers.
pub(crate) struct Api {
    handler_state: HandlerState,
    admission: Arc<Admission>,
    outer_layer: Arc<OuterLayer>,
    pages: Arc<Pages>,
    documents: Arc<Documents>,
    ops: Arc<OpsState>,
    brands: Arc<Brands>,
}

/// The parts of the service that an [`Api`] needs.
pub(crate) struct Dependencies {
    pub config: Config,
    pub lanes: Lanes,
    pub store: Store,
    pub feed: Feed,
    pub broker: Broker,
    pub limiter: QuotaLimiter,
    pub last_used: LastUsed,
    pub clock: Clock,
    pub metrics: Metrics,
    pub tracer: Tracer,
    pub authenticator: Authenticator,
    pub gateway: GatewayStatus,
    pub endpoints: Arc<EndpointService>,
    pub consumers: Arc<ConsumerService>,
    pub erasures: ErasureService,
    /// Streams and waiting requests end when this is cancelled.
    pub stop: CancellationToken,
    /// Cancelled when a background task has panicked; the service is not ready after that.
    pub failed: CancellationToken,
}

impl Api {
    /// Makes the state of every route and layer.
    #[must_use]
    pub(crate) fn new(dependencies: Dependencies) -> Self {
        let Dependencies { config, store, metrics, .. } = &dependencies;
        let authenticator = dependencies.authenticator.clone();
        let brands = Arc::new(Brands::new(store.clone(), config.brand.shown()));
        Self {
            handler_state: handler_state(&dependencies),
            outer_layer: Arc::new(OuterLayer {
                methods: AllowedMethods::new(operations::methods()),
                proxies: TrustedProxies::new(&config.http.trusted_proxies),
                request_timeout: Duration::from_secs(config.http.request_timeout_s),
                metrics: metrics.clone(),
                tracer: dependencies.tracer.clone(),
            }),
            pages: Arc::new(Pages {
                brands: Arc::clone(&brands),
                assets: Assets::new(),
                quota: config.quota.clone(),
                subject_root: config.nats.subject_root.clone(),
            }),
            documents: Arc::new(Documents::new(Arc::clone(&brands), authenticator.clone(), store.clone())),
            brands,
            ops: Arc::new(OpsState {
                metrics: metrics.clone(),
                store: store.clone(),
                broker: dependencies.broker.clone(),
                gateway: dependencies.gateway.clone(),
                stop: dependencies.stop.clone(),
                failed: dependencies.failed.clone(),
            }),
            admission: Arc::new(Admission {
                authenticator,
                limiter: dependencies.limiter.clone(),
                tiers: config.quota.tiers.clone(),
                last_used: dependencies.last_used.clone(),
                store: store.clone(),
                metrics: metrics.clone(),
                request_timeout: Duration::from_secs(config.http.request_timeout_s),
                body_limit: BodyLimit(config.http.body_limit_bytes),
            }),
        }
    }

    /// The brands of host names.
    #[must_use]
    pub(crate) fn brands(&self) -> Arc<Brands> {
        Arc::clone(&self.brands)
    }

    /// The operations of partners, for commands that come over NATS.
    #[must_use]
    pub(crate) fn operations(&self) -> Operations {
        let records = Arc::clone(&self.handler_state.0.records);
        Operations::new(move |call| Box::pin(over_nats::execute(Arc::clone(&records), call)))
    }

    /// The worker that ends the streams and long polls of keys that no longer work.
    #[must_use]
    pub(crate) fn key_check(&self) -> KeyCheck {
        let states = &self.handler_state.0;
        KeyCheck::new(Arc::clone(&states.feed.sessions), Store::clone(&states.store))
    }

    /// The worker that forgets the credentials of idle accounts.
    #[must_use]
    pub(crate) fn idle_credentials(&self) -> impl Worker + use<> {
        self.admission.authenticator.idle_credentials()
    }
}

fn handler_state(dependencies: &Dependencies) -> HandlerState {
    let Dependencies { config, lanes, store, feed, clock, metrics, .. } = dependencies;
    let in_flight = InFlight::new(&config.feed, metrics.clone());
    HandlerState(Arc::new(HandlerStates {
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
            stop: dependencies.stop.clone(),
        }),
        endpoints: Arc::clone(&dependencies.endpoints),
        consumers: Arc::clone(&dependencies.consumers),
        erasures: dependencies.erasures.clone(),
        store: Arc::new(store.clone()),
        clock: clock.clone(),
        tiers: config.quota.tiers.clone(),
        body_limit: BodyLimit(config.http.body_limit_bytes),
    }))
}

/// The routes of the API and of its documents, and those of the console beside them.
pub(crate) fn api_router(api: &Api, console: Router) -> Router {
    let (charged, uncharged) = operations::routers();
    let charged = charged.layer(middleware::from_fn_with_state(Arc::clone(&api.admission), auth::authenticate));
    let uncharged =
        uncharged.layer(middleware::from_fn_with_state(Arc::clone(&api.admission), auth::authenticate_uncharged));
    let operations = charged.merge(uncharged).with_state(api.handler_state.clone());
    let pages = Router::new()
        .route("/swagger", get(docs::page))
        .route("/swagger/assets/{name}", get(docs::asset))
        .route("/asyncapi.json", get(docs::events))
        .with_state(Arc::clone(&api.pages));
    let document =
        Router::new().route("/swagger/json-file", get(openapi::serve)).with_state(Arc::clone(&api.documents));
    with_outer_layer(api, Router::new().nest(BASE, operations.merge(pages).merge(document)).merge(console))
}

/// The routes of operators, on a listener of their own.
pub(crate) fn ops_router(api: &Api) -> Router {
    let routes = Router::new()
        .route("/metrics", get(ops::metrics))
        .route("/livez", get(ops::alive))
        .route("/readyz", get(ops::ready))
        .with_state(Arc::clone(&api.ops));
    with_outer_layer(api, routes)
}

/// Routes with the fallback and the outermost layer of both listeners.
fn with_outer_layer(api: &Api, routes: Router) -> Router {
    let fallback = routes.fallback(|| async { Problem::no_route() });
    fallback.layer(middleware::from_fn_with_state(Arc::clone(&api.outer_layer), outer_layer))
}
