//! Changes of what an account has in plain tables: one transaction each, under the lock on the account's head.
//!
//! The lock makes changes of one account follow each other, so that limits on numbers hold and a request with an
//! idempotency key is executed once. The statements of each table stand in that table's file.

use std::time::Duration;

use deadpool_postgres::Object;

use super::audit::{By, INSERT_AUDIT};
use super::batch::LOCK_HEADS;
use super::idempotency::{self, IdempotencyRecord};
use super::{Store, StoreError};
use crate::clock;
use crate::domain::{AccountId, Seq};

/// An open change. Dropped before it is committed, it is rolled back.
pub struct AccountChange {
    /// `None` once the transaction has ended. Otherwise dropping the change closes the connection, and the server rolls back.
    client: Option<Object>,
    account: AccountId,
}

impl Drop for AccountChange {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

/// An opened change, with the state that it was opened on.
pub struct Opened {
    /// The change.
    pub change: AccountChange,
    /// The end of the log.
    pub head: Seq,
    /// The log's epoch.
    pub epoch: i32,
    /// The idempotency records of the same keys.
    pub idempotency_records: Vec<IdempotencyRecord>,
}

impl Store {
    /// Opens a change and looks up the idempotency records of keys that are younger than `idempotency_ttl`; `None` where there
    /// is no such account.
    pub async fn change_account(
        &self,
        account: AccountId,
        keys: &[&str],
        idempotency_ttl: Duration,
    ) -> Result<Option<Opened>, StoreError> {
        let client = self.writer().await?;
        let change = AccountChange { client: Some(client), account };
        let client = change.client()?;
        client.batch_execute("begin").await?;
        let heads = client.query(LOCK_HEADS, &[&vec![account.0]]).await?;
        let Some(head) = heads.first() else { return Ok(None) };
        let (head, epoch) = (Seq(head.get(1)), head.get(3));
        let records = if keys.is_empty() {
            Vec::new()
        } else {
            let (accounts, ttl) = (vec![account.0; keys.len()], idempotency_ttl.as_secs_f64());
            client.query(idempotency::LOAD, &[&accounts, &keys, &ttl]).await?
        };
        let idempotency_records = records.iter().map(idempotency::record).collect::<Result<_, _>>()?;
        Ok(Some(Opened { change, head, epoch, idempotency_records }))
    }
}

impl AccountChange {
    pub(super) fn client(&self) -> Result<&Object, StoreError> {
        self.client.as_ref().ok_or_else(|| StoreError::Unavailable("the transaction has ended".into()))
    }

    /// The account that is changed.
    pub(super) fn account(&self) -> AccountId {
        self.account
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
        let values: super::Params<'_, 7> =
            [&accounts, &ids, &by.at, &by.actor, &action, &detail.to_string(), &by.address];
        client.execute(INSERT_AUDIT, &values).await?;
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
