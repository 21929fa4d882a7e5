//! Durable consumers on the stream: a plain table. JetStream has a copy of each, which is made again where it is lost.

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use crate::domain::{AccountId, Entity, Seq, Timestamp};
use crate::store::account_changes::AccountChange;
use crate::store::{Store, StoreError, columns};

const COUNT: &str = "-- sync_consumer.count
select count(*) as consumers from sync_consumer where account_id = $1";

const INSERT: &str = "-- sync_consumer.insert
insert into sync_consumer (account_id, name, consumer_id, entity, start_seq, acked_seq, created_at)
values ($1, $2, $3, $4, $5, $5, $6)
on conflict (account_id, name) do nothing";

const DELETE: &str = "-- sync_consumer.delete
delete from sync_consumer where account_id = $1 and name = $2";

const LIST: &str = "-- sync_consumer.list
select account_id, name, consumer_id, entity, start_seq, acked_seq, created_at
from sync_consumer where account_id = $1 and ($2::text is null or name = $2) order by name";

const PAGE: &str = "-- sync_consumer.page
select account_id, name, consumer_id, entity, start_seq, acked_seq, created_at
from sync_consumer where (account_id, name) > ($1, $2) order by account_id, name limit $3";

const ACKNOWLEDGED: &str = "-- sync_consumer.acknowledged
update sync_consumer c set acked_seq = u.seq
from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as u(account_id, consumer_id, seq)
where c.account_id = u.account_id and c.consumer_id = u.consumer_id and c.acked_seq < u.seq";

/// A durable consumer of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConsumer {
    pub account: AccountId,
    /// Unique in the account.
    pub name: String,
    /// Tells it from an earlier consumer of the same name.
    pub consumer_id: Uuid,
    /// The kind of records whose events it gets; `None` means all.
    pub entity: Option<Entity>,
    /// The event after which it began.
    pub start: Seq,
    /// The event up to which all are known to be acknowledged.
    pub acknowledged: Seq,
    pub created_at: Timestamp,
}

/// The position of a page of the consumers of all accounts: the last one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerPosition {
    pub account: AccountId,
    pub name: String,
}

impl Store {
    /// Returns an account's consumers by name.
    pub async fn consumers(&self, account: AccountId) -> Result<Vec<StoredConsumer>, StoreError> {
        let client = self.admitter().await?;
        let statement = client.prepare_cached(LIST).await?;
        let rows = client.query(&statement, &[&account.0, &None::<&str>]).await?;
        rows.iter().map(consumer).collect()
    }

    /// Returns one of an account's consumers.
    pub async fn consumer(&self, account: AccountId, name: &str) -> Result<Option<StoredConsumer>, StoreError> {
        let client = self.reader().await?;
        let row = client.query_opt(LIST, &[&account.0, &Some(name)]).await?;
        row.as_ref().map(consumer).transpose()
    }

    /// Returns the consumers of all accounts after a position, by account and name.
    pub async fn consumers_after(
        &self,
        position: &ConsumerPosition,
        limit: i64,
    ) -> Result<Vec<StoredConsumer>, StoreError> {
        let client = self.reader().await?;
        let rows = client.query(PAGE, &[&position.account.0, &position.name, &limit]).await?;
        rows.iter().map(consumer).collect()
    }

    /// Writes up to which event consumers have acknowledged. A position never goes back.
    pub async fn consumers_acknowledged(&self, acknowledged: &[(AccountId, Uuid, Seq)]) -> Result<(), StoreError> {
        let accounts: Vec<Uuid> = acknowledged.iter().map(|(account, ..)| account.0).collect();
        let ids: Vec<Uuid> = acknowledged.iter().map(|(_, id, _)| *id).collect();
        let positions: Vec<i64> = acknowledged.iter().map(|(.., seq)| seq.0).collect();
        let client = self.writer().await?;
        client.execute(ACKNOWLEDGED, &[&accounts, &ids, &positions]).await?;
        Ok(())
    }
}

impl AccountChange {
    /// Returns the number of the account's consumers.
    pub async fn consumer_count(&self) -> Result<usize, StoreError> {
        let row = self.client()?.query_one(COUNT, &[&self.account().0]).await?;
        columns::integer::<i64, _>(&row, "sync_consumer", "consumers", &self.account())
    }

    /// Adds a consumer; false where the account has one of this name.
    pub async fn insert_consumer(&self, new: &StoredConsumer) -> Result<bool, StoreError> {
        let StoredConsumer { account: _, name, consumer_id, entity, start, acknowledged: _, created_at } = new;
        let entity = entity.map(Entity::name);
        let values: crate::store::Params<'_, 6> = [&self.account().0, name, consumer_id, &entity, &start.0, created_at];
        Ok(self.client()?.execute(INSERT, &values).await? > 0)
    }

    /// Deletes a consumer; false where there is none.
    pub async fn delete_consumer(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.client()?.execute(DELETE, &[&self.account().0, &name]).await? > 0)
    }
}

fn consumer(row: &PgRow) -> Result<StoredConsumer, StoreError> {
    let (account, name) = (AccountId(row.get("account_id")), row.get::<_, String>("name"));
    let entity: Option<&str> = row.get("entity");
    let known = entity.map(|entity| {
        Entity::from_name(entity).ok_or_else(|| {
            StoreError::corrupt("sync_consumer", "entity", format!("{account}/{name}"), entity.to_owned())
        })
    });
    Ok(StoredConsumer {
        account,
        entity: known.transpose()?,
        name,
        consumer_id: row.get("consumer_id"),
        start: Seq(row.get("start_seq")),
        acknowledged: Seq(row.get("acked_seq")),
        created_at: row.get("created_at"),
    })
}
