//! Whether keys that are in use for long still work.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{AccountId, Timestamp};

const EXPIRIES: &str = "-- account_key.expiries
select k.account_id, k.key_id, k.expires_at
from unnest($1::uuid[], $2::uuid[]) as asked(account_id, key_id)
join account_key k on k.account_id = asked.account_id and k.key_id = asked.key_id
join account a on a.account_id = k.account_id";

impl Store {
    /// When keys expire; those that are missing in the answer do not exist any more.
    pub async fn key_expiries(
        &self,
        keys: &[(AccountId, Uuid)],
    ) -> Result<HashMap<(AccountId, Uuid), Option<Timestamp>>, StoreError> {
        let accounts: Vec<Uuid> = keys.iter().map(|(account, _)| account.0).collect();
        let ids: Vec<Uuid> = keys.iter().map(|(_, key)| *key).collect();
        let client = self.admitter().await?;
        let statement = client.prepare_cached(EXPIRIES).await?;
        let rows = client.query(&statement, &[&accounts, &ids]).await?;
        Ok(rows.iter().map(|row| ((AccountId(row.get(0)), row.get(1)), row.get(2))).collect())
    }
}
