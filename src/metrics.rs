//! What operators see: one struct, whose doc comments are the help texts at `/metrics`.
//!
//! Names follow Prometheus: base units, `_total` for counters. Labels never hold personal data; only the two
//! top-accounts gauges are labelled by account, and only where they are switched on.

use std::ops::Deref;
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

/// From a tenth of a millisecond to ten seconds.
const SECONDS: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const COMMANDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// How one kind of meter is made.
trait Meter: Sized + Clone + Collector + 'static {
    fn make(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> prometheus::Result<Self>;
}

macro_rules! meter_kinds {
    ($($kind:ty: |$opts:ident, $labels:ident, $buckets:ident| $make:expr;)*) => {$(
        impl Meter for $kind {
            fn make(name: &str, help: &str, $labels: &[&str], $buckets: &[f64]) -> prometheus::Result<Self> {
                let $opts = Opts::new(name, help);
                $make
            }
        }
    )*};
}

meter_kinds! {
    IntCounter: |opts, _labels, _buckets| Self::with_opts(opts);
    IntGauge: |opts, _labels, _buckets| Self::with_opts(opts);
    Gauge: |opts, _labels, _buckets| Self::with_opts(opts);
    IntCounterVec: |opts, labels, _buckets| Self::new(opts, labels);
    IntGaugeVec: |opts, labels, _buckets| Self::new(opts, labels);
    Histogram: |opts, _labels, buckets| Self::with_opts(HistogramOpts::from(opts).buckets(buckets.to_vec()));
    HistogramVec: |opts, labels, buckets| Self::new(HistogramOpts::from(opts).buckets(buckets.to_vec()), labels);
}

macro_rules! meters {
    ($($(#[doc = $help:literal])+ $name:ident: $kind:ty = ($labels:expr, $buckets:expr);)*) => {
        /// Every meter of the service.
        pub struct Meters {
            registry: Registry,
            $($(#[doc = $help])+ pub $name: $kind,)*
        }

        impl Meters {
            fn register() -> prometheus::Result<Self> {
                let registry = Registry::new();
                $(
                    let help = concat!($($help),+).trim();
                    let $name = <$kind as Meter>::make(concat!("unificus_", stringify!($name)), help, &$labels, $buckets)?;
                    registry.register(Box::new($name.clone()))?;
                )*
                Ok(Self { registry, $($name,)* })
            }
        }
    };
}

meters! {
    /// Requests that were answered.
    http_requests_total: IntCounterVec = (["route", "method", "status"], &[]);
    /// Seconds from a request's head to its answer's.
    http_request_seconds: HistogramVec = (["route"], SECONDS);
    /// Connections that are open.
    http_connections: IntGauge = ([], &[]);
    /// Connections that a bound ended, refused (`address`) or kept waiting (`connections`), by the bound.
    http_connections_bounded_total: IntCounterVec = (["bound"], &[]);
    /// Seconds that a caller waited for a database connection.
    pool_wait_seconds: Histogram = ([], SECONDS);
    /// Searches that PostgreSQL carries out: lists that may look at all records of an account.
    searches_running: IntGauge = ([], &[]);
    /// Seconds that a search waited for its turn.
    search_wait_seconds: Histogram = ([], SECONDS);
    /// Searches that were refused, since too many of the account's waited or theirs did not come up in time.
    searches_refused_total: IntCounter = ([], &[]);
    /// Reads that were ended in PostgreSQL, by why: `abandoned` by their caller, or `timeout`.
    statements_ended_total: IntCounterVec = (["reason"], &[]);
    /// Seconds that a named transaction took at the database.
    transaction_seconds: HistogramVec = (["name"], SECONDS);
    /// Seconds from a command's arrival in its lane to its answer.
    command_seconds: Histogram = ([], SECONDS);
    /// Commands that wait in a lane.
    lane_depth: IntGaugeVec = (["lane"], &[]);
    /// Accounts of a lane whose writes wait, since another transaction holds the lock on the account.
    lane_blocked_accounts: IntGaugeVec = (["lane"], &[]);
    /// Commands in one transaction.
    batch_commands: Histogram = ([], COMMANDS);
    /// Commands that ended, by how.
    commands_total: IntCounterVec = (["entity", "outcome"], &[]);
    /// Events that were appended to the log.
    events_appended_total: IntCounterVec = (["type"], &[]);
    /// Streams of changes that are open.
    feed_streams: IntGauge = ([], &[]);
    /// Requests that wait for changes.
    feed_long_polls: IntGauge = ([], &[]);
    /// Streams, long polls and pages that were refused, by the limit that they met.
    feed_refused_total: IntCounterVec = (["limit"], &[]);
    /// Keys that were deleted or expired while they had streams or requests waiting, which ended for that.
    feed_keys_gone_total: IntCounter = ([], &[]);
    /// Bytes of pages of changes and lists that are made or wait to be taken by their clients.
    feed_in_flight_bytes: IntGauge = ([], &[]);
    /// Shards that this replica owns.
    shards_owned: IntGauge = ([], &[]);
    /// Owner sessions of other replicas that this one ended, since their leases had run out.
    owner_sessions_ended_total: IntCounter = ([], &[]);
    /// Seconds that the clock was ahead of the database's at the start, or when it last had to be set by more than one.
    clock_ahead_seconds: Gauge = ([], &[]);
    /// Events in the log that are not in JetStream, as of the last sweep.
    relay_lag_events: IntGauge = ([], &[]);
    /// Seconds since the oldest event that this replica's relay read and could not yet publish; 0 when it has none.
    relay_lag_seconds: Gauge = ([], &[]);
    /// Accounts that this replica does not publish, since their logs lack events that were published: restored from a
    /// backup. See `unificus log restored`.
    relay_stopped_accounts: IntGauge = ([], &[]);
    /// Times that the stream held messages of an account that the log does not explain.
    relay_foreign_total: IntCounter = ([], &[]);
    /// Times that an account was published again from its log, by what the stream lacked.
    relay_refills_total: IntCounterVec = (["reason"], &[]);
    /// Publishes that NATS refused, since another message than the known one was the account's last.
    relay_fenced_total: IntCounter = ([], &[]);
    /// Events that the relay published.
    relay_published_total: IntCounter = ([], &[]);
    /// Whether NATS is connected.
    nats_connected: IntGauge = ([], &[]);
    /// Seconds from the decision on an event to JetStream's acknowledgement of it.
    write_to_nats_seconds: Histogram = ([], SECONDS);
    /// Events in the log that live push endpoints have not seen, as of the last sweep.
    push_lag_events: IntGauge = ([], &[]);
    /// Deliveries that were attempted, by how they ended.
    push_attempts_total: IntCounterVec = (["outcome"], &[]);
    /// Attempts that are missing in the attempt log, since Postgres did not take them in time.
    push_attempts_unlogged_total: IntCounter = ([], &[]);
    /// Places of push endpoints that Postgres did not take; each is kept and tried again.
    push_saves_failed_total: IntCounter = ([], &[]);
    /// Endpoints that are being delivered to; one with nothing to do is not among them.
    push_runners: IntGauge = ([], &[]);
    /// Deliveries in flight.
    push_in_flight: IntGauge = ([], &[]);
    /// Seconds from the decision on an event to a webhook receiver's answer, for first attempts that succeeded.
    write_to_webhook_seconds: Histogram = ([], SECONDS);
    /// Authenticated calls by tier, and whether they count against the quota.
    quota_calls_total: IntCounterVec = (["tier", "outcome"], &[]);
    /// Calls that were given back to their accounts, since the replica that held them ended without answering them.
    quota_expired_calls_total: IntCounter = ([], &[]);
    /// Accounts by the share of the month's calls that they have used.
    quota_accounts: IntGaugeVec = (["band"], &[]);
    /// Calls of this month by one of the hundred accounts that used most of their quota.
    quota_used: IntGaugeVec = (["account"], &[]);
    /// Calls per month that such an account may make.
    quota_limit: IntGaugeVec = (["account"], &[]);
}

/// A count as a gauge shows it. A count beyond the gauge's range (9.2e18) is shown as its end, because nothing is decided
/// by a gauge.
#[must_use]
pub fn gauge_value(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Counts one in a gauge for as long as it lives.
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    /// Raises the gauge by one until the guard is dropped.
    #[must_use]
    pub fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The meters. Cloning shares them.
#[derive(Clone)]
pub struct Metrics(Arc<Meters>);

impl Deref for Metrics {
    type Target = Meters;

    fn deref(&self) -> &Meters {
        &self.0
    }
}

impl Metrics {
    /// Registers every meter, in a registry of its own.
    pub fn new() -> prometheus::Result<Self> {
        let meters = Meters::register()?;
        let process = prometheus::process_collector::ProcessCollector::for_self();
        meters.registry.register(Box::new(process))?;
        Ok(Self(Arc::new(meters)))
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The seconds of a named transaction.
    #[must_use]
    pub fn transaction_seconds(&self, name: &str) -> Histogram {
        self.0.transaction_seconds.with_label_values(&[name])
    }
}
