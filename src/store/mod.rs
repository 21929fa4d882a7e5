//! PostgreSQL. The only module with SQL: one function is one statement or one named transaction.
//!
//! Guarantees: every statement takes the account id, so that no row of one account is ever read with another's key;
//! a command's events, read-model changes and answer commit together or not at all. It knows nothing of HTTP, NATS
//! or of why a row is written.

pub mod accounts;
pub mod attempts;
pub mod batch;
pub mod brands;
mod companies;
pub mod endpoint_changes;
pub mod endpoints;
mod error;
pub mod idempotency;
mod key_checks;
pub mod keys;
pub mod lists;
pub mod log;
pub mod migrate;
mod own_headers;
pub mod owner;
mod owner_lease;
pub mod projects;
pub mod quota;
mod reading;
pub mod records;
pub mod relay;
mod replays;
pub mod restored;
pub mod schema;
pub mod sealed;
mod searches;
mod text_index;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use tokio_postgres::NoTls;

pub use error::StoreError;

use self::searches::Searches;
use crate::clock::{self, Clock};
use crate::config;
use crate::metrics::Metrics;

/// The parameters of a statement, where they must outlive the call: in a pipeline.
type Params<'a, const N: usize> = [&'a (dyn tokio_postgres::types::ToSql + Sync); N];

/// The database of this installation. Cloning shares the pools.
#[derive(Clone)]
pub struct Store {
    config: tokio_postgres::Config,
    /// Two connections per lane.
    write: Pool,
    read: Pool,
    /// For what every request asks first: who calls, and whether they may. Long lists must not stand before it.
    admit: Pool,
    /// The searches' share of the read pool.
    searches: Searches,
    /// Accounts whose texts are to be indexed.
    asked: text_index::IndexRequests,
    metrics: Metrics,
}

/// Lanes and the quota join arrays of keys with tables of any size. An index lookup per key is the right plan at every size; a plan
/// made while a table was still empty would scan it, and stay until statistics change.
const LANE_SETTINGS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off \
                             -c enable_bitmapscan=off -c plan_cache_mode=force_generic_plan -c jit=off";

/// A lane waits no longer than this for a lock: the other accounts of the batch would wait with it. Transactions of other
/// replicas hold a head for a few milliseconds; after this time the batch goes on without the accounts that are held.
const LANE_WAIT: &str = "-c lock_timeout=100ms";

/// One for the quota's questions, which go one after the other, and some for looking accounts up.
const ADMITTING: usize = 4;

/// A server whose client is gone must find out soon: until then it holds that client's locks. Where the machine is gone,
/// TCP finds out. Where the process is paused, its machine goes on answering, so a transaction that waits for its client is
/// ended: a live client sends the next statement within milliseconds, and one that was merely slow repeats a transaction
/// of which nothing was written. Waiting for a lock is bounded by more than that, so that a wait survives a paused holder.
const SESSION_SETTINGS: &str = "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 \
                                -c tcp_user_timeout=15s -c idle_in_transaction_session_timeout=3s -c lock_timeout=5s";

impl Store {
    /// Makes the pools; a connection is opened when it is first needed.
    pub fn new(config: &config::Database, lanes: usize, metrics: Metrics) -> Result<Self, StoreError> {
        let mut pg: tokio_postgres::Config = config.url.parse().map_err(StoreError::from)?;
        pg.application_name("unificus")
            .connect_timeout(Duration::from_secs(config.connect_timeout_s))
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(15))
            .options(SESSION_SETTINGS);
        let with = |settings: &str| {
            let mut pg = pg.clone();
            pg.options(format!("{SESSION_SETTINGS} {settings}"));
            pg
        };
        // Each lane has one connection for its batches and one for its blocked accounts.
        let write = pool(with(&format!("{LANE_SETTINGS} {LANE_WAIT}")), 2 * lanes)?;
        // Less than a request may take: its answer says so, and nothing runs on behind it.
        let reader = with(&format!("-c statement_timeout={}s", config.statement_timeout_s));
        let (read, admit) = (pool(reader, config.pool)?, pool(with(LANE_SETTINGS), ADMITTING)?);
        let searches = Searches::new(config, metrics.clone());
        let asked = text_index::IndexRequests::default();
        Ok(Self { write, read, admit, searches, asked, config: pg, metrics })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.reader().await?.batch_execute("-- store.ping\nselect").await?)
    }

    /// Sets a clock by the database's; returns by how much it was ahead.
    pub async fn set_clock(&self, clock: &Clock) -> Result<time::Duration, StoreError> {
        let client = self.reader().await?;
        let asked = clock::instant();
        let row = client.query_one("-- store.clock\nselect clock_timestamp()", &[]).await?;
        Ok(clock.follow(row.get(0), asked))
    }

    async fn reader(&self) -> Result<Object, StoreError> {
        self.checkout(&self.read).await
    }

    async fn admitter(&self) -> Result<Object, StoreError> {
        self.checkout(&self.admit).await
    }

    async fn writer(&self) -> Result<Object, StoreError> {
        self.checkout(&self.write).await
    }

    async fn checkout(&self, pool: &Pool) -> Result<Object, StoreError> {
        let asked = clock::instant();
        let client = pool.get().await?;
        self.metrics.pool_wait_seconds.observe(asked.elapsed().as_secs_f64());
        Ok(client)
    }
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
