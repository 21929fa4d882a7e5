//! The calls that accounts made, by calendar month.

use time::Date;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::AccountId;
use crate::domain::account::Tier;

const ADD: &str = "-- quota.add
insert into quota_month (account_id, month, used)
select account_id, month, used from unnest($1::uuid[], $2::date[], $3::bigint[]) as q(account_id, month, used)
order by account_id, month
on conflict (account_id, month) do update set used = quota_month.used + excluded.used";

const USE: &str = "-- quota.use
select a.account_id, a.tier, coalesce(q.used, 0)
from account a left join quota_month q on q.account_id = a.account_id and q.month = $1";

/// What an account used of its month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Use {
    pub account: AccountId,
    pub tier: Tier,
    pub used: u64,
}

impl Store {
    /// Adds calls to accounts' months, all of them or none.
    pub async fn add_calls(&self, calls: &[(AccountId, Date, u64)]) -> Result<(), StoreError> {
        let accounts: Vec<Uuid> = calls.iter().map(|call| call.0.0).collect();
        let months: Vec<Date> = calls.iter().map(|call| call.1).collect();
        let used: Vec<i64> = calls.iter().map(|call| i64::try_from(call.2).unwrap_or(i64::MAX)).collect();
        let client = self.reader().await?;
        let statement = client.prepare_cached(ADD).await?;
        client.execute(&statement, &[&accounts, &months, &used]).await?;
        Ok(())
    }

    /// Every account's use of a month.
    pub async fn quota_use(&self, month: Date) -> Result<Vec<Use>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(USE).await?;
        client.query(&statement, &[&month]).await?.iter().map(row_use).collect()
    }
}

fn row_use(row: &PgRow) -> Result<Use, StoreError> {
    let account = AccountId(row.get(0));
    let tier: &str = row.get(1);
    let tier = Tier::from_name(tier).ok_or_else(|| StoreError::corrupt("account", "tier", account, tier.to_owned()))?;
    Ok(Use { account, tier, used: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0) })
}
