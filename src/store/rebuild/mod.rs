//! Sessions for `unificus verify` and `unificus rebuild`, which read whole logs and write whole read models.
//!
//! [`LogReader`] reads logs and live read models; its sessions are read-only. [`Rebuild`] writes the shadow: the schema
//! [`SHADOW`] with a table of the same name for each table that is derived from logs. A session on the shadow resolves table
//! names there and nowhere else, so the statements of the service write the shadow unchanged, and fail where it does not
//! exist; they never reach a live table. Only [`Swap`] names live tables, by their schema.

mod copy;
mod reader;
mod shadow;
mod snapshot;
mod swap;

use deadpool_postgres::{Object, Pool};

pub(crate) use copy::{ShadowBatch, ShadowHead};
pub(crate) use reader::{IndexEntry, LogReader, LoggedEvent};
pub(crate) use shadow::{Index, Rebuild, Scope};
pub(crate) use snapshot::{StoredHead, StoredRow};
pub(crate) use swap::{Swap, SwapError};

use super::{READ_ONLY, Store, StoreError, pool, records, with};
use crate::domain::Entity;

/// The schema of the tables that a rebuild fills. It exists only during a rebuild, and after one that was killed.
pub(crate) const SHADOW: &str = "unificus_rebuild";

/// These sessions run statements of minutes, and one may wait for the others while it is in a transaction.
const PATIENT: &str = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=5min -c lock_timeout=60s -c jit=off \
                       -c maintenance_work_mem=256MB -c work_mem=64MB";

/// The storage parameter of tables that the shadow sets for itself.
const AUTOVACUUM: &str = "autovacuum_enabled";

/// A number that rises with every erasure and with every event that one changes. Rows of events as they were before are
/// neither continued nor swapped.
const ERASURES: &str = "-- rebuild.erasures
select (count(account_id) + coalesce(sum(events), 0))::bigint from {live}.erasure";

/// The links of contacts to companies.
const LINKS: &str = "contact_company";
/// The identifiers of records in other systems.
const REFS: &str = "record_ref";
/// The ends of logs and the counts of live records.
const HEADS: &str = "head";

/// The tables that a rebuild replaces, each with the columns of its primary key after the account.
fn tables() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    let of_records = Entity::ALL.into_iter().map(|entity| (records::table(entity), &["uid"][..]));
    of_records.chain([(LINKS, &["company_uid", "contact_uid"][..]), (REFS, &["entity", "source", "id"][..])])
}

/// Sessions that read logs and read models.
#[derive(Clone)]
pub(crate) struct LogReaders(Pool);

impl Store {
    /// Prepares read-only sessions for reading whole logs; a connection is opened when it is first needed.
    pub(crate) fn log_readers(&self, connections: usize) -> Result<LogReaders, StoreError> {
        Ok(LogReaders(pool(with(&self.config, &format!("{READ_ONLY} {PATIENT}")), connections)?))
    }
}

impl LogReaders {
    /// Opens one session.
    pub(crate) async fn reader(&self) -> Result<LogReader, StoreError> {
        Ok(LogReader::new(self.0.get().await?))
    }
}

/// A connection that is closed when it is dropped. It may be in a transaction then, which the server rolls back.
struct Session(Option<Object>);

impl Session {
    fn client(&self) -> Result<&Object, StoreError> {
        self.0.as_ref().ok_or_else(|| StoreError::Unavailable("the session has ended".into()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
