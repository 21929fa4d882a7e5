//! The calls that accounts made, by calendar month.

use time::Date;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Params, Store, StoreError};
use crate::domain::AccountId;
use crate::domain::account::Tier;

const OPEN: &str = "-- quota.open
insert into quota_month (account_id, month, used)
select account_id, month, 0 from unnest($1::uuid[], $2::date[]) as k(account_id, month) order by account_id, month
on conflict (account_id, month) do nothing";

const LOCK: &str = "-- quota.lock
select from quota_month q join unnest($1::uuid[], $2::date[]) as k(account_id, month)
    on q.account_id = k.account_id and q.month = k.month
order by q.account_id, q.month for update of q";

const TAKE: &str = "-- quota.take
update quota_month q set used = k.kept + least(k.calls, greatest(k.most - k.kept, 0))
from (
    select m.account_id, m.month, greatest(m.used - a.given_back, 0) as kept, a.calls, a.most
    from unnest($1::uuid[], $2::date[], $3::bigint[], $4::bigint[], $5::bigint[])
        as a(account_id, month, calls, given_back, most)
    join quota_month m on m.account_id = a.account_id and m.month = a.month
) as k
where q.account_id = k.account_id and q.month = k.month
returning q.account_id, q.month, q.used - k.kept, q.used";

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

/// What the callers of one account want of one month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ask {
    pub account: AccountId,
    pub month: Date,
    pub calls: u64,
    /// Calls that were taken earlier and turned out not to count.
    pub given_back: u64,
    /// As many calls the month may have.
    pub most: u64,
}

/// What they got of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Grant {
    pub account: AccountId,
    pub month: Date,
    pub calls: u64,
    /// The month's calls, these among them.
    pub used: u64,
}

impl Store {
    /// Takes calls from accounts' months, each at most to its limit, and gives others back; one ask per account and
    /// month. The rows are locked first, in an order that all replicas keep, and read in a later statement: one that
    /// had waited for the lock would not see what its holder wrote. Others see it at once, the disk within a second: a
    /// crash of the database may forget so much, in the customer's favour.
    pub async fn take_calls(&self, asks: &[Ask]) -> Result<Vec<Grant>, StoreError> {
        let count = |calls: u64| i64::try_from(calls).unwrap_or(i64::MAX);
        let accounts: Vec<Uuid> = asks.iter().map(|ask| ask.account.0).collect();
        let months: Vec<Date> = asks.iter().map(|ask| ask.month).collect();
        let calls: Vec<i64> = asks.iter().map(|ask| count(ask.calls)).collect();
        let given_back: Vec<i64> = asks.iter().map(|ask| count(ask.given_back)).collect();
        let most: Vec<i64> = asks.iter().map(|ask| count(ask.most)).collect();
        let client = self.reader().await?;
        let open = client.prepare_cached(OPEN).await?;
        let lock = client.prepare_cached(LOCK).await?;
        let take = client.prepare_cached(TAKE).await?;
        let keys: Params<'_, 2> = [&accounts, &months];
        let all: Params<'_, 5> = [&accounts, &months, &calls, &given_back, &most];
        // One round trip. COMMIT is on its way with the rest, and ends the transaction also where a statement failed.
        let (begun, opened, locked, taken, committed) = tokio::join!(
            biased;
            client.batch_execute("begin; set local synchronous_commit = off"),
            client.execute(&open, &keys),
            client.query(&lock, &keys),
            client.query(&take, &all),
            client.batch_execute("commit"),
        );
        // The first error is the one that matters: after it every statement says only that the transaction is aborted.
        let _done = (begun?, opened?, locked?);
        let taken = taken?;
        committed?;
        Ok(taken.iter().map(grant).collect())
    }

    /// Every account's use of a month.
    pub async fn quota_use(&self, month: Date) -> Result<Vec<Use>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(USE).await?;
        client.query(&statement, &[&month]).await?.iter().map(row_use).collect()
    }
}

fn grant(row: &PgRow) -> Grant {
    let calls = |column| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    Grant { account: AccountId(row.get(0)), month: row.get(1), calls: calls(2), used: calls(3) }
}

fn row_use(row: &PgRow) -> Result<Use, StoreError> {
    let account = AccountId(row.get(0));
    let tier: &str = row.get(1);
    let tier = Tier::from_name(tier).ok_or_else(|| StoreError::corrupt("account", "tier", account, tier.to_owned()))?;
    Ok(Use { account, tier, used: u64::try_from(row.get::<_, i64>(2)).unwrap_or(0) })
}
