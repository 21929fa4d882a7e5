//! Reading logs in bulk.

use std::pin::pin;

use deadpool_postgres::Object;
use futures_util::StreamExt as _;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::Session;
use crate::contract::event::parse_kind;
use crate::domain::{AccountId, Entity, Seq, Timestamp, Uid};
use crate::store::{Params, StoreError};

const HEADS: &str = "-- rebuild.heads
select coalesce(a.account_id, h.account_id), h.seq from account a full join head h on h.account_id = a.account_id
where $1::uuid[] is null or coalesce(a.account_id, h.account_id) = any($1)";

const INDEX: &str = "-- rebuild.log_index
select seq, type, uid from event where account_id = $1 and seq > $2 and seq <= $3 order by seq";

/// Ends where the sum of the bodies' lengths exceeds $4, after at least one event.
const EVENTS: &str = "-- rebuild.events
select seq, uid, type, at, origin, body
from (
    select seq, uid, type, at, origin, body, octet_length(body) as length,
        sum(octet_length(body)) over (order by seq rows unbounded preceding) as total
    from event where account_id = $1 and seq > $2 and seq <= $3
) as e
where total <= $4 or total = length
order by seq";

const EVENTS_OF: &str = "-- rebuild.events_of
select e.account_id, e.seq, e.uid, e.type, e.at, e.origin, e.body
from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as p(account_id, after, through)
join event e on e.account_id = p.account_id and e.seq > p.after and e.seq <= p.through
order by e.account_id, e.seq";

/// The most bytes of bodies that are read at once.
const PAGE_BYTES: i64 = 16 << 20;

/// An event as far as the index of a log needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexEntry {
    pub(crate) seq: Seq,
    /// `None` where the type is unknown.
    pub(crate) entity: Option<Entity>,
    pub(crate) uid: Uid,
}

/// A row of the log. Nothing of it was checked.
#[derive(Debug, Clone)]
pub(crate) struct LoggedEvent {
    pub(crate) seq: Seq,
    pub(crate) uid: Uid,
    /// `contact.created`.
    pub(crate) kind: String,
    pub(crate) at: Timestamp,
    pub(crate) origin: String,
    pub(crate) body: String,
}

const BEGIN_SNAPSHOT: &str = "-- verify.begin_snapshot
begin isolation level repeatable read read only; lock table search_cursor in access share mode";

/// A session that reads logs and read models.
pub(crate) struct LogReader {
    session: Session,
}

impl LogReader {
    pub(super) fn new(client: Object) -> Self {
        Self { session: Session(Some(client)) }
    }

    pub(super) fn client(&self) -> Result<&Object, StoreError> {
        self.session.client()
    }

    /// Returns the ends of all logs, or of these accounts' logs; `None` is the end of a log without a head.
    pub(crate) async fn heads(&self, only: Option<&[AccountId]>) -> Result<Vec<(AccountId, Option<Seq>)>, StoreError> {
        let only: Option<Vec<Uuid>> = only.map(|only| only.iter().map(|account| account.0).collect());
        let rows = self.client()?.query(HEADS, &[&only]).await?;
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), row.get::<_, Option<i64>>(1).map(Seq))).collect())
    }

    /// Begins a transaction whose reads all see the same commits. The snapshot is taken after the lock: one from before a
    /// swap would find the new tables without the rows that the swap's transaction wrote.
    pub(crate) async fn begin_snapshot(&self) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute(BEGIN_SNAPSHOT).await?)
    }

    pub(crate) async fn end_snapshot(&self) -> Result<(), StoreError> {
        Ok(self.client()?.batch_execute("commit").await?)
    }

    /// Returns the records to which the events of a range belong, in the order of the log.
    pub(crate) async fn index(
        &self,
        account: AccountId,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(INDEX).await?;
        let entry = |row: &PgRow| IndexEntry {
            seq: Seq(row.get(0)),
            entity: parse_kind(row.get(1)).map(|(entity, _)| entity),
            uid: Uid(row.get(2)),
        };
        Ok(client.query(&statement, &[&account.0, &after.0, &through.0]).await?.iter().map(entry).collect())
    }

    /// Returns the events of a range, in order: all of them, or the first 16 MiB.
    pub(crate) async fn events(
        &self,
        account: AccountId,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<LoggedEvent>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(EVENTS).await?;
        let parameters: Params<'_, 4> = [&account.0, &after.0, &through.0, &PAGE_BYTES];
        let mut stream = pin!(client.query_raw(&statement, parameters).await?);
        let mut events = Vec::new();
        // Streamed, so that a row is freed once its event is built.
        while let Some(row) = stream.next().await.transpose()? {
            events.push(logged(&row));
        }
        Ok(events)
    }

    /// Returns the events of several accounts, each after one position up to another, in the order of accounts and logs.
    pub(crate) async fn events_of(
        &self,
        ranges: &[(AccountId, Seq, Seq)],
    ) -> Result<Vec<(AccountId, LoggedEvent)>, StoreError> {
        let client = self.client()?;
        let statement = client.prepare_cached(EVENTS_OF).await?;
        let accounts: Vec<Uuid> = ranges.iter().map(|(account, ..)| account.0).collect();
        let after: Vec<i64> = ranges.iter().map(|(_, after, _)| after.0).collect();
        let through: Vec<i64> = ranges.iter().map(|(.., through)| through.0).collect();
        let rows = client.query(&statement, &[&accounts, &after, &through]).await?;
        Ok(rows.iter().map(|row| (AccountId(row.get("account_id")), logged(row))).collect())
    }
}

fn logged(row: &PgRow) -> LoggedEvent {
    LoggedEvent {
        seq: Seq(row.get("seq")),
        uid: Uid(row.get("uid")),
        kind: row.get("type"),
        at: row.get("at"),
        origin: row.get("origin"),
        body: row.get("body"),
    }
}
