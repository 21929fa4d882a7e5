//! Checks whether the keys of long connections are still valid.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::AccountId;

const WORKING: &str = "-- account_key.working
select k.account_id, k.key_id
from unnest($1::uuid[], $2::uuid[]) as k(account_id, key_id)
join account_key s on s.account_id = k.account_id and s.key_id = k.key_id
join account a on a.account_id = k.account_id
where s.expires_at is null or s.expires_at > stored_now()";

impl Store {
    /// Returns those of the keys that exist and have not expired.
    pub async fn working_keys(&self, keys: &[(AccountId, Uuid)]) -> Result<HashSet<(AccountId, Uuid)>, StoreError> {
        let accounts: Vec<Uuid> = keys.iter().map(|(account, _)| account.0).collect();
        let ids: Vec<Uuid> = keys.iter().map(|(_, key)| *key).collect();
        let client = self.admitter().await?;
        let statement = client.prepare_cached(WORKING).await?;
        let rows = client.query(&statement, &[&accounts, &ids]).await?;
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), row.get(1))).collect())
    }
}
