//! Reading the log.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Params, Store, StoreError, columns};
use crate::contract::EncodedEvent;
use crate::contract::event::{id_of, parse_kind};
use crate::domain::{AccountId, Seq, Uid};

const HEAD: &str = "-- log.head
select seq, epoch from head where account_id = $1";

const HEADS: &str = "-- log.heads
select account_id, seq, epoch from head where account_id = any($1)";

/// Ends where the sum of the bodies' lengths exceeds $4, after at least one event. PostgreSQL knows a length without
/// reading the body, so long bodies are read only for the returned rows. `more` looks one row beyond the limit.
const AFTER: &str = "-- log.after
select account_id, seq, uid, type, at, origin, body, more
from (
    select account_id, seq, uid, type, at, origin, body, octet_length(body) as length,
        sum(octet_length(body)) over log as total, lead(seq) over log is not null as more
    from event where account_id = $1 and seq > $2
    window log as (order by seq rows unbounded preceding)
    order by seq limit $3
) as e
where total <= $4 or total = length
order by seq";

/// Reads all of the wanted events, and of the further ones as many as fit into $4 bytes together with those.
const ALL_AT: &str = "-- log.all_at
select account_id, seq, uid, type, at, origin, body
from (
    select account_id, seq, uid, type, at, origin, body, seq = any($2) as is_wanted,
        sum(octet_length(body)) over (order by seq = any($2) desc, seq rows unbounded preceding) as total
    from event where account_id = $1 and seq = any($2::bigint[] || $3::bigint[])
) as e
where is_wanted or total <= $4
order by seq";

const RECORD_AT: &str = "-- log.record_at
select (body::json->'data'->'record')::text from event where account_id = $1 and seq = $2";

const BEHIND_RELAY: &str = "-- log.behind_relay
select h.account_id, h.seq - coalesce(c.seq, 0) as lag, h.seq
from head h left join relay_cursor c on c.account_id = h.account_id
where h.seq <> coalesce(c.seq, 0) or c.repair_id is not null";

/// The end of an account's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: Seq,
    pub epoch: i32,
}

/// The largest size of a page of the log. The first event is on the page whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLimit {
    /// The most events.
    pub events: usize,
    /// The most bytes of their bodies.
    pub bytes: usize,
}

/// Events of an account's log, in order and without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// Empty at the end of the log.
    pub events: Vec<EncodedEvent>,
    /// Whether the log is known to have events after the last of them.
    pub more: bool,
}

impl Store {
    /// Returns the end of the log; `None` where there is no such account.
    pub async fn head(&self, account: AccountId) -> Result<Option<Head>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(HEAD).await?;
        let row = client.query_opt(&statement, &[&account.0]).await?;
        Ok(row.map(|row| Head { seq: Seq(row.get(0)), epoch: row.get(1) }))
    }

    /// Returns the ends of several accounts' logs. Does not queue behind long reads.
    pub async fn heads(&self, accounts: &[AccountId]) -> Result<Vec<(AccountId, Head)>, StoreError> {
        let client = self.admitter().await?;
        let statement = client.prepare_cached(HEADS).await?;
        let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
        let rows = client.query(&statement, &[&accounts]).await?;
        let head = |row: &PgRow| Head { seq: Seq(row.get(1)), epoch: row.get(2) };
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), head(row))).collect())
    }

    /// Returns the events after a position, in order. Reads no more than the limit.
    pub async fn events_after(
        &self,
        account: AccountId,
        after: Seq,
        limit: PageLimit,
    ) -> Result<EventPage, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(AFTER).await?;
        let (events, bytes) = (columns::limit(limit.events), columns::limit(limit.bytes));
        let parameters: Params<'_, 4> = [&account.0, &after.0, &events, &bytes];
        let mut rows = pin!(client.query_raw(&statement, parameters).await?);
        let mut page = EventPage { events: Vec::new(), more: false };
        // Streamed, so that a row is freed once its event is built.
        while let Some(row) = rows.next().await.transpose()? {
            page.events.push(wire(&row)?);
            page.more = row.get("more");
        }
        Ok(page)
    }

    /// Returns the events at the wanted positions, and at further ones as far as they fit into `bytes` together with those, in
    /// the order of the log.
    pub async fn events_at(
        &self,
        account: AccountId,
        wanted: &[Seq],
        further: &[Seq],
        bytes: usize,
    ) -> Result<Vec<EncodedEvent>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(ALL_AT).await?;
        let numbers = |seqs: &[Seq]| seqs.iter().map(|seq| seq.0).collect::<Vec<i64>>();
        let parameters: Params<'_, 4> = [&account.0, &numbers(wanted), &numbers(further), &columns::limit(bytes)];
        client.query(&statement, &parameters).await?.iter().map(wire).collect()
    }

    /// Returns the record that the event at a position contains, byte for byte.
    pub async fn event_record(&self, account: AccountId, seq: Seq) -> Result<Option<String>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(RECORD_AT).await?;
        Ok(client.query_opt(&statement, &[&account.0, &seq.0]).await?.map(|row| row.get(0)))
    }

    /// Returns every account whose relay has work, with the number of unpublished events and the head. The number is zero
    /// where the relay has only a repair pending, or its cursor is beyond the end of the log.
    pub async fn behind_relay(&self) -> Result<Vec<(AccountId, u64, Seq)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(BEHIND_RELAY).await?;
        let rows = client.query(&statement, &[]).await?;
        // A cursor beyond the end of the log, after a restore, is behind by no event.
        let lag = |row: &PgRow| row.get::<_, i64>(1).max(0).unsigned_abs();
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), lag(row), Seq(row.get(2)))).collect())
    }
}

/// Returns the event of a row with the columns `account_id`, `seq`, `uid`, `type`, `at`, `origin` and `body`.
pub(super) fn wire(row: &PgRow) -> Result<EncodedEvent, StoreError> {
    let account = AccountId(row.get("account_id"));
    let seq = Seq(row.get("seq"));
    let kind: &str = row.get("type");
    let (entity, event_type) = parse_kind(kind)
        .ok_or_else(|| StoreError::corrupt("event", "type", format!("{account}:{seq}"), kind.to_owned()))?;
    let body: String = row.get("body");
    let id = id_of(&body)
        .ok_or_else(|| StoreError::corrupt("event", "body", format!("{account}:{seq}"), "it has no readable id"))?;
    Ok(EncodedEvent {
        account,
        epoch: id.epoch,
        seq,
        entity,
        event_type,
        uid: Uid(row.get("uid")),
        at: row.get("at"),
        origin: Arc::from(row.get::<_, &str>("origin")),
        body: Bytes::from(body),
    })
}
