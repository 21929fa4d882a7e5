//! The schema: brought forward by `unificus migrate`, and checked before anything is served.

use std::collections::BTreeSet;

use tokio_postgres::NoTls;

use super::{Store, StoreError};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The schema is not the one that this build knows.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database was not reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A migration failed; those before it are in place.
    #[error("a migration failed")]
    Migration(#[source] Box<refinery::Error>),
    /// Migrations are missing.
    #[error("the database lacks migrations {0:?}; run `unificus migrate`")]
    Behind(BTreeSet<i64>),
    /// A newer build was here.
    #[error("the database has migrations {0:?}, which this build does not know; run a newer build")]
    Ahead(BTreeSet<i64>),
}

const LOCK: &str = "-- schema.lock
select pg_advisory_lock($1)";

/// A migration that waits for a table's lock makes everybody after it wait too, and one whose process is paused holds its
/// locks: both end after this time, and the migration can be run again.
const SETTINGS: &str = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=30s";

/// An advisory lock that one migrating process holds at a time.
const MIGRATION_LOCK: i64 = 0x756e_6966_6963_7573;

impl Store {
    /// Brings the schema forward; returns how many migrations were applied. Safe to run from several processes.
    pub async fn migrate(&self) -> Result<usize, SchemaError> {
        let mut config = self.config.clone();
        let (mut client, connection) = config.options(SETTINGS).connect(NoTls).await.map_err(StoreError::from)?;
        let migrate = async move {
            client.execute(LOCK, &[&MIGRATION_LOCK]).await.map_err(StoreError::from)?;
            let report = embedded::migrations::runner().run_async(&mut client).await;
            let report = report.map_err(|error| SchemaError::Migration(Box::new(error)))?;
            // The lock goes with the connection, which goes with the client.
            Ok(report.applied_migrations().len())
        };
        let (migrated, _) = tokio::join!(migrate, connection);
        migrated
    }

    /// Refuses a schema that this build does not know.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let known: BTreeSet<i64> =
            embedded::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).collect();
        let applied = self.applied().await?;
        let missing: BTreeSet<i64> = known.difference(&applied).copied().collect();
        let unknown: BTreeSet<i64> = applied.difference(&known).copied().collect();
        match (missing.is_empty(), unknown.is_empty()) {
            (true, true) => Ok(()),
            (false, _) => Err(SchemaError::Behind(missing)),
            (true, false) => Err(SchemaError::Ahead(unknown)),
        }
    }

    async fn applied(&self) -> Result<BTreeSet<i64>, StoreError> {
        let client = self.reader().await?;
        let exists = "-- schema.exists\nselect to_regclass('refinery_schema_history') is not null";
        if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
            return Ok(BTreeSet::new());
        }
        let rows = client.query("-- schema.applied\nselect version::bigint from refinery_schema_history", &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
