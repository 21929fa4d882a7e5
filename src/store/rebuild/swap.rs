//! Replacing the live read models by those of the shadow, in one transaction.
//!
//! All tables at once: the head's table is locked against writers, the shadow gets the last events, the live tables are
//! dropped and the shadow's take their names. A prepared statement of a running replica is planned again by PostgreSQL,
//! which looks its tables up by their names; statements that wait for the lock continue on the new tables.
//!
//! One account: the head is locked as each writer locks it, the shadow gets the last events, and the live rows that differ
//! are replaced.

use uuid::Uuid;

use super::{AUTOVACUUM, ERASURES, SHADOW, Session, ShadowBatch, tables};
use crate::domain::AccountId;
use crate::store::StoreError;
use crate::store::links::RELIST;

/// A table's lock is waited for this long. Until then all writes wait, and reads of the table behind the lock. A process
/// that is paused while it holds the locks loses them after 3 s.
const TIMEOUTS: &str = "set local lock_timeout = '500ms'; set local idle_in_transaction_session_timeout = '3s'";

/// This lock keeps autovacuum out and delays neither reads nor writes. PostgreSQL ends an autovacuum that has it after a
/// second (`deadlock_timeout`), so that the locks for which writers wait are free then.
const LOCK_OUT_VACUUM: &str = "set local lock_timeout = '5s'";

const LOCK_HEAD: &str = "-- rebuild.lock_head
select seq from {live}.head where account_id = $1 for update";

const LOCK_HEADS: &str = "-- rebuild.lock_heads
lock table {live}.head in exclusive mode";

/// Sets in the shadow which companies are kept: as the operator decided last, by the audit or, where that has nothing, by
/// the live row. No event says so.
const KEEP: &str = "-- rebuild.keep_companies
with decided as materialized (
    select distinct on (account_id, detail->>'uid') account_id, (detail->>'uid')::uuid as uid,
        (detail->>'kept')::boolean as kept
    from {live}.audit where action = 'company.keep'
        and ($1::uuid is null or account_id = $1) order by account_id, detail->>'uid', at desc, audit_id desc
), candidate as (
    select account_id, uid from decided
    union select account_id, uid from {live}.company
        where kept and ($1::uuid is null or account_id = $1)
    union select account_id, uid from company where kept and ($1::uuid is null or account_id = $1)
), wanted as (
    select k.account_id, k.uid, coalesce(d.kept, l.kept, false) as kept
    from candidate k left join decided d on d.account_id = k.account_id and d.uid = k.uid
        left join {live}.company l on l.account_id = k.account_id and l.uid = k.uid
)
update company c set kept = w.kept from wanted w
where c.account_id = w.account_id and c.uid = w.uid and c.kept <> w.kept returning c.account_id, c.uid";

const UPDATE_HEADS: &str = "-- rebuild.update_heads
update {live}.head h set live = s.live, listed_companies = s.listed_companies from head s
where h.account_id = s.account_id and ($1::uuid is null or h.account_id = $1)
    and (h.live::text <> s.live::text or h.listed_companies <> s.listed_companies)";

const FORGET_TEXTS: &str = "-- rebuild.forget_texts
truncate {live}.contact_search, {live}.search_cursor";

/// The cursor first, because whoever writes texts holds it.
const FORGET_CURSOR_OF: &str = "-- rebuild.forget_cursor_of
delete from {live}.search_cursor where account_id = $1";

const FORGET_TEXTS_OF: &str = "-- rebuild.forget_texts_of
delete from {live}.contact_search where account_id = $1";

/// The setting of a storage parameter of tables, in their order; null where it has none.
const AUTOVACUUM_OF: &str = "-- rebuild.autovacuum_of
select (select o.option_value from pg_options_to_table(c.reloptions) o where o.option_name = $2)
from unnest($1::text[]) with ordinality as t(name, place) join pg_class c on c.oid = t.name::regclass order by t.place";

/// A swap that did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SwapError {
    /// Another transaction holds a table for longer than 500 ms: try again.
    #[error("another transaction uses a table of the read models for longer than half a second")]
    Busy(#[source] StoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The session that swaps. Dropping it in a transaction changes nothing.
pub(crate) struct Swap {
    batch: ShadowBatch,
    live: String,
}

impl Swap {
    pub(super) fn new(session: Session, live: String) -> Self {
        Self { batch: ShadowBatch::new(session), live }
    }

    /// The same transaction, to write the shadow in it.
    pub(crate) fn shadow(&self) -> &ShadowBatch {
        &self.batch
    }

    /// Begins a transaction that no writer of any account writes beside.
    pub(crate) async fn lock_all(&self) -> Result<(), SwapError> {
        self.batch.begin().await?;
        let client = self.batch.client()?;
        client.batch_execute(LOCK_OUT_VACUUM).await.map_err(StoreError::from)?;
        let lock =
            format!("-- rebuild.lock_out_vacuum\nlock table {} in share update exclusive mode", self.live_tables());
        client.batch_execute(&lock).await.map_err(busy)?;
        client.batch_execute(TIMEOUTS).await.map_err(StoreError::from)?;
        client.batch_execute(&self.on_live(LOCK_HEADS)).await.map_err(busy)
    }

    /// Begins a transaction that no writer of this account writes beside.
    pub(crate) async fn lock(&self, account: AccountId) -> Result<(), SwapError> {
        self.batch.begin().await?;
        let client = self.batch.client()?;
        client.batch_execute(TIMEOUTS).await.map_err(StoreError::from)?;
        client.query(&self.on_live(LOCK_HEAD), &[&account.0]).await.map_err(busy)?;
        Ok(())
    }

    /// Like [`Rebuild::erasures`](super::Rebuild::erasures), within the swap.
    pub(crate) async fn erasures(&self) -> Result<i64, StoreError> {
        Ok(self.batch.client()?.query_one(&self.on_live(ERASURES), &[]).await?.get(0))
    }

    pub(crate) async fn roll_back(&self) -> Result<(), StoreError> {
        Ok(self.batch.client()?.batch_execute("rollback").await?)
    }

    /// Sets which companies of the shadow are kept, of all accounts or of one, and lists those whose setting changed anew.
    pub(crate) async fn keep_companies(&self, account: Option<AccountId>) -> Result<(), StoreError> {
        let client = self.batch.client()?;
        let changed = client.query(&self.on_live(KEEP), &[&account.map(|account| account.0)]).await?;
        if changed.is_empty() {
            return Ok(());
        }
        let accounts: Vec<Uuid> = changed.iter().map(|row| row.get(0)).collect();
        let uids: Vec<Uuid> = changed.iter().map(|row| row.get(1)).collect();
        client.execute(RELIST, &[&accounts, &uids]).await?;
        Ok(())
    }

    /// Puts all tables of the shadow in the position of the live ones, removes the shadow, and commits.
    pub(crate) async fn finish_all(&self) -> Result<(), SwapError> {
        let client = self.batch.client()?;
        let Self { live, .. } = self;
        let live_tables = self.live_tables();
        let lock = format!(
            "-- rebuild.lock_tables\nlock table {live_tables}, {live}.contact_search, {live}.search_cursor in access exclusive mode"
        );
        client.batch_execute(&lock).await.map_err(busy)?;
        let nobody: Option<Uuid> = None;
        client.execute(&self.on_live(UPDATE_HEADS), &[&nobody]).await.map_err(StoreError::from)?;
        let autovacuum = self.autovacuum().await?;
        client.batch_execute(&format!("-- rebuild.drop_live\ndrop table {live_tables}")).await.map_err(busy)?;
        for ((table, _), autovacuum) in tables().zip(autovacuum) {
            let take = format!(
                "-- rebuild.take_name\nalter table {SHADOW}.{table} {autovacuum}; \
                 alter table {SHADOW}.{table} set schema {live}"
            );
            client.batch_execute(&take).await.map_err(busy)?;
        }
        client.batch_execute(&self.on_live(FORGET_TEXTS)).await.map_err(StoreError::from)?;
        let remove =
            format!("-- rebuild.drop_shadow\nset local client_min_messages = warning; drop schema {SHADOW} cascade");
        client.batch_execute(&remove).await.map_err(busy)?;
        Ok(client.batch_execute("commit").await.map_err(StoreError::from)?)
    }

    /// Replaces the account's live rows that differ from the shadow's, and commits. Returns how many rows were wrong.
    pub(crate) async fn finish(&self, account: AccountId) -> Result<u64, SwapError> {
        let client = self.batch.client()?;
        let Self { live, .. } = self;
        let mut wrong = 0;
        for (table, key) in tables() {
            let same_key: Vec<String> = key.iter().map(|column| format!("s.{column} = l.{column}")).collect();
            let same_key = same_key.join(" and ");
            let delete = format!(
                "-- rebuild.delete_different\ndelete from {live}.{table} l where l.account_id = $1 and not exists (\
                 select from {SHADOW}.{table} s where s.account_id = $1 and {same_key} \
                 and row(s.*) is not distinct from row(l.*))"
            );
            let insert = format!(
                "-- rebuild.insert_missing\ninsert into {live}.{table} select s.* from {SHADOW}.{table} s \
                 where s.account_id = $1 and not exists (\
                 select from {live}.{table} l where l.account_id = $1 and {same_key})"
            );
            let deleted = client.execute(&delete, &[&account.0]).await.map_err(StoreError::from)?;
            let inserted = client.execute(&insert, &[&account.0]).await.map_err(StoreError::from)?;
            wrong += deleted.max(inserted);
        }
        let heads = client.execute(&self.on_live(UPDATE_HEADS), &[&account.0]).await.map_err(StoreError::from)?;
        for forget in [FORGET_CURSOR_OF, FORGET_TEXTS_OF] {
            client.execute(&self.on_live(forget), &[&account.0]).await.map_err(StoreError::from)?;
        }
        client.batch_execute("commit").await.map_err(StoreError::from)?;
        Ok(wrong + heads)
    }

    /// For each table the change that gives the shadow's table the live one's setting of autovacuum.
    async fn autovacuum(&self) -> Result<Vec<String>, StoreError> {
        let names: Vec<String> = tables().map(|(table, _)| format!("{}.{table}", self.live)).collect();
        let rows = self.batch.client()?.query(AUTOVACUUM_OF, &[&names, &AUTOVACUUM]).await?;
        let change = |set: Option<&str>| match set {
            Some(set) => format!("set ({AUTOVACUUM} = {set})"),
            None => format!("reset ({AUTOVACUUM})"),
        };
        Ok(rows.iter().map(|row| change(row.get(0))).collect())
    }

    /// The live tables that are replaced.
    fn live_tables(&self) -> String {
        tables().map(|(table, _)| format!("{}.{table}", self.live)).collect::<Vec<_>>().join(", ")
    }

    /// A statement with the schema of the live tables.
    fn on_live(&self, statement: &str) -> String {
        statement.replace("{live}", &self.live)
    }
}

fn busy(error: tokio_postgres::Error) -> SwapError {
    match StoreError::from(error) {
        error @ (StoreError::Locked(_) | StoreError::Aborted(_)) => SwapError::Busy(error),
        error @ (StoreError::Unavailable(_)
        | StoreError::TimedOut(_)
        | StoreError::Busy
        | StoreError::Refused(_)
        | StoreError::Corrupt { .. }) => SwapError::Store(error),
    }
}
