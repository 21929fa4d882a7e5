//! The calls that accounts made, by calendar month and day.

use std::time::Duration;

use time::Date;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Params, Store, StoreError, columns};
use crate::domain::tier::{Tier, Tiers};
use crate::domain::{AccountId, Timestamp};

/// Creates the rows of the current month by the database's clock. Every reservation locks this row first, also for calls of
/// the month before, so that one lock per account orders all changes of its months and leases.
const OPEN: &str = "-- quota.open
insert into quota_month (account_id, month, used)
select account_id, date_trunc('month', stored_now() at time zone 'UTC')::date, 0
from unnest($1::uuid[]) as k(account_id) order by account_id
on conflict (account_id, month) do nothing";

/// Finds each row by its key. The subquery that locks is never merged into the join, so that a plan that was made while
/// the table was small does not read the whole table for the order of the ids.
const LOCK: &str = "-- quota.lock
select from (select account_id from unnest($1::uuid[]) as k(account_id) order by account_id) as k
cross join lateral (
    select from quota_month q
    where q.account_id = k.account_id and q.month = date_trunc('month', stored_now() at time zone 'UTC')::date
    for update
) as locked";

/// Gives back the unanswered calls of expired leases. A replica sends it at most once a second per account. A lease may be
/// of an earlier day.
const EXPIRE: &str = "-- quota.expire
with gone as (
    delete from quota_lease l using unnest($1::uuid[]) as k(account_id)
    where l.account_id = k.account_id and l.expires_at < stored_now()
    returning l.account_id, l.day, l.day - extract(day from l.day)::integer + 1 as month, l.unanswered
), back as (
    select account_id, month, sum(unanswered)::bigint as calls from gone group by account_id, month
)
update quota_month q
set used = q.used - back.calls,
    days = (
        select array_agg(d.calls - coalesce(
            (select sum(g.unanswered)::bigint from gone g
             where g.account_id = q.account_id and g.month = q.month and extract(day from g.day) = d.place), 0)
            order by d.place)
        from unnest(q.days) with ordinality as d(calls, place)
    )
from back
where q.account_id = back.account_id and q.month = back.month and back.calls > 0
returning q.account_id, back.calls as calls";

/// Applies the limit of the account's current tier, which callers may not know yet. A tier that the configuration lacks is
/// granted no call while limits are enforced. Spare calls are granted from calls that remain for everybody: at most 1 % of
/// them, and none where that is less than 2. A lease's row and its replica both
/// count the calls that were granted and the calls that were returned. Where the counts differ, an earlier reservation or
/// its result was lost; calls that were granted without the replica's knowledge are given back.
const TAKE: &str = "-- quota.take
with requested as (
    select a.*, coalesce(a.lease_day, t.today) as day, t.today
    from unnest($1::uuid[], $2::uuid[], $3::date[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                $9::bigint[], $10::boolean[], $11::boolean[])
        as a(account_id, lease_id, lease_day, calls, spare, accepted, returned, outstanding, block, limited, known)
    cross join (select (stored_now() at time zone 'UTC')::date as today) as t
), current as (
    select a.*, m.month, m.used, extract(day from a.day)::integer as day_of_month, t.monthly_limit, c.revision,
        a.known and l.lease_id is null as lost,
        least(
            greatest(coalesce(l.granted, 0) - a.accepted, 0) + greatest(a.returned - coalesce(l.returned, 0), 0),
            m.days[extract(day from a.day)::integer]) as due_back
    from requested a
    join quota_month m on m.account_id = a.account_id and m.month = a.day - extract(day from a.day)::integer + 1
    join account c on c.account_id = a.account_id
    left join unnest($12::text[], $13::bigint[]) as t(tier, monthly_limit) on t.tier = c.tier
    left join quota_lease l on l.account_id = a.account_id and l.lease_id = a.lease_id
), decided as (
    select f.*, r.back,
        c.calls_granted + least(f.spare, case when c.remaining < 200 then 0 else c.remaining / 100 end) as granted
    from current f
    cross join lateral (select case when f.lost then 0 else f.due_back end as back) as r
    cross join lateral (
        select case
            when f.lost or f.day <> f.today then 0
            when f.limited then greatest(coalesce(f.monthly_limit, 0) - f.used + r.back, 0)
            else f.calls
        end as available
    ) as m
    cross join lateral (
        select least(f.calls, m.available) as calls_granted, m.available - least(f.calls, m.available) as remaining
    ) as c
), counted as (
    update quota_month q
    set used = q.used - d.back + d.granted, days[d.day_of_month] = q.days[d.day_of_month] - d.back + d.granted
    from decided d
    where q.account_id = d.account_id and q.month = d.month and (d.back > 0 or d.granted > 0)
), leased as (
    insert into quota_lease (account_id, lease_id, day, granted, returned, unanswered, expires_at)
    select account_id, lease_id, day, accepted + granted, returned, greatest(outstanding + granted - block, 0),
        stored_now() + make_interval(secs => $14)
    from decided where not lost
    on conflict (account_id, lease_id) do update
        set granted = excluded.granted, returned = excluded.returned, unanswered = excluded.unanswered,
            expires_at = excluded.expires_at
)
select account_id, day, today, granted, used - back + granted as used, monthly_limit, revision, lost, stored_now() as now
from decided";

const DAYS: &str = "-- quota.days
select coalesce(q.used, 0) as used, coalesce(q.days, '{}') as days, t.now
from (select stored_now() as now) as t
left join quota_month q on q.account_id = $1 and q.month = date_trunc('month', t.now at time zone 'UTC')::date";

const USE: &str = "-- quota.use
select a.account_id, a.tier, coalesce(q.used, 0) as used
from account a left join quota_month q
    on q.account_id = a.account_id and q.month = date_trunc('month', stored_now() at time zone 'UTC')::date";

/// The calls that an account used in the current month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub account: AccountId,
    pub tier: Tier,
    pub used: u64,
}

/// A reservation of calls for one account, with the state of the lease as the replica knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservationRequest {
    pub account: AccountId,
    pub lease: Uuid,
    /// The lease's day; `None` before its first reservation.
    pub day: Option<Date>,
    /// Whether an earlier reservation under the lease is known to be committed.
    pub known: bool,
    pub calls: u64,
    /// Further calls, which callers to come will take.
    pub spare: u64,
    /// Calls that the lease was granted, as far as its replica knows.
    pub accepted: u64,
    /// Granted calls that turned out not to count.
    pub returned: u64,
    /// Granted calls that are neither answered nor returned.
    pub outstanding: u64,
    /// Calls that may be answered before the next reservation; `None` where limits are not enforced.
    pub block: Option<u64>,
    /// Whether the month's row was created and expired leases were given back within the last second.
    pub opened: bool,
}

/// The result of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    pub account: AccountId,
    /// The day that the calls count on.
    pub day: Date,
    /// The current day. Where it differs from the lease's day, the lease has ended.
    pub today: Date,
    /// The calls that were granted, including spare ones. The latter are granted only where all others are.
    pub calls: u64,
    /// The month's calls, including those of this grant.
    pub used: u64,
    /// Calls per month of the account's tier; `None` where the configuration lacks the tier.
    pub limit: Option<u64>,
    /// The account's current revision.
    pub revision: i64,
    /// Whether the lease had expired. Then its unanswered calls were given back before, and this reservation did nothing.
    pub lost: bool,
    pub now: Timestamp,
}

/// The calls of an account's month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonthUse {
    pub used: u64,
    /// By day, from the first.
    pub days: Vec<u64>,
    /// A timestamp within that month.
    pub now: Timestamp,
}

impl Store {
    /// Takes calls from accounts' months, up to each account's limit, and gives returned calls back; renews one lease per
    /// account for `lease`. Locks the rows first, in an order that all replicas keep, and reads them in a later statement,
    /// because a statement that waited for the lock does not see the rows that its holder wrote. Does not wait for the
    /// disk: a crash of the database may lose the last second, in the customer's favour. Returns no grant for an account
    /// without a row of the month.
    pub async fn reserve_calls(
        &self,
        requests: &[ReservationRequest],
        tiers: &Tiers,
        lease: Duration,
    ) -> Result<Vec<Grant>, StoreError> {
        let columns = RequestColumns::of(requests, tiers, lease);
        let client = self.admitter().await?;
        let open = client.prepare_cached(OPEN).await?;
        let lock = client.prepare_cached(LOCK).await?;
        let expire = client.prepare_cached(EXPIRE).await?;
        let take = client.prepare_cached(TAKE).await?;
        let accounts: Params<'_, 1> = [&columns.account];
        let to_open: Vec<Uuid> =
            requests.iter().filter(|request| !request.opened).map(|request| request.account.0).collect();
        let opened: Params<'_, 1> = [&to_open];
        let all: Params<'_, 14> = columns.params();
        // One round trip. COMMIT is sent with the other statements, and ends the transaction also after an error.
        let (begun, opened, locked, expired, taken, committed) = tokio::join!(
            biased;
            client.batch_execute("begin; set local synchronous_commit = off"),
            async { if to_open.is_empty() { Ok(0) } else { client.execute(&open, &opened).await } },
            client.query(&lock, &accounts),
            async { if to_open.is_empty() { Ok(Vec::new()) } else { client.query(&expire, &opened).await } },
            client.query(&take, &all),
            client.batch_execute("commit"),
        );
        // The first error is the cause: after it every statement fails because the transaction is aborted.
        let _done = (begun?, opened?, locked?);
        let (expired, taken) = (expired?, taken?);
        committed?;
        self.report_expired(&expired);
        Ok(taken.iter().filter_map(readable_grant).collect())
    }

    fn report_expired(&self, expired: &[PgRow]) {
        // The statement returns only leases with more than zero calls.
        let returned: u64 = expired.iter().map(|row| row.get::<_, i64>("calls").unsigned_abs()).sum();
        if returned > 0 {
            self.metrics.quota_expired_calls_total.inc_by(returned);
            tracing::warn!(
                calls = returned,
                "give back calls of expired leases: a replica ended without answering them"
            );
        }
    }

    /// Returns an account's use of the current month.
    pub async fn month_use(&self, account: AccountId) -> Result<MonthUse, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(DAYS).await?;
        let row = client.query_one(&statement, &[&account.0]).await?;
        let calls =
            |day: i64| u64::try_from(day).map_err(|error| StoreError::corrupt("quota_month", "days", account, error));
        let days = row.get::<_, Vec<i64>>("days").into_iter().map(calls).collect::<Result<_, _>>()?;
        Ok(MonthUse { used: columns::count(&row, "quota_month", "used", &account)?, days, now: row.get("now") })
    }

    /// Returns every account's use of the current month.
    pub async fn quota_use(&self) -> Result<Vec<Use>, StoreError> {
        let client = self.replica_reader().await?;
        let statement = client.prepare_cached(USE).await?;
        client.query(&statement, &[]).await?.iter().map(row_use).collect()
    }
}

/// Requests as the arrays of a statement.
#[derive(Default)]
struct RequestColumns<'a> {
    account: Vec<Uuid>,
    lease: Vec<Uuid>,
    day: Vec<Option<Date>>,
    calls: Vec<i64>,
    spare: Vec<i64>,
    accepted: Vec<i64>,
    returned: Vec<i64>,
    outstanding: Vec<i64>,
    block: Vec<i64>,
    limited: Vec<bool>,
    known: Vec<bool>,
    tiers: Vec<&'a str>,
    limits: Vec<i64>,
    lease_seconds: f64,
}

impl<'a> RequestColumns<'a> {
    fn of(requests: &[ReservationRequest], tiers: &'a Tiers, lease: Duration) -> Self {
        let (tiers, limits) =
            tiers.by_size().into_iter().map(|(tier, terms)| (tier.name(), count(terms.calls_per_month))).unzip();
        let mut columns = Self { tiers, limits, lease_seconds: lease.as_secs_f64(), ..Self::default() };
        for request in requests {
            let ReservationRequest {
                account,
                lease,
                day,
                known,
                calls,
                spare,
                accepted,
                returned,
                outstanding,
                block,
                opened: _,
            } = *request;
            columns.account.push(account.0);
            columns.lease.push(lease);
            columns.day.push(day);
            columns.calls.push(count(calls));
            columns.spare.push(count(spare));
            columns.accepted.push(count(accepted));
            columns.returned.push(count(returned));
            columns.outstanding.push(count(outstanding));
            // Without a limit, no call of the lease counts as unanswered.
            columns.block.push(count(block.unwrap_or(u64::MAX)));
            columns.limited.push(block.is_some());
            columns.known.push(known);
        }
        columns
    }

    fn params(&self) -> Params<'_, 14> {
        let Self { account, lease, day, calls, spare, accepted, returned, outstanding, block, limited, known, .. } =
            self;
        let Self { tiers, limits, lease_seconds, .. } = self;
        [
            account,
            lease,
            day,
            calls,
            spare,
            accepted,
            returned,
            outstanding,
            block,
            limited,
            known,
            tiers,
            limits,
            lease_seconds,
        ]
    }
}

/// Returns calls as a `bigint`. A number that does not fit stands for no limit.
fn count(calls: u64) -> i64 {
    i64::try_from(calls).unwrap_or(i64::MAX)
}

/// Leaves out a corrupt row, so that only its own account gets no grant, and not every account of the statement.
fn readable_grant(row: &PgRow) -> Option<Grant> {
    grant(row).inspect_err(|error| tracing::error!(error = error.report(), "read quota failed")).ok()
}

fn grant(row: &PgRow) -> Result<Grant, StoreError> {
    let account = AccountId(row.get("account_id"));
    let calls = |column| columns::count(row, "quota_month", column, &account);
    Ok(Grant {
        account,
        day: row.get("day"),
        today: row.get("today"),
        calls: calls("granted")?,
        used: calls("used")?,
        // The limits are parameters of the statement, and none is negative.
        limit: row.get::<_, Option<i64>>("monthly_limit").map(i64::unsigned_abs),
        revision: row.get("revision"),
        lost: row.get("lost"),
        now: row.get("now"),
    })
}

/// Returns the first day of a day's month, by which rows name the month.
#[must_use]
pub(crate) fn month(day: Date) -> Date {
    // Every month has a first day.
    day.replace_day(1).unwrap_or(day)
}

fn row_use(row: &PgRow) -> Result<Use, StoreError> {
    let account = AccountId(row.get("account_id"));
    let tier: &str = row.get("tier");
    let tier = Tier::parse(tier).map_err(|_| StoreError::corrupt("account", "tier", account, tier.to_owned()))?;
    Ok(Use { account, tier, used: columns::count(row, "quota_month", "used", &account)? })
}
