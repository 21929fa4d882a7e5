//! Erasing contacts: one row per erased contact says how far its erasure is.
//!
//! The row is written in the transaction that appends the event `erased`. Each function here is one transaction, which
//! locks the row: any replica may take the next step, and a step that was killed is taken again. Nothing is written to the
//! log but in [`Store::erase_from_log`], which also holds the account's head, as every writer does.

mod begin;
mod log;
mod responses;

pub(super) use begin::Begun;

use deadpool_postgres::Transaction;
use tokio_postgres::Row as PgRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::owner::lease::MEMBER;
use super::{Store, StoreError, columns};
use crate::contract::erase::Eraser;
use crate::domain::{AccountId, Seq, Timestamp, Uid};

/// Those that may have to wait come last, so that they delay no others.
const PENDING: &str = "-- erasure.pending
select account_id, uid from erasure where done_at is null
order by stage = 'stream', stage = 'memory', account_id, uid limit $1";

const READ: &str = "-- erasure.read
select account_id, uid, seq, stage, uids, texts, related, scanned, through, events, messages, begun_at, done_at
from erasure where account_id = $1 and uid = $2";

/// Leaves out a row that another replica works on.
const LOCK: &str = "-- erasure.lock
select account_id, uid, seq, stage, uids, texts, related, scanned, through, events, messages, begun_at, done_at
from erasure where account_id = $1 and uid = $2 and stage = $3 for update skip locked";

/// Moves on once every live replica has confirmed. A replica whose lease has run out uses nothing in its memory before it
/// has a new session. PostgreSQL does not show when sessions of other roles began.
const LEAVE_MEMORY: &str = "-- erasure.leave_memory
update erasure e set stage = 'responses' where e.account_id = $1 and e.uid = $2 and e.stage = 'memory' and not exists (
    select from pg_locks l join pg_database d on d.oid = l.database left join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.classid::bigint = $3 and d.datname = current_database()
        and not exists (select from owner_lease o where o.backend_pid = l.pid and o.expires_at < clock_timestamp())
        and not exists (
            select from erasure_confirmation c where c.account_id = e.account_id and c.uid = e.uid
                and c.backend_pid = l.pid and c.backend_start = coalesce(a.backend_start, c.backend_start)))";

const FINISH: &str = "-- erasure.finish
with confirmed as (
    delete from erasure_confirmation where account_id = $1 and uid = $2
)
update erasure set stage = 'done', texts = '{}', messages = messages + $3, done_at = clock_timestamp()
where account_id = $1 and uid = $2 and stage = 'stream'";

/// The pending erasures that are read at once.
const MAX_PENDING: i64 = 100;

/// The next thing to be erased from. Its name is stored and public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasureStage {
    /// The event is in the log. The contacts and texts that belong to the person are to be found.
    Begun,
    /// Events and read models.
    Log,
    /// Copies of events in the memory of replicas.
    Memory,
    /// Responses of webhook receivers, and stored responses to requests.
    Responses,
    /// Messages of the stream.
    Stream,
    /// Nothing is left.
    Done,
}

impl ErasureStage {
    /// All stages, in their order.
    pub const ALL: [Self; 6] = [Self::Begun, Self::Log, Self::Memory, Self::Responses, Self::Stream, Self::Done];

    /// The stored name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Log => "log",
            Self::Memory => "memory",
            Self::Responses => "responses",
            Self::Stream => "stream",
            Self::Done => "done",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// The erasure of one contact.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// The account.
    pub account: AccountId,
    /// The contact.
    pub uid: Uid,
    /// The event that erased the contact.
    pub seq: Seq,
    /// The next thing to be erased from.
    pub stage: ErasureStage,
    /// The contacts and texts that belong to the person; none is known in the first stage.
    pub eraser: Eraser,
    /// The records whose events were changed, besides the contact's own.
    pub related: Vec<Uid>,
    /// The position up to which the log was searched.
    pub scanned: Seq,
    /// The position up to which events were changed; `None` until the log was searched whole.
    pub through: Option<Seq>,
    /// The events that were changed.
    pub events: u64,
    /// The messages that were removed from the stream.
    pub messages: u64,
    /// When the event was appended.
    pub begun_at: Timestamp,
    /// When nothing was left.
    pub done_at: Option<Timestamp>,
}

impl Store {
    /// Returns erasures that are not done.
    pub async fn pending_erasures(&self) -> Result<Vec<(AccountId, Uid)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(PENDING).await?;
        let pending = client.query(&statement, &[&MAX_PENDING]).await?;
        Ok(pending.iter().map(|row| (AccountId(row.get(0)), Uid(row.get(1)))).collect())
    }

    /// Returns the erasure of a contact; `None` where it was not erased.
    pub async fn erasure(&self, account: AccountId, uid: Uid) -> Result<Option<Erasure>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(READ).await?;
        client.query_opt(&statement, &[&account.0, &uid.0]).await?.as_ref().map(erasure).transpose()
    }

    /// Ends the stage `memory` where every live replica has confirmed; returns whether it ended.
    pub async fn leave_memory(&self, account: AccountId, uid: Uid) -> Result<bool, StoreError> {
        let client = self.writer().await?;
        let parameters: [&(dyn ToSql + Sync); 3] = [&account.0, &uid.0, &i64::from(MEMBER)];
        Ok(client.execute(LEAVE_MEMORY, &parameters).await? > 0)
    }

    /// Ends the last stage, in which this number of messages was removed from the stream. Forgets the person's addresses and
    /// telephone numbers.
    pub async fn finish_erasure(&self, account: AccountId, uid: Uid, messages: u64) -> Result<bool, StoreError> {
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        let client = self.writer().await?;
        Ok(client.execute(FINISH, &[&account.0, &uid.0, &messages]).await? > 0)
    }
}

/// Locks an erasure; `None` where another replica works on it, or it is in another stage by now.
async fn lock(
    transaction: &Transaction<'_>,
    account: AccountId,
    uid: Uid,
    stage: ErasureStage,
) -> Result<Option<Erasure>, StoreError> {
    let parameters: [&(dyn ToSql + Sync); 3] = [&account.0, &uid.0, &stage.name()];
    transaction.query_opt(LOCK, &parameters).await?.as_ref().map(erasure).transpose()
}

fn uuids(uids: impl IntoIterator<Item = Uid>) -> Vec<Uuid> {
    uids.into_iter().map(|uid| uid.0).collect()
}

fn erasure(row: &PgRow) -> Result<Erasure, StoreError> {
    let (account, uid) = (AccountId(row.get("account_id")), Uid(row.get("uid")));
    let key = format!("{account}/{uid}");
    let name: &str = row.get("stage");
    let stage =
        ErasureStage::from_name(name).ok_or_else(|| StoreError::corrupt("erasure", "stage", &key, name.to_owned()))?;
    let list = |column: &str| row.get::<_, Vec<Uuid>>(column).into_iter().map(Uid);
    Ok(Erasure {
        account,
        uid,
        seq: Seq(row.get("seq")),
        stage,
        eraser: Eraser { uids: list("uids").collect(), texts: row.get("texts") },
        related: list("related").collect(),
        scanned: Seq(row.get("scanned")),
        through: row.get::<_, Option<i64>>("through").map(Seq),
        events: columns::count(row, "erasure", "events", &key)?,
        messages: columns::count(row, "erasure", "messages", &key)?,
        begun_at: row.get("begun_at"),
        done_at: row.get("done_at"),
    })
}
