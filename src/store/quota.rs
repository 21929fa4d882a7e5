//! The calls that accounts made, by calendar month and day.

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

/// The limit is that of the tier that the account has now, whatever its callers remember.
const TAKE: &str = "-- quota.take
update quota_month q
set used = q.used - k.returned + k.granted, days[k.day_of_month] = q.days[k.day_of_month] - k.returned + k.granted
from (
    select m.account_id, m.month, a.day, extract(day from a.day)::integer as day_of_month, t.most, c.revision,
        r.returned, least(a.calls, case when a.limited then greatest(t.most - m.used + r.returned, 0) else a.calls end)
            as granted
    from unnest($1::uuid[], $2::date[], $3::date[], $4::bigint[], $5::bigint[], $6::boolean[])
        as a(account_id, month, day, calls, given_back, limited)
    join quota_month m on m.account_id = a.account_id and m.month = a.month
    join account c on c.account_id = a.account_id
    join unnest($7::text[], $8::bigint[]) as t(tier, most) on t.tier = c.tier
    cross join lateral (select least(a.given_back, m.days[extract(day from a.day)::integer]) as returned) as r
) as k
where q.account_id = k.account_id and q.month = k.month
returning q.account_id, k.day, k.granted, q.used, k.most, k.revision";

const DAYS: &str = "-- quota.days
select used, days from quota_month where account_id = $1 and month = $2";

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

/// What the callers of one account want of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ask {
    pub account: AccountId,
    pub day: Date,
    pub calls: u64,
    /// Calls of this day that were taken earlier and turned out not to count.
    pub given_back: u64,
    /// Whether the month may have as many calls as the account's tier and no more.
    pub limited: bool,
}

/// What they got of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Grant {
    pub account: AccountId,
    pub day: Date,
    pub calls: u64,
    /// The month's calls, these among them.
    pub used: u64,
    /// As many calls the account's tier has in a month.
    pub most: u64,
    /// The account's present one.
    pub revision: i64,
}

/// The calls of an account's month.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MonthUse {
    pub used: u64,
    /// By day, from the first.
    pub days: Vec<u64>,
}

impl Store {
    /// Takes calls from accounts' months, each at most to its limit, and gives others back; of an account's month at most
    /// one day. The rows are locked first, in an order that all replicas keep, and read in a later statement: one that
    /// had waited for the lock would not see what its holder wrote. Others see it at once, the disk within a second: a
    /// crash of the database may forget so much, in the customer's favour.
    pub async fn take_calls(&self, asks: &[Ask]) -> Result<Vec<Grant>, StoreError> {
        let count = |calls: u64| i64::try_from(calls).unwrap_or(i64::MAX);
        let accounts: Vec<Uuid> = asks.iter().map(|ask| ask.account.0).collect();
        let months: Vec<Date> = asks.iter().map(|ask| month(ask.day)).collect();
        let days: Vec<Date> = asks.iter().map(|ask| ask.day).collect();
        let calls: Vec<i64> = asks.iter().map(|ask| count(ask.calls)).collect();
        let given_back: Vec<i64> = asks.iter().map(|ask| count(ask.given_back)).collect();
        let limited: Vec<bool> = asks.iter().map(|ask| ask.limited).collect();
        let tiers = Tier::ALL.map(Tier::name).to_vec();
        let most: Vec<i64> = Tier::ALL.iter().map(|tier| count(tier.monthly_calls())).collect();
        let client = self.admitter().await?;
        let open = client.prepare_cached(OPEN).await?;
        let lock = client.prepare_cached(LOCK).await?;
        let take = client.prepare_cached(TAKE).await?;
        let keys: Params<'_, 2> = [&accounts, &months];
        let all: Params<'_, 8> = [&accounts, &months, &days, &calls, &given_back, &limited, &tiers, &most];
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

    /// An account's use of the month of a day.
    pub async fn month_use(&self, account: AccountId, day: Date) -> Result<MonthUse, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(DAYS).await?;
        let row = client.query_opt(&statement, &[&account.0, &month(day)]).await?;
        Ok(row.map_or_else(MonthUse::default, |row| MonthUse {
            used: calls(&row, 0),
            days: row.get::<_, Vec<i64>>(1).into_iter().map(|day| u64::try_from(day).unwrap_or(0)).collect(),
        }))
    }

    /// Every account's use of a month.
    pub async fn quota_use(&self, month: Date) -> Result<Vec<Use>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(USE).await?;
        client.query(&statement, &[&month]).await?.iter().map(row_use).collect()
    }
}

fn grant(row: &PgRow) -> Grant {
    Grant {
        account: AccountId(row.get(0)),
        day: row.get(1),
        calls: calls(row, 2),
        used: calls(row, 3),
        most: calls(row, 4),
        revision: row.get(5),
    }
}

fn calls(row: &PgRow, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or(0)
}

/// The month of a day, as its rows name it: by its first day.
#[must_use]
pub fn month(day: Date) -> Date {
    day.replace_day(1).unwrap_or(day)
}

fn row_use(row: &PgRow) -> Result<Use, StoreError> {
    let account = AccountId(row.get(0));
    let tier: &str = row.get(1);
    let tier = Tier::from_name(tier).ok_or_else(|| StoreError::corrupt("account", "tier", account, tier.to_owned()))?;
    Ok(Use { account, tier, used: calls(row, 2) })
}
