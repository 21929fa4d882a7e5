//! Shared parts of the service that deliveries need.

use std::sync::Arc;

use super::attempts::AttemptLog;
use super::client::Client;
use super::concurrency::ConcurrencyLimiter;
use super::cursor_flusher::CursorFlusher;
use crate::clock::Clock;
use crate::command::Lanes;
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::traces::Tracer;

/// Shared by the supervisor, every endpoint's worker, pings and the application service. Made once, behind an `Arc`.
pub struct DeliveryContext {
    /// Sends requests.
    pub client: Arc<Client>,
    /// Whether deliveries of an account with a brand tell it as their user agent: not where another text is configured.
    pub has_branded_agents: bool,
    /// Reads endpoints, retry entries and events.
    pub store: Store,
    /// Pages of the log, from memory where it has them.
    pub feed: Feed,
    /// The database's clock.
    pub clock: Clock,
    /// Gauges and counters of deliveries.
    pub metrics: Metrics,
    /// Writes cursors.
    pub flusher: CursorFlusher,
    /// Writes attempts.
    pub attempts: AttemptLog,
    /// Limits deliveries in flight over all endpoints.
    pub limiter: Arc<ConcurrencyLimiter>,
    /// Seal and open secrets.
    pub masters: MasterKeys,
    /// Record the health of endpoints in their accounts' logs.
    pub lanes: Lanes,
    /// Records the spans of attempts.
    pub tracer: Tracer,
}
