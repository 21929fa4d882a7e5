//! The schema: `unificus migrate` brings it forward, and the service checks it before it serves anything.
//!
//! Replicas of two versions run side by side during a rolling upgrade. The schema is expanded first: replicas of the
//! version before keep running and may restart. It is contracted when no replica uses the dropped tables or columns any
//! longer. A contracting migration says so in its name (`V30__contract_….sql`), because a build must recognise one that is
//! newer than itself.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

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
    /// A migration waited for a table's lock for as long as it may; those before it are in place.
    #[error(
        "another session holds a lock on a table that a migration changes, so the migration changed nothing; end long \
         transactions and run `unificus migrate` again"
    )]
    Locked(#[source] Box<refinery::Error>),
    /// The tables belong to another role, and nobody but their owner may change or replace them.
    #[error(
        "the tables belong to the role {owner}, and {role} may not change them; run this command with the URL of {owner} \
         in database.url"
    )]
    NotOwner {
        /// The role of the connection.
        role: String,
        /// The role that the tables belong to.
        owner: String,
    },
    /// Migrations are missing.
    #[error("the database lacks migrations {0:?}; run `unificus migrate`")]
    Behind(BTreeSet<i64>),
    /// A newer build has removed tables or columns that this one uses.
    #[error("the database has migrations {0:?}, which take away what this build uses; run a newer build")]
    Contracted(BTreeSet<i64>),
    /// A newer build has migrated the schema further than this one knows.
    #[error("the database has migrations {0:?}, which this build does not know; migrate with a newer build")]
    Ahead(BTreeSet<i64>),
}

/// The prefix of the names of migrations that contract the schema.
const CONTRACTS: &str = "contract";

const LOCK: &str = "-- schema.lock
select pg_advisory_lock($1)";

/// Finds nothing where no migration was applied yet.
const OWNER: &str = "-- schema.owner
select current_user::text, pg_get_userbyid(relowner)::text, pg_has_role(relowner, 'usage')
from pg_class where oid = to_regclass('refinery_schema_history')";

/// Statements of other sessions queue behind a migration that waits for a table's lock, and behind the locks of one whose
/// process is paused. Both end after 30 s, and the migration can be run again.
const SETTINGS: &str = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=30s";

/// An advisory lock that one migrating process holds at a time. A rebuild shares it, because the tables that it makes have
/// the columns and indexes of its beginning.
pub(super) const MIGRATION_LOCK: i64 = 0x756e_6966_6963_7573;

impl Store {
    /// Brings the schema forward; returns how many migrations were applied. Safe to run from several processes.
    pub async fn migrate(&self) -> Result<usize, SchemaError> {
        let unknown: BTreeSet<i64> = unknown(&self.applied().await?).into_keys().collect();
        if !unknown.is_empty() {
            return Err(SchemaError::Ahead(unknown));
        }
        self.check_owner().await?;
        let mut config = self.config.clone();
        let (mut client, connection) = config.options(SETTINGS).connect(NoTls).await.map_err(StoreError::from)?;
        let migrate = async move {
            client.execute(LOCK, &[&MIGRATION_LOCK]).await.map_err(StoreError::from)?;
            let report = embedded::migrations::runner().run_async(&mut client).await;
            let report = report.map_err(failed)?;
            // The lock goes with the connection, which goes with the client.
            Ok(report.applied_migrations().len())
        };
        let (migrated, _) = tokio::join!(migrate, connection);
        migrated
    }

    /// Refuses a role that may not change the tables.
    pub async fn check_owner(&self) -> Result<(), SchemaError> {
        let row = self.reader().await?.query_opt(OWNER, &[]).await.map_err(StoreError::from)?;
        match row {
            Some(row) if !row.get::<_, bool>(2) => Err(SchemaError::NotOwner { role: row.get(0), owner: row.get(1) }),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a schema that lacks something that this build uses: one that is behind it, or one that a newer build has
    /// contracted. Accepts a schema that newer builds only expanded.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let applied = self.applied().await?;
        let missing: BTreeSet<i64> = known().into_iter().filter(|version| !applied.contains_key(version)).collect();
        if !missing.is_empty() {
            return Err(SchemaError::Behind(missing));
        }
        let unknown = unknown(&applied);
        let contracts = |name: &str| name.starts_with(CONTRACTS);
        if unknown.values().any(|name| contracts(name)) {
            let contracted = unknown.into_iter().filter(|(_, name)| contracts(name)).map(|(version, _)| version);
            return Err(SchemaError::Contracted(contracted.collect()));
        }
        if !unknown.is_empty() {
            tracing::warn!(migrations = ?unknown, "schema is newer than this build, and has all that it uses");
        }
        Ok(())
    }

    /// The applied migrations by version, each with its name.
    async fn applied(&self) -> Result<BTreeMap<i64, String>, StoreError> {
        let client = self.reader().await?;
        let exists = "-- schema.exists\nselect to_regclass('refinery_schema_history') is not null";
        if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
            return Ok(BTreeMap::new());
        }
        let applied = "-- schema.applied\nselect version::bigint, name::text from refinery_schema_history";
        Ok(client.query(applied, &[]).await?.iter().map(|row| (row.get(0), row.get(1))).collect())
    }
}

fn failed(error: refinery::Error) -> SchemaError {
    let first: &(dyn Error + 'static) = &error;
    let mut causes = std::iter::successors(Some(first), |&cause| cause.source());
    let is_locked = causes.any(|cause| {
        let cause = cause.downcast_ref::<tokio_postgres::Error>();
        cause.and_then(tokio_postgres::Error::code) == Some(&SqlState::LOCK_NOT_AVAILABLE)
    });
    if is_locked { SchemaError::Locked(Box::new(error)) } else { SchemaError::Migration(Box::new(error)) }
}

/// The versions of the migrations that this build has.
fn known() -> BTreeSet<i64> {
    embedded::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).collect()
}

/// The applied migrations that this build does not have.
fn unknown(applied: &BTreeMap<i64, String>) -> BTreeMap<i64, String> {
    let known = known();
    applied.iter().filter(|(version, _)| !known.contains(version)).map(|(v, name)| (*v, name.clone())).collect()
}
