//! Forgetting stored answers after their day.

use super::{Store, StoreError};
use crate::domain::Timestamp;

const FORGET: &str = "-- answer.forget
delete from answer where (account_id, key) in (select account_id, key from answer where at < $1 limit 1000)
    and at < $1";

impl Store {
    /// Deletes at most a thousand answers that are older; returns how many.
    pub async fn forget_answers(&self, before: Timestamp) -> Result<u64, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(FORGET).await?;
        Ok(client.execute(&statement, &[&before]).await?)
    }
}
