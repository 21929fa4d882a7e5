//! Whether the answers to requests are stored.

use super::{Store, StoreError};
use crate::domain::AccountId;

/// An answer in the last minutes of its day is left out: it may be forgotten before the request is carried out.
const COUNT: &str = "-- answer.count
select count(distinct a.key)
from unnest($2::text[], $3::bytea[]) as k(key, request_hash)
join answer a on a.account_id = $1 and a.key = k.key and a.request_hash = k.request_hash
where a.at > now() - interval '23 hours 58 minutes'";

impl Store {
    /// How many of an account's requests, each by its key and its hash, have a stored answer.
    pub async fn count_answers(
        &self,
        account: AccountId,
        keys: &[&str],
        request_hashes: &[&[u8]],
    ) -> Result<usize, StoreError> {
        let client = self.admitter().await?;
        let statement = client.prepare_cached(COUNT).await?;
        let row = client.query_one(&statement, &[&account.0, &keys, &request_hashes]).await?;
        Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }
}
