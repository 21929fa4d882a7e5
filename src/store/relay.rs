//! The relay's cursors in accounts' logs, identities of events, and repairs that operators request.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio_postgres::types::Type;
use uuid::Uuid;

use super::log::wire;
use super::owner::ShardOwner;
use super::{Store, StoreError};
use crate::contract::Identity;
use crate::domain::{AccountId, Seq};

const STATUS: &str = "-- relay_cursor.status
select h.account_id, h.seq, coalesce(c.seq, 0) as cursor, c.repair, c.repair_id
from head h left join relay_cursor c on c.account_id = h.account_id where h.account_id = any($1)";

const IDENTITIES: &str = "-- log.identities
select account_id, seq, uid, type, at, origin, left(body, 128) as body,
    at > now() - make_interval(secs => $3) as is_retained
from event
where account_id = $1 and seq = any($2)";

/// Reads backwards from the end over the retained events, which a refill publishes.
const RETAINED_AFTER: &str = "-- log.retained_after
select seq from event where account_id = $1 and at <= now() - make_interval(secs => $2) order by seq desc limit 1";

/// Locks in the order of the ids, because every replica executes this at its start and none must deadlock another.
const BEGIN_STREAM: &str = "-- relay_cursor.begin_stream
with others as (
    select account_id from relay_cursor where stream is distinct from $1 order by account_id for update
)
update relay_cursor c set seq = case when c.stream is null then c.seq else 0 end, stream = $1
from others o where c.account_id = o.account_id";

const REMOVED: &str = "-- removed_message.list
select seq from removed_message where account_id = $1";

const FORGET_REMOVED: &str = "-- removed_message.forget
delete from removed_message where account_id = $1";

/// Those that the retention has removed since are of no interest any more.
const ADD_REMOVED: &str = "-- removed_message.add
with over as (
    delete from removed_message where account_id = $1 and seq <= $3
)
insert into removed_message (account_id, seq) select $1, seq from unnest($2::bigint[]) as r(seq)
on conflict do nothing";

const PAGE: &str = "-- relay_cursor.page
select account_id from relay_cursor where account_id > $1 order by account_id limit $2";

const REPAIR: &str = "-- relay_cursor.repair
insert into relay_cursor (account_id, seq, repair, repair_id) values ($1, 0, $2, $3)
on conflict (account_id) do update set repair = excluded.repair, repair_id = excluded.repair_id";

const PUT_BACK: &str = "-- relay_cursor.put_back
update relay_cursor set seq = $2 where account_id = $1 and seq > $2";

const REWIND: &str = "-- relay_cursor.rewind
update relay_cursor set seq = 0 where seq > 0 and ($1::uuid is null or account_id = $1)";

/// A repair of an account's messages in the stream. Nothing is published for the account before it is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Removes all messages of the account and publishes the retained events again.
    Refill,
    /// Removes the last messages that the log does not have.
    Truncate,
}

impl Repair {
    /// Returns the stored name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refill => "refill",
            Self::Truncate => "truncate",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Refill, Self::Truncate].into_iter().find(|repair| repair.name() == name)
    }
}

/// The end of an account's log, and the state of its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayStatus {
    /// The end of the log.
    pub head: Seq,
    /// The last event that is recorded as published; zero where none is.
    pub cursor: Seq,
    /// The requested repair and its id.
    pub repair: Option<(Repair, Uuid)>,
}

/// An event of the log, without its contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logged {
    /// The identity of the event.
    pub identity: Identity,
    /// Whether the event is younger than the stream's maximum age.
    pub is_retained: bool,
}

impl ShardOwner {
    /// Returns the state of an account's relay; `None` where there is no such account.
    pub async fn relay_status(&self, account: AccountId) -> Result<Option<RelayStatus>, StoreError> {
        Ok(self.relay_statuses(&[account]).await?.remove(&account))
    }

    /// Returns the states of the relays of these accounts, without those that do not exist.
    pub async fn relay_statuses(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, RelayStatus>, StoreError> {
        let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
        self.client.query_typed(STATUS, &[(&accounts, Type::UUID_ARRAY)]).await?.iter().map(status).collect()
    }

    /// Returns the events at these positions of an account's log, without those that it does not have. Events younger than
    /// `max_age` are retained.
    pub async fn logged(
        &self,
        account: AccountId,
        seqs: &[Seq],
        max_age: Duration,
    ) -> Result<HashMap<Seq, Logged>, StoreError> {
        let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
        let age = max_age.as_secs_f64();
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&account.0, Type::UUID), (&seqs, Type::INT8_ARRAY), (&age, Type::FLOAT8)];
        let rows = self.client.query_typed(IDENTITIES, &values).await?;
        rows.iter().map(logged).collect()
    }

    /// Returns the events of an account whose messages an erasure removed.
    pub async fn removed_messages(&self, account: AccountId) -> Result<BTreeSet<Seq>, StoreError> {
        Ok(seqs(&self.client.query_typed(REMOVED, &[(&account.0, Type::UUID)]).await?))
    }

    /// Forgets that messages were removed, because all of the account's are published again.
    pub async fn forget_removed_messages(&self, account: AccountId) -> Result<(), StoreError> {
        self.client.query_typed(FORGET_REMOVED, &[(&account.0, Type::UUID)]).await?;
        Ok(())
    }

    /// Moves an account's relay cursor back to a position, if it is beyond it.
    pub async fn put_relay_back(&self, account: AccountId, to: Seq) -> Result<(), StoreError> {
        self.client.query_typed(PUT_BACK, &[(&account.0, Type::UUID), (&to.0, Type::INT8)]).await?;
        Ok(())
    }

    /// Returns the position before the first event that is younger than `max_age`.
    pub async fn retained_after(&self, account: AccountId, max_age: Duration) -> Result<Seq, StoreError> {
        let age = max_age.as_secs_f64();
        let values: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 2] =
            [(&account.0, Type::UUID), (&age, Type::FLOAT8)];
        let row = self.client.query_typed_opt(RETAINED_AFTER, &values).await?;
        Ok(row.map_or(Seq::ZERO, |row| Seq(row.get(0))))
    }
}

impl Store {
    /// Records the stream to which events are published from now on. Cursors of another stream start over, because its
    /// events count as not published. Returns the number of these accounts.
    pub async fn begin_stream(&self, made_at_ns: i64) -> Result<u64, StoreError> {
        Ok(self.writer().await?.execute(BEGIN_STREAM, &[&made_at_ns]).await?)
    }

    /// Returns the next accounts that have a relay cursor, in the order of their ids.
    pub async fn relayed_accounts(&self, after: AccountId, limit: i64) -> Result<Vec<AccountId>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(PAGE).await?;
        let rows = client.query(&statement, &[&after.0, &limit]).await?;
        Ok(rows.iter().map(|row| AccountId(row.get(0))).collect())
    }

    /// Like [`ShardOwner::removed_messages`], without ownership of the shard.
    pub async fn removed_messages(&self, account: AccountId) -> Result<BTreeSet<Seq>, StoreError> {
        Ok(seqs(&self.reader().await?.query(REMOVED, &[&account.0]).await?))
    }

    /// Records events whose messages an erasure removes; before `retained` the stream has none any more.
    pub async fn add_removed_messages(
        &self,
        account: AccountId,
        removed: &[Seq],
        retained: Seq,
    ) -> Result<(), StoreError> {
        let removed: Vec<i64> = removed.iter().map(|seq| seq.0).collect();
        self.writer().await?.execute(ADD_REMOVED, &[&account.0, &removed, &retained.0]).await?;
        Ok(())
    }

    /// Requests a repair from the owner of the account's shard. Replaces an earlier request.
    pub async fn request_relay_repair(&self, account: AccountId, repair: Repair, id: Uuid) -> Result<(), StoreError> {
        self.writer().await?.execute(REPAIR, &[&account.0, &repair.name(), &id]).await?;
        Ok(())
    }

    /// Returns the last event of an account that is recorded as published, at most the last event of its log.
    pub async fn relayed_through(&self, account: AccountId) -> Result<Seq, StoreError> {
        let row = self.reader().await?.query_opt(STATUS, &[&[account.0].as_slice()]).await?;
        Ok(row.map_or(Seq::ZERO, |row| Seq(row.get("cursor")).min(Seq(row.get("seq")))))
    }

    /// Like [`ShardOwner::retained_after`], without ownership of the shard.
    pub async fn retained_after(&self, account: AccountId, max_age: Duration) -> Result<Seq, StoreError> {
        let row = self.reader().await?.query_opt(RETAINED_AFTER, &[&account.0, &max_age.as_secs_f64()]).await?;
        Ok(row.map_or(Seq::ZERO, |row| Seq(row.get(0))))
    }

    /// Moves an account's relay cursor back to a position, if it is beyond it; returns whether it was. The relay then
    /// compares the stream with the log.
    pub async fn put_relay_back(&self, account: AccountId, to: Seq) -> Result<bool, StoreError> {
        Ok(self.writer().await?.execute(PUT_BACK, &[&account.0, &to.0]).await? > 0)
    }

    /// Moves the relay cursor of one account, or of all, back to the beginning; returns how many. The relay then compares the
    /// stream with the log.
    pub async fn rewind_relay(&self, account: Option<AccountId>) -> Result<u64, StoreError> {
        let client = self.writer().await?;
        Ok(client.execute(REWIND, &[&account.map(|account| account.0)]).await?)
    }

    /// Like [`ShardOwner::logged`], without ownership of the shard.
    pub async fn identities(
        &self,
        account: AccountId,
        seqs: &[Seq],
        max_age: Duration,
    ) -> Result<HashMap<Seq, Logged>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(IDENTITIES).await?;
        let seqs: Vec<i64> = seqs.iter().map(|seq| seq.0).collect();
        let rows = client.query(&statement, &[&account.0, &seqs, &max_age.as_secs_f64()]).await?;
        rows.iter().map(logged).collect()
    }
}

fn seqs(positions: &[tokio_postgres::Row]) -> BTreeSet<Seq> {
    positions.iter().map(|row| Seq(row.get(0))).collect()
}

fn status(row: &tokio_postgres::Row) -> Result<(AccountId, RelayStatus), StoreError> {
    let account = AccountId(row.get("account_id"));
    let repair = match row.get::<_, Option<&str>>("repair") {
        None => None,
        Some(name) => Some(
            Repair::from_name(name)
                .ok_or_else(|| StoreError::corrupt("relay_cursor", "repair", account, name.to_owned()))?,
        ),
    };
    let repair = match (repair, row.get::<_, Option<Uuid>>("repair_id")) {
        (Some(repair), Some(id)) => Some((repair, id)),
        (None, _) => None,
        (Some(_), None) => return Err(StoreError::corrupt("relay_cursor", "repair_id", account, "null")),
    };
    Ok((account, RelayStatus { head: Seq(row.get("seq")), cursor: Seq(row.get("cursor")), repair }))
}

fn logged(row: &tokio_postgres::Row) -> Result<(Seq, Logged), StoreError> {
    let event = wire(row)?;
    Ok((event.seq, Logged { identity: Identity::of(&event), is_retained: row.get("is_retained") }))
}
