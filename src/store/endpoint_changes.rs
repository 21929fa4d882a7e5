//! Changes of an account's push endpoints: one transaction each, under the lock on the account's head.
//!
//! The lock makes changes of one account follow each other, so that the limit on the number of endpoints holds and a
//! request with an idempotency key is executed once. A change never writes a cursor, because only the replica that owns
//! the endpoint's shard does: it queues a cursor command for that replica.

use std::time::Duration;

use deadpool_postgres::Object;
use uuid::Uuid;

use super::audit::{By, INSERT_AUDIT};
use super::batch::LOCK_HEADS;
use super::idempotency::{self, IdempotencyRecord};
use super::{Store, StoreError, columns, endpoints};
use crate::clock;
use crate::domain::endpoint::{CursorCommand, Endpoint, EndpointState};
use crate::domain::{AccountId, Seq, Timestamp};

const COUNT: &str = "-- push_endpoint.count
select count(*) as endpoints from push_endpoint where account_id = $1";

/// Disabling an endpoint and rotating the master key write the row too, and do not lock the head.
const LOCK: &str = "-- push_endpoint.lock
select from push_endpoint where account_id = $1 and endpoint_id = $2 for update";

const ENQUEUE: &str = "-- push_cursor_command.insert
insert into push_cursor_command (account_id, endpoint_id, command_id, kind, from_seq, to_seq, at)
values ($1, $2, $3, $4, $5, $6, $7)";

/// An open change. Dropped before it is committed, it is rolled back.
pub struct PushChange {
    /// `None` once the transaction has ended. Otherwise dropping the change closes the connection, and the server rolls back.
    client: Option<Object>,
    account: AccountId,
}

impl Drop for PushChange {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

/// An opened change, with the state that it was opened on.
pub struct Opened {
    /// The change.
    pub change: PushChange,
    /// The end of the log.
    pub head: Seq,
    /// The idempotency records of the same keys.
    pub idempotency_records: Vec<IdempotencyRecord>,
}

impl Store {
    /// Opens a change and looks up the idempotency records of keys that are younger than `idempotency_ttl`; `None` where there
    /// is no such account.
    pub async fn change_push(
        &self,
        account: AccountId,
        keys: &[&str],
        idempotency_ttl: Duration,
    ) -> Result<Option<Opened>, StoreError> {
        let client = self.writer().await?;
        let change = PushChange { client: Some(client), account };
        let client = change.client()?;
        client.batch_execute("begin").await?;
        let heads = client.query(LOCK_HEADS, &[&vec![account.0]]).await?;
        let Some(head) = heads.first() else { return Ok(None) };
        let head = Seq(head.get(1));
        let records = if keys.is_empty() {
            Vec::new()
        } else {
            let (accounts, ttl) = (vec![account.0; keys.len()], idempotency_ttl.as_secs_f64());
            client.query(idempotency::LOAD, &[&accounts, &keys, &ttl]).await?
        };
        let idempotency_records = records.iter().map(idempotency::record).collect::<Result<_, _>>()?;
        Ok(Some(Opened { change, head, idempotency_records }))
    }
}

impl PushChange {
    fn client(&self) -> Result<&Object, StoreError> {
        self.client.as_ref().ok_or_else(|| StoreError::Unavailable("the transaction has ended".into()))
    }

    /// Returns the number of the account's endpoints.
    pub async fn count(&self) -> Result<usize, StoreError> {
        let row = self.client()?.query_one(COUNT, &[&self.account.0]).await?;
        columns::integer::<i64, _>(&row, "push_endpoint", "endpoints", &self.account)
    }

    /// Returns one of the account's endpoints with its cursor, and locks its settings until the change ends.
    pub async fn endpoint(&self, endpoint: Uuid) -> Result<Option<EndpointState>, StoreError> {
        self.client()?.execute(LOCK, &[&self.account.0, &endpoint]).await?;
        // A later statement sees rows that were committed while the lock was waited for.
        let row = self.client()?.query_opt(endpoints::LIST, &[&self.account.0, &endpoint]).await?;
        row.as_ref().map(endpoints::endpoint_state).transpose()
    }

    /// Adds an endpoint whose cursor starts at `from`, or at the end of the log.
    pub async fn insert(&self, new: &Endpoint, from: Option<Seq>) -> Result<(), StoreError> {
        endpoints::insert(self.client()?, new, from).await
    }

    /// Writes an endpoint's settings, status and secrets, and raises its revision.
    pub async fn update(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        endpoints::update(self.client()?, endpoint).await
    }

    /// Deletes an endpoint with all that it has; false where there is none.
    pub async fn delete(&self, endpoint: Uuid) -> Result<bool, StoreError> {
        Ok(self.client()?.execute(endpoints::DELETE, &[&self.account.0, &endpoint]).await? > 0)
    }

    /// Whether an event of the endpoint is parked.
    pub async fn is_parked(&self, endpoint: Uuid, seq: Seq) -> Result<bool, StoreError> {
        let row = self.client()?.query_opt(endpoints::IS_PARKED, &[&self.account.0, &endpoint, &seq.0]).await?;
        Ok(row.is_some())
    }

    /// Queues a cursor command for the replica that owns the endpoint's shard.
    pub async fn enqueue(&self, endpoint: Uuid, command: CursorCommand, at: Timestamp) -> Result<(), StoreError> {
        let (kind, from, to) = endpoints::columns_of(command);
        let id = clock::fresh_uid().0;
        self.client()?.execute(ENQUEUE, &[&self.account.0, &endpoint, &id, &kind, &from, &to, &at]).await?;
        Ok(())
    }

    /// Commits with an audit row, and with an idempotency record where the request had a key.
    pub async fn commit(
        mut self,
        by: By<'_>,
        action: &str,
        detail: &serde_json::Value,
        record: Option<IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let client = self.client()?;
        let (accounts, ids) = (vec![self.account.0], vec![clock::fresh_uid().0]);
        client.execute(INSERT_AUDIT, &[&accounts, &ids, &by.at, &by.actor, &action, &detail.to_string()]).await?;
        store(client, record).await?;
        client.batch_execute("commit").await?;
        // After a commit the connection goes back to the pool.
        drop(self.client.take());
        Ok(())
    }

    /// Rolls back and returns the connection to the pool.
    pub async fn roll_back(mut self) -> Result<(), StoreError> {
        self.client()?.batch_execute("rollback").await?;
        drop(self.client.take());
        Ok(())
    }

    /// Commits the idempotency record alone, because the request changed nothing in this transaction.
    pub async fn commit_idempotency_record(mut self, record: Option<IdempotencyRecord>) -> Result<(), StoreError> {
        let client = self.client()?;
        store(client, record).await?;
        client.batch_execute("commit").await?;
        drop(self.client.take());
        Ok(())
    }
}

async fn store(client: &Object, record: Option<IdempotencyRecord>) -> Result<(), StoreError> {
    if let Some(record) = record {
        let records = [record];
        let a = idempotency::Columns::of(&records)?;
        client.execute(idempotency::STORE, &[&a.account, &a.key, &a.hash, &a.outcome]).await?;
    }
    Ok(())
}
