//! The log of delivery attempts: written in batches, read by endpoints' owners, partitioned and dropped by day.

use std::collections::HashMap;

use deadpool_postgres::Object;
use serde_json::json;
use time::Date;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::audit::{By, audit};
use super::reading::Freshness;
use super::{Params, Store, StoreError, columns};
use crate::domain::{AccountId, Seq, Timestamp, Uid};

/// Needs no sort for the newest attempts, because ids grow with time and partitions are by time.
const LIST: &str = "-- push_attempt.list
select attempt_id, at, seq, webhook_id, trigger, outcome, status, error, duration_ms, bytes, body,
    coalesce(uids, '{}') as uids
from push_attempt
where account_id = $1 and endpoint_id = $2 and ($3::uuid is null or attempt_id < $3)
    and ($4::integer is null or status = $4) and ($5::boolean is null or (outcome = 'delivered') = $5)
order by attempt_id desc limit $6";

const ONE: &str = "-- push_attempt.one
select attempt_id, at, seq, webhook_id, trigger, outcome, status, error, duration_ms, bytes, body,
    coalesce(uids, '{}') as uids
from push_attempt where account_id = $1 and endpoint_id = $2 and attempt_id = $3";

/// Looks at no more than $6 attempts of an hour and endpoint, so that the cost does not grow with their number. Identifiers
/// have the order of time and bound the hour; the times, wider by the difference of two clocks, choose the partitions.
const HOURS: &str = "-- push_attempt.hours
select e.endpoint_id, h.number, count(*) as attempts, count(*) filter (where a.outcome = 'delivered') as delivered
from unnest($2::uuid[]) as e(endpoint_id)
cross join unnest($3::uuid[], $4::uuid[], $5::timestamptz[]) with ordinality as h(first, beyond, began, number)
cross join lateral (
    select a.outcome from push_attempt a
    where a.account_id = $1 and a.endpoint_id = e.endpoint_id and a.attempt_id >= h.first and a.attempt_id < h.beyond
        and a.at >= h.began - interval '10 minutes' and a.at < h.began + interval '70 minutes'
    order by a.attempt_id desc limit $6
) a
group by 1, 2";

/// Does not wait for the disk, because an attempt that a crash loses is missing from this log only. A delivery that was
/// under way while its person was erased leaves no response of its receiver.
const INSERT: &str = "-- push_attempt.insert
with quickly as materialized (select set_config('synchronous_commit', 'off', true))
insert into push_attempt (account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, status, error,
    duration_ms, bytes, body, uids)
select a.account_id, a.endpoint_id, a.attempt_id, a.at, a.seq, a.webhook_id, a.trigger, a.outcome, a.status, a.error,
    a.duration_ms, a.bytes, case when exists (
        select from erasure e where e.account_id = a.account_id and a.seq <= e.through
            and (e.uids || e.related) && string_to_array(a.uids, ',')::uuid[]) then ''::bytea else a.body end,
    string_to_array(a.uids, ',')::uuid[]
from quickly, unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::bigint[], $6::text[], $7::text[],
    $8::text[], $9::integer[], $10::text[], $11::integer[], $12::bigint[], $13::bytea[], $14::text[])
    as a(account_id, endpoint_id, attempt_id, at, seq, webhook_id, trigger, outcome, status, error, duration_ms, bytes,
        body, uids)";

pub(super) const ERASE: &str = "-- push_attempt.erase
update push_attempt set body = '' where account_id = $1 and body <> '' and uids && $2::uuid[] and seq <= $3";

/// Erases rows that versions without the column `uids` wrote. Only the webhook id names the last event of their batches,
/// and each event between the first and the last may have been delivered. Matches nothing once the column is older than
/// the time for which attempts are kept.
pub(super) const ERASE_WITHOUT_UIDS: &str = "-- push_attempt.erase_without_uids
update push_attempt a set body = ''
where a.account_id = $1 and a.body <> '' and a.uids is null and exists (
    select from event e where e.account_id = $1 and e.uid = any($2::uuid[]) and e.seq between a.seq
        and coalesce(nullif(split_part(split_part(a.webhook_id, ':', 2), '-', 2), '')::bigint, a.seq))";

/// Reads the current day by PostgreSQL's clock, which all replicas share, the existing partitions, and whether the
/// installation has functions for them.
const PARTITIONS: &str = "-- push_attempt.partitions
select (now() at time zone 'UTC')::date, array(
    select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'push_attempt'::regclass),
    to_regprocedure('push_attempt_add_day(date)') is not null";

/// Readers and writers of attempts queue behind a change of partitions, so the change waits 2 s for its lock at most.
const NOT_LONG: &str = "-- push_attempt.not_long
set local lock_timeout = '2s'";

/// Erasing may take longer than a request of the API, because an operator waits for it.
pub(super) const UNHURRIED: &str = "-- push_attempt.unhurried
set local statement_timeout = '10min'";

const ADD_DAY: &str = "-- push_attempt.add_day
create table if not exists {name} partition of push_attempt for values from ('{day} 00:00Z') to ('{next} 00:00Z')";

const DROP_DAY: &str = "-- push_attempt.drop_day
drop table if exists {name}";

/// Where the service's role does not own its tables, `deploy/postgres/roles.sql` made functions that change partitions
/// with the rights of the owner.
const ADD_DAY_AS_OWNER: &str = "-- push_attempt.add_day_as_owner
select push_attempt_add_day('{day}')";

const DROP_DAY_AS_OWNER: &str = "-- push_attempt.drop_day_as_owner
select push_attempt_drop_day('{name}')";

/// The prefix of the names of partitions; the day follows.
const PARTITION: &str = "push_attempt_";

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    pub attempt_id: Uuid,
    pub at: Timestamp,
    pub seq: Seq,
    pub webhook_id: String,
    /// The records whose events were delivered, each once. An erasure of a record finds the receivers' responses by them.
    pub uids: Vec<Uid>,
    /// The reason of the attempt: `event`, `retry` or `test`.
    pub trigger: String,
    /// `delivered`, or the reason of the failure.
    pub outcome: String,
    pub status: Option<i32>,
    pub error: Option<String>,
    pub duration_ms: i32,
    pub bytes: i64,
    /// The beginning of the response.
    pub body: Vec<u8>,
}

/// The attempts of one endpoint in one hour, as far as they were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HourOfAttempts {
    pub attempts: u64,
    pub delivered: u64,
}

/// The hours of [`Store::attempt_hours`].
pub(crate) const ATTEMPT_HOURS: usize = 24;

/// Attempts of one hour that are looked at, the latest of it.
pub(crate) const MAX_PER_HOUR: i64 = 20;

/// A filter on attempts; `None` matches every attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Narrowed {
    /// Attempts before this one.
    pub before: Option<Uuid>,
    /// Attempts with a response of this status.
    pub status: Option<i32>,
    /// Attempts that delivered (true), or that failed (false).
    pub delivered: Option<bool>,
}

impl Store {
    /// Writes attempts, each with its endpoint, in one statement.
    pub async fn log_attempts(&self, attempts: &[(AccountId, Uuid, AttemptRow)]) -> Result<(), StoreError> {
        let client = self.writer().await?;
        let statement = client.prepare_cached(INSERT).await?;
        let accounts: Vec<Uuid> = attempts.iter().map(|(account, ..)| account.0).collect();
        let endpoints: Vec<Uuid> = attempts.iter().map(|(_, endpoint, _)| *endpoint).collect();
        let of = || attempts.iter().map(|(.., attempt)| attempt);
        let ids: Vec<Uuid> = of().map(|attempt| attempt.attempt_id).collect();
        let at: Vec<Timestamp> = of().map(|attempt| attempt.at).collect();
        let seqs: Vec<i64> = of().map(|attempt| attempt.seq.0).collect();
        let webhook_ids: Vec<&str> = of().map(|attempt| attempt.webhook_id.as_str()).collect();
        let triggers: Vec<&str> = of().map(|attempt| attempt.trigger.as_str()).collect();
        let outcomes: Vec<&str> = of().map(|attempt| attempt.outcome.as_str()).collect();
        let statuses: Vec<Option<i32>> = of().map(|attempt| attempt.status).collect();
        let errors: Vec<Option<&str>> = of().map(|attempt| attempt.error.as_deref()).collect();
        let durations: Vec<i32> = of().map(|attempt| attempt.duration_ms).collect();
        let bytes: Vec<i64> = of().map(|attempt| attempt.bytes).collect();
        let bodies: Vec<&[u8]> = of().map(|attempt| attempt.body.as_slice()).collect();
        let uids: Vec<String> = of().map(|attempt| joined(&attempt.uids)).collect();
        let values: Params<'_, 14> = [
            &accounts,
            &endpoints,
            &ids,
            &at,
            &seqs,
            &webhook_ids,
            &triggers,
            &outcomes,
            &statuses,
            &errors,
            &durations,
            &bytes,
            &bodies,
            &uids,
        ];
        client.execute(&statement, &values).await?;
        Ok(())
    }

    /// Creates the partitions from yesterday until `ahead` days after today, by Postgres's clock; returns how many were
    /// missing.
    pub async fn make_attempt_days(&self, ahead: u16) -> Result<usize, StoreError> {
        let mut client = self.writer().await?;
        let Days { today, there, by_function } = days(&client).await?;
        let add = if by_function { ADD_DAY_AS_OWNER } else { ADD_DAY };
        let wanted = (-1..=i64::from(ahead)).filter_map(|days| today.checked_add(time::Duration::days(days)));
        let missing = wanted.filter(|day| !there.contains(&partition(*day))).filter_map(|day| {
            let text = add.replace("{name}", &partition(day)).replace("{day}", &day.to_string());
            Some(text.replace("{next}", &day.next_day()?.to_string()))
        });
        execute_each(&mut client, missing.collect()).await
    }

    /// Drops the partitions of days that are more than `keep` days before today, by Postgres's clock; returns how many.
    pub async fn drop_attempt_days(&self, keep: u16) -> Result<usize, StoreError> {
        let mut client = self.writer().await?;
        let Days { today, there, by_function } = days(&client).await?;
        let drop = if by_function { DROP_DAY_AS_OWNER } else { DROP_DAY };
        // Names sort like their days. A day before the calendar has no older partition.
        let oldest = partition(today.checked_sub(time::Duration::days(keep.into())).unwrap_or(Date::MIN));
        let old = there.iter().filter(|name| name.starts_with(PARTITION) && **name < oldest);
        execute_each(&mut client, old.map(|name| drop.replace("{name}", name)).collect()).await
    }

    /// Deletes the responses of receivers to deliveries of a record's events; returns the number of attempts.
    pub async fn erase_attempts(&self, account: AccountId, uid: Uid, by: By<'_>) -> Result<u64, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(UNHURRIED).await?;
        let uids = vec![uid.0];
        let mut erased = transaction.execute(ERASE, &[&account.0, &uids, &i64::MAX]).await?;
        erased += transaction.execute(ERASE_WITHOUT_UIDS, &[&account.0, &uids]).await?;
        audit(&transaction, &[account.0], by, "push.erase", &json!({"uid": uid, "attempts": erased})).await?;
        transaction.commit().await?;
        Ok(erased)
    }

    /// Returns at most `limit` of an endpoint's attempts, the newest first.
    pub async fn attempts(
        &self,
        account: AccountId,
        endpoint: Uuid,
        narrowed: Narrowed,
        limit: i64,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let Narrowed { before, status, delivered } = narrowed;
        // A filter that few attempts match reads all attempts of the endpoint.
        let narrowed = status.is_some() || delivered.is_some();
        let reading = if narrowed {
            self.searching(account, Freshness::MayLag).await?
        } else {
            self.reading(account, Freshness::MayLag).await?
        };
        let rows = reading.query(LIST, &[&account.0, &endpoint, &before, &status, &delivered, &limit]).await?;
        Ok(rows.iter().map(attempt).collect())
    }
}

impl Store {
    /// Returns one attempt of an endpoint.
    pub async fn attempt(
        &self,
        account: AccountId,
        endpoint: Uuid,
        attempt_id: Uuid,
    ) -> Result<Option<AttemptRow>, StoreError> {
        let reading = self.reading(account, Freshness::MayLag).await?;
        let rows = reading.query(ONE, &[&account.0, &endpoint, &attempt_id]).await?;
        Ok(rows.first().map(attempt))
    }

    /// Returns the results of the latest attempts of each of the last [`ATTEMPT_HOURS`] hours, the oldest first, for each of
    /// these endpoints. Of an hour at most [`MAX_PER_HOUR`] attempts are looked at.
    pub async fn attempt_hours(
        &self,
        account: AccountId,
        endpoints: &[Uuid],
        now: Timestamp,
    ) -> Result<HashMap<Uuid, [HourOfAttempts; ATTEMPT_HOURS]>, StoreError> {
        let hour = time::Duration::hours(1);
        let began: Vec<Timestamp> =
            (0..ATTEMPT_HOURS).rev().filter_map(|back| now.checked_sub(hour * u32::try_from(back + 1).ok()?)).collect();
        let first: Vec<Uuid> = began.iter().map(|at| first_id(*at)).collect();
        let beyond: Vec<Uuid> = began.iter().map(|at| first_id(*at + hour)).collect();
        let reading = self.reading(account, Freshness::MayLag).await?;
        let values: Params<'_, 6> = [&account.0, &endpoints, &first, &beyond, &began, &MAX_PER_HOUR];
        let rows = reading.query(HOURS, &values).await?;
        let mut hours: HashMap<Uuid, [HourOfAttempts; ATTEMPT_HOURS]> = HashMap::new();
        for row in &rows {
            let endpoint: Uuid = row.get("endpoint_id");
            // PostgreSQL numbers the hours from 1.
            let number: usize = columns::integer::<i64, _>(row, "push_attempt", "number", &endpoint)?;
            let attempts = columns::count(row, "push_attempt", "attempts", &endpoint)?;
            let delivered = columns::count(row, "push_attempt", "delivered", &endpoint)?;
            let of_endpoint = hours.entry(endpoint).or_default();
            if let Some(slot) = number.checked_sub(1).and_then(|index| of_endpoint.get_mut(index)) {
                *slot = HourOfAttempts { attempts, delivered };
            }
        }
        Ok(hours)
    }
}

/// The smallest identifier (UUID version 7) of a time.
fn first_id(at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default();
    Uuid::from_u128(millis << 80)
}

/// The partitions as they are now.
struct Days {
    today: Date,
    there: Vec<String>,
    /// Whether partitions are changed by functions with the rights of their owner.
    by_function: bool,
}

async fn days(client: &Object) -> Result<Days, StoreError> {
    let row = client.query_one(PARTITIONS, &[]).await?;
    Ok(Days { today: row.get(0), there: row.get(1), by_function: row.get(2) })
}

/// Executes statements, each in its own transaction; returns their number.
async fn execute_each(client: &mut Object, statements: Vec<String>) -> Result<usize, StoreError> {
    for statement in &statements {
        let transaction = client.transaction().await?;
        transaction.batch_execute(NOT_LONG).await?;
        transaction.batch_execute(statement).await?;
        transaction.commit().await?;
    }
    Ok(statements.len())
}

/// Joins uids into one text, because the inner arrays of an array must have equal lengths.
fn joined(uids: &[Uid]) -> String {
    uids.iter().map(Uid::to_string).collect::<Vec<_>>().join(",")
}

/// Returns the name of a day's partition: `push_attempt_20261124`.
fn partition(day: Date) -> String {
    format!("{PARTITION}{:04}{:02}{:02}", day.year(), u8::from(day.month()), day.day())
}

fn attempt(row: &PgRow) -> AttemptRow {
    AttemptRow {
        attempt_id: row.get("attempt_id"),
        at: row.get("at"),
        seq: Seq(row.get("seq")),
        webhook_id: row.get("webhook_id"),
        uids: row.get::<_, Vec<Uuid>>("uids").into_iter().map(Uid).collect(),
        trigger: row.get("trigger"),
        outcome: row.get("outcome"),
        status: row.get("status"),
        error: row.get("error"),
        duration_ms: row.get("duration_ms"),
        bytes: row.get("bytes"),
        body: row.get("body"),
    }
}
