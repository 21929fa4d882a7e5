//! A count of requests that have an idempotency record.

use super::{Store, StoreError, columns};
use crate::domain::AccountId;

/// Leaves out records in the last two minutes of their day, because they may be deleted before the request is executed.
const COUNT: &str = "-- idempotency_record.count
select count(*) as stored from unnest($2::text[], $3::text[], $4::bytea[]) as k(key, unscoped_key, request_hash)
where exists (
    select from idempotency_record a
    where a.account_id = $1 and a.key in (k.key, k.unscoped_key) and a.request_hash = k.request_hash
        and a.at > now() - interval '23 hours 58 minutes')";

impl Store {
    /// Returns how many of an account's requests have an idempotency record. Each request is named by its key, by the key
    /// under which releases before scoped keys stored it, and by its hash.
    pub async fn count_answers(
        &self,
        account: AccountId,
        keys: &[(&str, &str)],
        request_hashes: &[&[u8]],
    ) -> Result<usize, StoreError> {
        let (keys, unscoped): (Vec<&str>, Vec<&str>) = keys.iter().copied().unzip();
        let client = self.admitter().await?;
        let statement = client.prepare_cached(COUNT).await?;
        let row = client.query_one(&statement, &[&account.0, &keys, &unscoped, &request_hashes]).await?;
        columns::integer::<i64, _>(&row, "idempotency_record", "stored", &account)
    }
}
