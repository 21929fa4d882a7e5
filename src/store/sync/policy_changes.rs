//! Changes of an account's rules for concurrent changes, under the lock on its head.

use super::policy::{GET, PUT, policy};
use crate::contract::sync_policy::encode;
use crate::domain::SyncPolicy;
use crate::store::StoreError;
use crate::store::account_changes::AccountChange;

impl AccountChange {
    /// Returns the account's rules for concurrent changes.
    pub async fn sync_policy(&self) -> Result<SyncPolicy, StoreError> {
        let row = self.client()?.query_opt(GET, &[&self.account().0]).await?;
        Ok(row.as_ref().map(policy).transpose()?.map_or_else(SyncPolicy::default, |(_, policy)| policy))
    }

    /// Replaces the account's rules for concurrent changes; returns their JSON.
    pub async fn put_sync_policy(&self, rules: &SyncPolicy) -> Result<String, StoreError> {
        let account = self.account();
        let text = encode(rules).map_err(|error| StoreError::corrupt("sync_policy", "policy", account, error))?;
        self.client()?.execute(PUT, &[&account.0, &text]).await?;
        Ok(text)
    }
}
