//! The metrics: one struct, whose doc comments are the help texts at `/metrics`.
//!
//! Names follow Prometheus: base units, `_total` for counters. Labels never hold personal data. Only the two gauges of the
//! top accounts have an account as a label, and only where they are switched on.

use std::ops::Deref;
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

/// From a tenth of a millisecond to ten seconds.
const SECONDS: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const COMMANDS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// A kind of meter.
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
    GaugeVec: |opts, labels, _buckets| Self::new(opts, labels);
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
    /// The version that runs; the value is always 1.
    build_info: IntGaugeVec = (["version"], &[]);
    /// Requests that were answered, by route, method and status.
    http_requests_total: IntCounterVec = (["route", "method", "status"], &[]);
    /// Seconds from a request's head to its response's head.
    http_request_seconds: HistogramVec = (["route", "method"], SECONDS);
    /// Open connections.
    http_connections: IntGauge = ([], &[]);
    /// Connections that a limit closed, refused (`address`) or delayed (`connections`), by limit.
    http_connections_bounded_total: IntCounterVec = (["bound"], &[]);
    /// Seconds of waiting for a database connection, by pool.
    pool_wait_seconds: HistogramVec = (["pool"], SECONDS);
    /// Statements that got no database connection in time, by pool.
    pool_refused_total: IntCounterVec = (["pool"], &[]);
    /// Searches that are running in PostgreSQL: lists that may read all records of an account.
    searches_running: IntGauge = ([], &[]);
    /// Seconds of a search's waiting for its turn.
    search_wait_seconds: Histogram = ([], SECONDS);
    /// Searches that were refused, because too many of the account were waiting or because they waited too long.
    searches_refused_total: IntCounter = ([], &[]);
    /// Reads that were cancelled in PostgreSQL, by reason: `abandoned` by their caller, or `timeout`.
    statements_ended_total: IntCounterVec = (["reason"], &[]);
    /// Seconds of a transaction at the database, by name.
    transaction_seconds: HistogramVec = (["name"], SECONDS);
    /// Seconds from a command's arrival in its lane to its result.
    command_seconds: Histogram = ([], SECONDS);
    /// Commands that are waiting in a lane, as of the last second.
    lane_depth: IntGaugeVec = (["lane"], &[]);
    /// Age in seconds of the oldest command of a lane that waits or is being executed, as of the last second; 0 without one.
    lane_oldest_command_seconds: GaugeVec = (["lane"], &[]);
    /// Commands that a lane took into a batch. A command of a locked account is counted again when it is retried.
    lane_commands_total: IntCounterVec = (["lane"], &[]);
    /// Accounts of a lane whose writes are waiting, because another transaction has locked the account.
    lane_blocked_accounts: IntGaugeVec = (["lane"], &[]);
    /// Commands per transaction.
    batch_commands: Histogram = ([], COMMANDS);
    /// Commands that ended, by entity and outcome.
    commands_total: IntCounterVec = (["entity", "outcome"], &[]);
    /// Events that were appended to the log, by type.
    events_appended_total: IntCounterVec = (["type"], &[]);
    /// Fields whose value is kept because two origins changed it one after the other, six times in a minute.
    loops_suspected_total: IntCounter = ([], &[]);
    /// Open streams of changes.
    feed_streams: IntGauge = ([], &[]);
    /// Requests that are waiting for changes.
    feed_long_polls: IntGauge = ([], &[]);
    /// Streams, long polls and pages that were refused, by limit.
    feed_refused_total: IntCounterVec = (["limit"], &[]);
    /// Keys that were deleted or expired while they had open streams or waiting requests, which were ended.
    feed_keys_gone_total: IntCounter = ([], &[]);
    /// 1 while readers get events from memory; 0 while this replica has no owner session, by which it learns of erasures, so
    /// that they read the log.
    feed_memory_used: IntGauge = ([], &[]);
    /// Bytes of pages of changes and lists that are being made or are waiting to be read by their clients.
    feed_in_flight_bytes: IntGauge = ([], &[]);
    /// Replicas that are alive, as this replica counts them; 0 while it has no owner session.
    replicas: IntGauge = ([], &[]);
    /// Shards that this replica owns.
    shards_owned: IntGauge = ([], &[]);
    /// Owner sessions of other replicas that this one ended, because their leases had expired.
    owner_sessions_ended_total: IntCounter = ([], &[]);
    /// Seconds by which this machine's clock is ahead of the database's; negative where it is behind. Stored times follow
    /// the database's clock in any case.
    clock_ahead_seconds: Gauge = ([], &[]);
    /// Events in the log that are not in JetStream, as of the last sweep.
    relay_lag_events: IntGauge = ([], &[]);
    /// Age in seconds of the oldest event that this replica's relay has read and not yet published; 0 without one.
    relay_lag_seconds: Gauge = ([], &[]);
    /// Accounts that this replica does not publish, because their logs lack published events after a restore from a
    /// backup. See `unificus log restored`.
    relay_stopped_accounts: IntGauge = ([], &[]);
    /// Checks that found messages of an account in the stream that are not in its log.
    relay_foreign_total: IntCounter = ([], &[]);
    /// Times that an account was published again from its log, by the messages that were missing.
    relay_refills_total: IntCounterVec = (["reason"], &[]);
    /// Publishes that NATS refused, because the account's last message was another one than the relay knew.
    relay_fenced_total: IntCounter = ([], &[]);
    /// Events that the relay published.
    relay_published_total: IntCounter = ([], &[]);
    /// 1 while NATS is connected, else 0.
    nats_connected: IntGauge = ([], &[]);
    /// 1 while JetStream responds and has the stream of events, as of the last check; else 0. Only a replica that owns shards
    /// checks it, every five seconds.
    jetstream_up: IntGauge = ([], &[]);
    /// 1 while the connection to the system account of NATS is up, else 0.
    nats_system_connected: IntGauge = ([], &[]);
    /// 1 while clients can log in to NATS with their keys, else 0.
    nats_gateway_on: IntGauge = ([], &[]);
    /// Logins to NATS that this replica answered, by outcome: `permitted`, `refused`, `failed` (the key could not be
    /// checked) or `unreadable`.
    nats_logins_total: IntCounterVec = (["outcome"], &[]);
    /// Connections of clients to NATS that this replica knows.
    nats_clients: IntGauge = ([], &[]);
    /// 1 while the lists of clients' connections to NATS can be read, so that those of deleted keys are ended; else 0.
    nats_clients_followed: IntGauge = ([], &[]);
    /// Connections to NATS that were ended, because their keys were deleted or had expired.
    nats_clients_ended_total: IntCounter = ([], &[]);
    /// Commands over NATS, by outcome: `executed`, or the reason of their refusal.
    nats_commands_total: IntCounterVec = (["outcome"], &[]);
    /// Commands over NATS that are being executed.
    nats_commands_in_flight: IntGauge = ([], &[]);
    /// Seconds from an event's time to its acknowledgement by JetStream.
    write_to_nats_seconds: Histogram = ([], SECONDS);
    /// Events in the log that active push endpoints have not processed, as of the last sweep.
    push_lag_events: IntGauge = ([], &[]);
    /// Push endpoints of all accounts, by state: `delivering`, `failing` (the last deliveries failed), `paused`, or
    /// `disabled` because their receivers responded 410.
    push_endpoints: IntGaugeVec = (["state"], &[]);
    /// Events that failed their whole schedule of deliveries and wait for the owner of their endpoint, of all accounts.
    push_parked_events: IntGauge = ([], &[]);
    /// Delivery attempts, by outcome.
    push_attempts_total: IntCounterVec = (["outcome"], &[]);
    /// Attempts that are missing in the attempt log, because PostgreSQL did not store them in time.
    push_attempts_unlogged_total: IntCounter = ([], &[]);
    /// Failed writes of push endpoints' cursors; each is retried.
    push_saves_failed_total: IntCounter = ([], &[]);
    /// Running workers of push endpoints; an endpoint without pending events has none.
    push_runners: IntGauge = ([], &[]);
    /// Deliveries in flight.
    push_in_flight: IntGauge = ([], &[]);
    /// Seconds from an event's time to the webhook receiver's response, for first attempts that succeeded.
    write_to_webhook_seconds: Histogram = ([], SECONDS);
    /// Authenticated calls, by tier and by whether they count against the quota.
    quota_calls_total: IntCounterVec = (["tier", "outcome"], &[]);
    /// Calls that were given back to their accounts, because their replica ended without answering them.
    quota_expired_calls_total: IntCounter = ([], &[]);
    /// Accounts, by tier and by the percentage of the month's calls that they have used.
    quota_accounts: IntGaugeVec = (["tier", "band"], &[]);
    /// Calls of this month, for the hundred accounts that used the largest share of their quota.
    quota_used: IntGaugeVec = (["account"], &[]);
    /// Calls per month that are allowed, for the hundred accounts that used the largest share of their quota.
    quota_limit: IntGaugeVec = (["account"], &[]);
    /// Spans that the collector has accepted.
    trace_spans_sent_total: IntCounter = ([], &[]);
    /// Spans that were lost, because the collector did not accept them in time.
    trace_spans_lost_total: IntCounter = ([], &[]);
    /// Steps of background workers that failed, by worker; each is repeated.
    worker_steps_failed_total: IntCounterVec = (["worker"], &[]);
}

/// A count as the value of a gauge. A count beyond the gauge's range (9.2e18) becomes the largest value, because a gauge is
/// only shown.
#[must_use]
pub fn gauge_value(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Adds one to a gauge for as long as it lives.
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

impl Meters {
    /// Creates series at 0, so that an alert on their rate sees the first count, and a panel is not empty before it.
    fn create_at_zero(&self) {
        for pool in ["lanes", "admit", "write", "read", "records", "replica"] {
            self.pool_refused_total.with_label_values(&[pool]);
        }
        for reason in ["abandoned", "timeout"] {
            self.statements_ended_total.with_label_values(&[reason]);
        }
        for outcome in ["permitted", "refused", "failed", "unreadable"] {
            self.nats_logins_total.with_label_values(&[outcome]);
        }
        self.nats_commands_total.with_label_values(&["executed"]);
        for reason in ["requested", "everything", "beginning", "middle"] {
            self.relay_refills_total.with_label_values(&[reason]);
        }
        self.push_attempts_total.with_label_values(&["delivered"]);
        for limit in ["streams_per_key", "streams_per_account", "long_polls_per_account", "in_flight_bytes"] {
            self.feed_refused_total.with_label_values(&[limit]);
        }
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
        meters.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        meters.create_at_zero();
        Ok(Self(Arc::new(meters)))
    }

    /// The text exposition format, version 0.0.4.
    pub fn render(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    /// The histogram of a named transaction.
    #[must_use]
    pub fn transaction_seconds(&self, name: &str) -> Histogram {
        self.0.transaction_seconds.with_label_values(&[name])
    }
}
