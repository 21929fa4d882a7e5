//! PostgreSQL. The only module with SQL: one function is one statement or one named transaction.
//!
//! Guarantees: every statement takes the account id, so that no row of one account is ever read with another's key; a
//! command's events, read models and idempotency record commit together. Knows nothing of HTTP, NATS or reasons.
//!
//! # Pools
//!
//! | pool | sessions | used for |
//! | --- | --- | --- |
//! | `lanes` | primary, read-write | batches of commands, two connections per lane |
//! | `admit` | primary, read-write | authentication, quota, heads of logs: short statements that every request waits for |
//! | `write` | primary, read-write | every other change: accounts, keys, endpoints, attempts, sweeps, the relay's repairs |
//! | `read` | primary, read-only | reads that must see every commit |
//! | `records` | primary, read-only | single records, those of many callers in one statement |
//! | `replica` | `database.read_url`, read-only | reads that may lag; the pool `read` where that key is empty |
//!
//! Sessions of `read`, `records` and `replica` are set read-only when they connect, so that a write through them fails in
//! every installation, not only where a standby refuses it.
//!
//! A read may lag only if nothing is decided by it and no caller expects its own write in it. These may: pages of lists
//! and searches with the state of the text index that they use, the log of delivery attempts, the gauges of all accounts'
//! quota, and those of endpoints. All others read the primary, for one of these reasons:
//!
//! * The caller reads its own write at once, on every replica of the service: a record, the links of a record, an
//!   account's definitions, its endpoints and their parked events.
//! * A follower (feed, deliveries, relay) is woken by a commit and then reads the log from its cursor. A standby would
//!   show it nothing, and a cursor beyond the standby's log would look like a cursor of a lost timeline.
//! * A position of the log was read before, and a standby may not have it yet: records and lists as they were, histories.
//! * A decision depends on the row: credentials, quota, sessions, idempotency records, cursors before work starts, accounts
//!   that sweeps look for, a project that a write names by a part of its name.
//! * The read is small and rare: brands, users, the lists of the CLI.

pub mod account_changes;
pub mod accounts;
mod append;
pub(crate) mod attempts;
pub mod audit;
pub mod batch;
mod bounded_lists;
pub mod brands;
mod columns;
mod companies;
pub mod console;
pub(crate) mod diagnosis;
pub(crate) mod endpoint_changes;
pub(crate) mod endpoint_counts;
pub(crate) mod endpoints;
pub(crate) mod erasure;
mod error;
pub mod history;
pub(crate) mod idempotency;
mod key_checks;
pub mod keys;
mod links;
pub mod lists;
pub(crate) mod live;
pub(crate) mod log;
pub(crate) mod migrate;
mod own_headers;
pub(crate) mod owner;
pub mod past_lists;
pub(crate) mod projects;
pub(crate) mod quota;
mod reading;
pub(crate) mod rebuild;
pub(crate) mod records;
pub(crate) mod relay;
pub mod restored;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod sealed;
mod searches;
mod shared_reads;
pub(crate) mod sync;
mod text_index;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
pub use error::StoreError;
use tokio_postgres::NoTls;

use self::searches::Searches;
use crate::clock::{self, Clock};
use crate::config;
use crate::metrics::Metrics;

/// The parameters of a statement in a pipeline, where they must outlive the call.
type Params<'a, const N: usize> = [&'a (dyn tokio_postgres::types::ToSql + Sync); N];

/// The database of this installation. Cloning shares the pools.
#[derive(Clone)]
pub struct Store {
    config: tokio_postgres::Config,
    /// Two connections per lane: one for its batches, one for its blocked accounts.
    lanes: Pool,
    /// Authentication and quota: every request waits for them, so they must not queue behind long lists.
    admit: Pool,
    write: Pool,
    read: Pool,
    records: Pool,
    record_reads: records::RecordReads,
    credential_reads: accounts::CredentialReads,
    /// The same pool as `read` where no standby is configured.
    replica: Pool,
    /// Limits the reading connections that searches use.
    searches: Searches,
    /// Accounts whose texts are to be indexed.
    index_requests: text_index::IndexRequests,
    metrics: Metrics,
}

/// Lanes, the quota, saves of cursors and reads of records join arrays of keys with tables of any size. An index lookup per
/// key is the right plan at every size. A plan made while a table was still empty would scan it, and would be kept until
/// statistics change.
const LANE_SETTINGS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
                             -c enable_bitmapscan=off -c plan_cache_mode=force_generic_plan -c jit=off";

/// A lane waits 100 ms for a lock at most. Other accounts of the batch wait with it; it continues without the locked ones.
const LANE_WAIT: &str = "-c lock_timeout=100ms";

/// Connections for account lookups. While they are occupied, further lookups gather for the next statement.
const LOOKUP_CONNECTIONS: usize = 2;

/// Besides those, one connection for quota reservations and one for accounts' revisions, each of which are sent one after
/// the other.
const ADMIT_CONNECTIONS: usize = 2 + LOOKUP_CONNECTIONS;

/// Connections for single records. While they are occupied, further reads wait.
const RECORD_CONNECTIONS: usize = 2;

/// Makes PostgreSQL refuse every write of a session.
const READ_ONLY: &str = "-c default_transaction_read_only=on";

/// The server must notice a lost client soon, because until then it holds the client's locks. TCP keepalives detect a
/// machine that is gone. A paused process is not detected by TCP, because its machine still acknowledges; therefore the
/// server ends a transaction that waits 3 s for its client. A live client sends the next statement within milliseconds,
/// and a slow one repeats a transaction of which nothing was written. A lock is waited for longer (5 s), so that the wait
/// outlasts a paused holder.
const SESSION_SETTINGS: &str = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 \
                                -c tcp_user_timeout=15s -c idle_in_transaction_session_timeout=3s -c lock_timeout=5s";

impl Store {
    /// Makes the pools; a connection is opened when it is first needed.
    pub fn new(config: &config::Database, lanes: usize, metrics: Metrics) -> Result<Self, StoreError> {
        let primary = session(config, &config.url)?;
        // Shorter than a request's deadline, so that the response reports the timeout and no statement outlives its request.
        let timeout = format!("-c statement_timeout={}s", config.statement_timeout_s);
        let read_only = format!("{READ_ONLY} {timeout}");
        let read = pool(with(&primary, &read_only), config.read_connections())?;
        let replica = if config.read_url.is_empty() {
            read.clone()
        } else {
            pool(with(&session(config, &config.read_url)?, &read_only), config.read_connections())?
        };
        Ok(Self {
            lanes: pool(with(&primary, &format!("{LANE_SETTINGS} {LANE_WAIT}")), 2 * lanes)?,
            admit: pool(with(&primary, LANE_SETTINGS), ADMIT_CONNECTIONS)?,
            write: pool(with(&primary, &timeout), config.write_connections())?,
            read,
            records: pool(with(&primary, &format!("{LANE_SETTINGS} {read_only}")), RECORD_CONNECTIONS)?,
            record_reads: records::RecordReads::new(RECORD_CONNECTIONS),
            credential_reads: accounts::CredentialReads::new(LOOKUP_CONNECTIONS),
            replica,
            searches: Searches::new(config, metrics.clone()),
            index_requests: text_index::IndexRequests::default(),
            config: primary,
            metrics,
        })
    }

    /// Sets a clock to the primary's time; returns by how much the clock was ahead.
    pub async fn set_clock(&self, clock: &Clock) -> Result<time::Duration, StoreError> {
        let client = self.reader().await?;
        let sent = clock::instant();
        let row = client.query_one("-- store.clock\nselect clock_timestamp()", &[]).await?;
        Ok(clock.follow(row.get(0), sent))
    }

    /// A connection for a batch of commands.
    async fn lane_writer(&self) -> Result<Object, StoreError> {
        self.checkout("lanes", &self.lanes).await
    }

    /// A connection for statements that every request waits for.
    async fn admitter(&self) -> Result<Object, StoreError> {
        self.checkout("admit", &self.admit).await
    }

    /// A connection for a change outside the lanes.
    async fn writer(&self) -> Result<Object, StoreError> {
        self.checkout("write", &self.write).await
    }

    /// A read-only connection that sees every commit.
    async fn reader(&self) -> Result<Object, StoreError> {
        self.checkout("read", &self.read).await
    }

    /// The same for single records.
    async fn record_reader(&self) -> Result<Object, StoreError> {
        self.checkout("records", &self.records).await
    }

    /// A read-only connection that may lag behind, where a standby is configured.
    async fn replica_reader(&self) -> Result<Object, StoreError> {
        self.checkout("replica", &self.replica).await
    }

    async fn checkout(&self, name: &str, pool: &Pool) -> Result<Object, StoreError> {
        let started = clock::instant();
        let client = pool.get().await;
        // A wait that failed is observed too: otherwise the histogram would look best where every wait fails.
        self.metrics.pool_wait_seconds.with_label_values(&[name]).observe(started.elapsed().as_secs_f64());
        Ok(client.inspect_err(|_| self.metrics.pool_refused_total.with_label_values(&[name]).inc())?)
    }
}

/// The settings of every session on a server.
fn session(config: &config::Database, url: &str) -> Result<tokio_postgres::Config, StoreError> {
    let mut session: tokio_postgres::Config = url.parse().map_err(StoreError::from)?;
    session
        .application_name("unificus")
        .connect_timeout(Duration::from_secs(config.connect_timeout_s))
        .keepalives(true)
        .keepalives_idle(Duration::from_secs(5))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(15))
        .options(SESSION_SETTINGS);
    Ok(session)
}

/// The same session with further settings.
fn with(session: &tokio_postgres::Config, settings: &str) -> tokio_postgres::Config {
    let mut session = session.clone();
    session.options(format!("{SESSION_SETTINGS} {settings}"));
    session
}

fn pool(config: tokio_postgres::Config, size: usize) -> Result<Pool, StoreError> {
    let manager = Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .wait_timeout(Some(Duration::from_secs(5)))
        .create_timeout(Some(Duration::from_secs(5)))
        .build()
        .map_err(|error| StoreError::Unavailable(Box::new(error)))
}
