//! Reading the log.

use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::Row as PgRow;

use super::{Store, StoreError};
use crate::contract::Wire;
use crate::contract::event::parse_kind;
use crate::domain::{AccountId, Seq, Uid};

const HEAD: &str = "-- log.head
select seq, epoch from head where account_id = $1";

const AFTER: &str = "-- log.after
select account_id, seq, uid, type, at, origin, body from event
where account_id = $1 and seq > $2 order by seq limit $3";

const ALL_AT: &str = "-- log.all_at
select account_id, seq, uid, type, at, origin, body from event where account_id = $1 and seq = any($2) order by seq";

const RECORD_AT: &str = "-- log.record_at
select (body::json->'data'->'record')::text from event where account_id = $1 and seq = $2";

const BEHIND_RELAY: &str = "-- log.behind_relay
select h.account_id, h.seq - coalesce(c.seq, 0) as lag, h.seq
from head h left join relay_cursor c on c.account_id = h.account_id
where h.seq > coalesce(c.seq, 0)";

const REWIND_RELAY: &str = "-- relay_cursor.rewind
update relay_cursor set seq = 0 where seq > 0 and ($1::uuid is null or account_id = $1)";

/// The end of an account's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Head {
    pub seq: Seq,
    pub epoch: i32,
}

impl Store {
    /// The end of the log; `None` where there is no such account.
    pub async fn head(&self, account: AccountId) -> Result<Option<Head>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(HEAD).await?;
        let row = client.query_opt(&statement, &[&account.0]).await?;
        Ok(row.map(|row| Head { seq: Seq(row.get(0)), epoch: row.get(1) }))
    }

    /// At most `limit` events after a position, in order.
    pub async fn events_after(&self, account: AccountId, after: Seq, limit: usize) -> Result<Vec<Wire>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(AFTER).await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        client.query(&statement, &[&account.0, &after.0, &limit]).await?.iter().map(wire).collect()
    }

    /// The events at positions, in the order of the log.
    pub async fn events_at(&self, account: AccountId, seqs: &[Seq]) -> Result<Vec<Wire>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(ALL_AT).await?;
        let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
        client.query(&statement, &[&account.0, &seqs]).await?.iter().map(wire).collect()
    }

    /// The record as the event at a position shows it, byte for byte.
    pub async fn event_record(&self, account: AccountId, seq: Seq) -> Result<Option<String>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(RECORD_AT).await?;
        Ok(client.query_opt(&statement, &[&account.0, &seq.0]).await?.map(|row| row.get(0)))
    }

    /// Every account whose log is ahead of the relay, by how many events, and its head.
    pub async fn behind_relay(&self) -> Result<Vec<(AccountId, u64, Seq)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(BEHIND_RELAY).await?;
        let rows = client.query(&statement, &[]).await?;
        let lag = |row: &PgRow| u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), lag(row), Seq(row.get(2)))).collect())
    }

    /// Puts the relay of one account, or of all, back to the beginning: it will publish again what the stream lacks.
    pub async fn rewind_relay(&self, account: Option<AccountId>) -> Result<u64, StoreError> {
        let client = self.reader().await?;
        Ok(client.execute(REWIND_RELAY, &[&account.map(|account| account.0)]).await?)
    }
}

fn wire(row: &PgRow) -> Result<Wire, StoreError> {
    let account = AccountId(row.get(0));
    let seq = Seq(row.get(1));
    let kind: &str = row.get(3);
    let (entity, verb) = parse_kind(kind)
        .ok_or_else(|| StoreError::corrupt("event", "type", format!("{account}:{seq}"), kind.to_owned()))?;
    Ok(Wire {
        account,
        seq,
        entity,
        verb,
        uid: Uid(row.get(2)),
        at: row.get(4),
        origin: Arc::from(row.get::<_, &str>(5)),
        body: Bytes::from(row.get::<_, String>(6)),
    })
}
