//! The one transaction that appends events: lock the heads, load the state that the commands need, append.
//!
//! Two round trips, each a pipeline of statements. The first locks the accounts' heads in the order of their ids, so
//! that two batches never deadlock, and reads *in later statements*: in READ COMMITTED a statement that waited for the
//! lock does not see the rows that the lock's holder committed. The second writes and commits.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::audit::{self, AuditColumns, CommandAudit};
use super::erasure;
use super::idempotency::{self, IdempotencyRecord};
use super::live::Live;
use super::records;
use super::row::Row;
use super::sync::policy as sync_policy;
use super::{Params, Store, StoreError};
use crate::clock;
use crate::contract::EncodedEvent;
use crate::domain::{AccountId, Entity, Record, Seq, SyncPolicy, Timestamp, Uid};
use crate::metrics::Metrics;

pub(super) const LOCK_HEADS: &str = "-- batch.lock_heads
select account_id, seq, live::text, epoch from head where account_id = any($1) order by account_id for update";

/// Locks heads without waiting: heads that another transaction holds are left out.
const LOCK_FREE_HEADS: &str = "-- batch.lock_free_heads
select account_id, seq, live::text, epoch from head where account_id = any($1) order by account_id for update skip locked";

/// Prepared like the others, so that it is not parsed for each batch.
const BEGIN: &str = "begin";
const COMMIT: &str = "commit";

/// For a batch of one account. Its wait for the lock delays no other account.
const BEGIN_PATIENTLY: &str = "begin; set local lock_timeout = '1s'";

const EVENT_BODY: &str = "-- batch.event_body
select body from event where account_id = $1 and seq = $2";

/// The state that a batch needs before its commands can be decided. Duplicates are harmless.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LoadRequest {
    pub accounts: Vec<AccountId>,
    pub uids: Vec<(AccountId, Entity, Uid)>,
    pub keys: Vec<(AccountId, Entity, String)>,
    /// Identifiers in other systems: their sources and ids.
    pub refs: Vec<(AccountId, Entity, String, String)>,
    /// The accounts whose rules for concurrent changes are needed.
    pub policies: BTreeSet<AccountId>,
    pub idempotency_keys: Vec<(AccountId, String)>,
    /// Idempotency records of this age or older are not loaded.
    pub idempotency_ttl: Duration,
}

/// How a batch locks its accounts' heads. Each way locks them in the order of their ids, so that two batches never
/// deadlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadLock {
    /// Waits 100 ms for each head, then fails with [`StoreError::Locked`].
    Brief,
    /// Does not wait: leaves out heads that another transaction holds.
    Skip,
    /// Waits 1 s, then fails with [`StoreError::Locked`].
    Patient,
}

/// The end of an account's log, locked, with the numbers of its live records.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LockedHead {
    pub account: AccountId,
    pub seq: Seq,
    /// Goes into every event that is appended.
    pub epoch: i32,
    pub live: Live,
}

/// The loaded state. Accounts without a head do not exist, or were skipped.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LoadedState {
    pub heads: Vec<LockedHead>,
    pub records: Vec<(AccountId, Record)>,
    /// Accounts without a policy have the default one.
    pub policies: Vec<(AccountId, SyncPolicy)>,
    pub idempotency_records: Vec<IdempotencyRecord>,
}

/// The rows that a batch writes.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Append {
    pub heads: Vec<LockedHead>,
    pub events: Vec<EncodedEvent>,
    /// One row per record.
    pub rows: Vec<Row>,
    pub idempotency_records: Vec<IdempotencyRecord>,
    /// One row per command that a person sent and that changed something.
    pub audits: Vec<CommandAudit>,
}

/// A batch whose transaction did not commit, or may have.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was written.
    #[error("the batch was rolled back")]
    RolledBack(#[source] StoreError),
    /// The connection broke before the response to COMMIT, so the batch may have been committed.
    #[error("the batch's commit got no response")]
    Unknown(#[source] StoreError),
}

/// An open transaction that holds its accounts' heads.
pub struct Batch {
    /// `None` once the transaction has ended. Otherwise dropping the batch closes the connection, and the server rolls back.
    client: Option<Object>,
    metrics: Metrics,
}

impl Drop for Batch {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl Store {
    /// Opens a transaction, locks the heads and loads the requested state: one round trip.
    pub async fn open_batch(&self, request: &LoadRequest, lock: HeadLock) -> Result<(Batch, LoadedState), StoreError> {
        let client = self.lane_writer().await?;
        let batch = Batch { client: Some(client), metrics: self.metrics.clone() };
        let started = clock::instant();
        let loaded = load(batch.client()?, request, Begin::With(lock)).await;
        self.metrics.transaction_seconds("batch.open").observe(started.elapsed().as_secs_f64());
        match loaded {
            Ok(loaded) => Ok((batch, loaded)),
            Err(error @ StoreError::Locked(_)) => {
                batch.roll_back().await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Returns whether the transaction that was to append this event committed. Locks the head first, because a server
    /// that lost the connection may still be executing that transaction and holds the head until it ends.
    pub async fn is_committed(&self, event: &EncodedEvent) -> Result<bool, StoreError> {
        let mut client = self.lane_writer().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("set local lock_timeout = '1s'").await?;
        transaction.query(LOCK_HEADS, &[&vec![event.account.0]]).await?;
        let body = transaction.query_opt(EVENT_BODY, &[&event.account.0, &event.seq.0]).await?;
        transaction.rollback().await?;
        Ok(body.is_some_and(|row| row.get::<_, &str>(0) == event.text()))
    }
}

impl Batch {
    fn client(&self) -> Result<&Object, StoreError> {
        self.client.as_ref().ok_or_else(|| StoreError::Unavailable("the transaction has ended".into()))
    }

    /// Loads the state again with what the request has got besides, under the same locks: one round trip.
    pub async fn reload(&self, request: &LoadRequest) -> Result<LoadedState, StoreError> {
        load(self.client()?, request, Begin::Again).await
    }

    /// Rolls back and returns the connection to the pool.
    pub async fn roll_back(mut self) -> Result<(), StoreError> {
        self.client()?.batch_execute("rollback").await?;
        drop(self.client.take());
        Ok(())
    }

    /// Writes everything and commits: one round trip.
    pub async fn commit(mut self, append: &Append) -> Result<(), CommitError> {
        let client = self.client().map_err(CommitError::RolledBack)?;
        let started = clock::instant();
        let written = write(client, append).await;
        self.metrics.transaction_seconds("batch.commit").observe(started.elapsed().as_secs_f64());
        if written.is_ok() {
            // After a commit the connection goes back to the pool; in any other case it is closed.
            drop(self.client.take());
        }
        written
    }
}

/// Whether a load begins the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begin {
    With(HeadLock),
    /// The transaction holds its locks.
    Again,
}

async fn load(client: &Object, request: &LoadRequest, begins: Begin) -> Result<LoadedState, StoreError> {
    // The heads that the transaction holds are free for itself alone.
    let lock = if begins == Begin::With(HeadLock::Brief) || begins == Begin::With(HeadLock::Patient) {
        LOCK_HEADS
    } else {
        LOCK_FREE_HEADS
    };
    let accounts: Vec<Uuid> = request.accounts.iter().map(|account| account.0).collect();
    let keys: HashSet<_> = request.idempotency_keys.iter().map(|(account, key)| (account.0, key.as_str())).collect();
    let (key_accounts, keys): (Vec<Uuid>, Vec<&str>) = keys.into_iter().unzip();
    let begin = client.prepare_cached(BEGIN).await?;
    let lock = client.prepare_cached(lock).await?;
    let stored = client.prepare_cached(idempotency::LOAD).await?;
    let loads = records::Loads::prepare(client, &request.uids, &request.keys, &request.refs).await?;
    let with_policy: Vec<Uuid> = request.policies.iter().map(|account| account.0).collect();
    // Few batches need one.
    let policy = if with_policy.is_empty() { None } else { Some(client.prepare_cached(sync_policy::LOAD).await?) };

    let begin = async {
        match begins {
            Begin::Again => Ok(()),
            Begin::With(HeadLock::Patient) => client.batch_execute(BEGIN_PATIENTLY).await,
            Begin::With(HeadLock::Brief | HeadLock::Skip) => client.execute(&begin, &[]).await.map(drop),
        }
    };
    let policies = async {
        match &policy {
            Some(policy) => client.query(policy, &[&with_policy]).await,
            None => Ok(Vec::new()),
        }
    };
    let idempotency_records = async {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        client.query(&stored, &[&key_accounts, &keys, &request.idempotency_ttl.as_secs_f64()]).await
    };
    let heads: Params<'_, 1> = [&accounts];
    let (begun, heads, policies, idempotency_records, records) = tokio::join!(
        biased;
        begin,
        client.query(&lock, &heads),
        policies,
        idempotency_records,
        loads.run(client),
    );
    begun?;
    Ok(LoadedState {
        heads: heads?.iter().map(head).collect::<Result<_, _>>()?,
        idempotency_records: idempotency_records?.iter().map(idempotency::record).collect::<Result<_, _>>()?,
        records: records?,
        policies: policies?.iter().map(sync_policy::policy).collect::<Result<_, _>>()?,
    })
}

async fn write(client: &Object, append: &Append) -> Result<(), CommitError> {
    let prepared = async {
        let records = client.prepare_cached(idempotency::STORE).await?;
        let changes = records::Changes::prepare(client, &append.rows).await?;
        let events = client.prepare_cached(changes.append().0).await?;
        // Few batches have any.
        let audits =
            if append.audits.is_empty() { None } else { Some(client.prepare_cached(audit::INSERT_ALL).await?) };
        let commit = client.prepare_cached(COMMIT).await?;
        let erasures = erasure::Begun::prepare(client, &append.events).await?;
        Ok::<_, StoreError>((records, changes, events, erasures, audits, commit))
    };
    let (records, changes, events, erasures, audits, commit) = prepared.await.map_err(CommitError::RolledBack)?;
    let e = EventColumns::of(&append.events);
    let h = HeadColumns::of(&append.heads).map_err(CommitError::RolledBack)?;
    let r = idempotency::Columns::of(&append.idempotency_records).map_err(CommitError::RolledBack)?;
    let heads: Params<'_, 3> = [&h.account, &h.seq, &h.live];
    let parameters = [&e.parameters()[..], &heads, &changes.append().1].concat();

    let a = AuditColumns::of(&append.audits);

    let (upserted, appended, linked, begun, recorded, audited, committed) = tokio::join!(
        biased;
        changes.upsert(client),
        async {
            // Every event advances a head, and every row comes from an event.
            if append.events.is_empty() { return Ok(0) }
            client.execute(&events, &parameters).await
        },
        changes.link(client),
        async {
            match &erasures {
                Some(erasures) => erasures.write(client).await,
                None => Ok(()),
            }
        },
        async {
            if append.idempotency_records.is_empty() { return Ok(0) }
            client.execute(&records, &[&r.account, &r.key, &r.hash, &r.outcome]).await
        },
        async {
            match &audits {
                Some(audits) => client.execute(audits, &a.parameters()).await,
                None => Ok(0),
            }
        },
        client.execute(&commit, &[]),
    );
    // The first error is the cause: after it every statement fails because the transaction is aborted, and COMMIT itself
    // reports success although it rolls back.
    upserted.map_err(not_written)?;
    appended.map_err(not_written)?;
    linked.map_err(not_written)?;
    begun.map_err(not_written)?;
    recorded.and(audited).and(committed).map_err(not_written).map(drop)
}

/// COMMIT is sent with the statements, so it may have been executed when the connection breaks.
fn not_written(error: tokio_postgres::Error) -> CommitError {
    match StoreError::from(error) {
        error @ (StoreError::Unavailable(_) | StoreError::TimedOut(_)) => CommitError::Unknown(error),
        error @ (StoreError::Aborted(_)
        | StoreError::Locked(_)
        | StoreError::Busy
        | StoreError::Refused(_)
        | StoreError::Corrupt { .. }) => CommitError::RolledBack(error),
    }
}

fn head(row: &PgRow) -> Result<LockedHead, StoreError> {
    let account = AccountId(row.get(0));
    let live = serde_json::from_str(row.get(2)).map_err(|error| StoreError::corrupt("head", "live", account, error))?;
    Ok(LockedHead { account, seq: Seq(row.get(1)), epoch: row.get(3), live })
}

#[derive(Default)]
struct HeadColumns {
    account: Vec<Uuid>,
    seq: Vec<i64>,
    live: Vec<String>,
}

impl HeadColumns {
    fn of(heads: &[LockedHead]) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for head in heads {
            let live = serde_json::to_string(&head.live)
                .map_err(|error| StoreError::corrupt("head", "live", head.account, error))?;
            columns.account.push(head.account.0);
            columns.seq.push(head.seq.0);
            columns.live.push(live);
        }
        Ok(columns)
    }
}

#[derive(Default)]
struct EventColumns<'a> {
    account: Vec<Uuid>,
    seq: Vec<i64>,
    uid: Vec<Uuid>,
    kind: Vec<String>,
    at: Vec<Timestamp>,
    origin: Vec<&'a str>,
    body: Vec<&'a str>,
}

impl<'a> EventColumns<'a> {
    fn of(events: &'a [EncodedEvent]) -> Self {
        let mut columns = Self::default();
        for event in events {
            columns.account.push(event.account.0);
            columns.seq.push(event.seq.0);
            columns.uid.push(event.uid.0);
            columns.kind.push(event.kind());
            columns.at.push(event.at);
            columns.origin.push(&event.origin);
            columns.body.push(event.text());
        }
        columns
    }

    fn parameters(&self) -> Params<'_, 7> {
        let Self { account, seq, uid, kind, at, origin, body } = self;
        [account, seq, uid, kind, at, origin, body]
    }
}
