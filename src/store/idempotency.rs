//! Deletion of idempotency records after their time.
//!
//! The database's clock times a record when it is written, looked up and deleted. A replica whose own clock is wrong
//! would otherwise delete records that the others still need.

use std::time::Duration;

use super::{Store, StoreError};

const FORGET: &str = "-- idempotency_record.forget
delete from idempotency_record where (account_id, key) in (
        select account_id, key from idempotency_record where at < now() - make_interval(secs => $1) limit 1000)
    and at < now() - make_interval(secs => $1)";

impl Store {
    /// Deletes at most 1,000 idempotency records of this age or older; returns how many.
    pub async fn forget_answers(&self, age: Duration) -> Result<u64, StoreError> {
        let client = self.writer().await?;
        let statement = client.prepare_cached(FORGET).await?;
        Ok(client.execute(&statement, &[&age.as_secs_f64()]).await?)
    }
}
