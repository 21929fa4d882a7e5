//! The rules of accounts for concurrent changes.

use tokio_postgres::Row as PgRow;

use crate::contract::sync_policy::{decode, encode};
use crate::domain::{AccountId, SyncPolicy};
use crate::store::audit::{By, audit};
use crate::store::{Store, StoreError};

/// Read in the transaction of a batch, under the lock on the account's head.
pub(in crate::store) const LOAD: &str = "-- sync_policy.load
select account_id, policy from sync_policy where account_id = any($1)";

pub(super) const GET: &str = "-- sync_policy.get
select account_id, policy from sync_policy where account_id = $1";

pub(super) const PUT: &str = "-- sync_policy.put
insert into sync_policy (account_id, policy) values ($1, $2)
on conflict (account_id) do update set policy = excluded.policy";

/// Returns the policy of a row of [`LOAD`].
pub(in crate::store) fn policy(row: &PgRow) -> Result<(AccountId, SyncPolicy), StoreError> {
    let account = AccountId(row.get(0));
    let policy = decode(row.get(1)).map_err(|error| StoreError::corrupt("sync_policy", "policy", account, error))?;
    Ok((account, policy))
}

impl Store {
    /// Returns an account's rules for concurrent changes.
    pub async fn sync_policy(&self, account: AccountId) -> Result<SyncPolicy, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(GET).await?;
        let row = client.query_opt(&statement, &[&account.0]).await?;
        Ok(row.as_ref().map(policy).transpose()?.map_or_else(SyncPolicy::default, |(_, policy)| policy))
    }

    /// Replaces an account's rules for concurrent changes, with an audit row.
    pub async fn put_sync_policy(&self, account: AccountId, rules: &SyncPolicy, by: By<'_>) -> Result<(), StoreError> {
        let text = encode(rules).map_err(|error| StoreError::corrupt("sync_policy", "policy", account, error))?;
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let statement = transaction.prepare_cached(PUT).await?;
        transaction.execute(&statement, &[&account.0, &text]).await?;
        // The text was encoded above, so that it is JSON.
        let detail = serde_json::from_str(&text).unwrap_or_default();
        audit(&transaction, &[account.0], by, "sync_policy.set", &detail).await?;
        Ok(transaction.commit().await?)
    }
}
