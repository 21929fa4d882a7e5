//! Idempotency records: the stored responses to writes that carried an idempotency key.
//!
//! The database's clock times a record when it is written, looked up and deleted. A replica whose own clock is wrong
//! would otherwise delete records that the others still need.

use std::time::Duration;

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Store, StoreError, columns};
use crate::contract::outcome::CommandOutcome;
use crate::domain::AccountId;

pub(super) const LOAD: &str = "-- idempotency_record.load
select a.account_id, a.key, a.request_hash, a.outcome::text
from unnest($1::uuid[], $2::text[]) as k(account_id, key)
join idempotency_record a on a.account_id = k.account_id and a.key = k.key
    and a.at > clock_timestamp() - make_interval(secs => $3)";

pub(super) const STORE: &str = "-- idempotency_record.store
insert into idempotency_record (account_id, key, request_hash, outcome, at)
select account_id, key, request_hash, outcome::json, clock_timestamp()
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::text[]) as a(account_id, key, request_hash, outcome)
on conflict (account_id, key) do update
    set request_hash = excluded.request_hash, outcome = excluded.outcome, at = excluded.at";

/// Leaves out records in the last two minutes of their 24 hours, because they may be deleted before the request is executed.
const COUNT: &str = "-- idempotency_record.count
select count(*) as stored from unnest($2::text[], $3::text[], $4::bytea[]) as k(key, unscoped_key, request_hash)
where exists (
    select from idempotency_record a
    where a.account_id = $1 and a.key in (k.key, k.unscoped_key) and a.request_hash = k.request_hash
        and a.at > now() - interval '23 hours 58 minutes')";

const DELETE_EXPIRED: &str = "-- idempotency_record.delete_expired
delete from idempotency_record where (account_id, key) in (
        select account_id, key from idempotency_record where at < now() - make_interval(secs => $1) limit 1000)
    and at < now() - make_interval(secs => $1)";

/// The stored response to a write with an idempotency key.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IdempotencyRecord {
    pub account: AccountId,
    pub key: String,
    pub request_hash: [u8; 32],
    pub outcome: CommandOutcome,
}

impl Store {
    /// Returns how many of an account's requests have an idempotency record. Each request is named by its key, by the key
    /// under which releases before scoped keys stored it, and by its hash.
    pub async fn count_idempotency_records(
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

    /// Deletes at most 1,000 idempotency records of this age or older; returns how many.
    pub async fn delete_idempotency_records(&self, age: Duration) -> Result<u64, StoreError> {
        let client = self.writer().await?;
        let statement = client.prepare_cached(DELETE_EXPIRED).await?;
        Ok(client.execute(&statement, &[&age.as_secs_f64()]).await?)
    }
}

/// Returns the record of a row of [`LOAD`].
pub(super) fn record(row: &PgRow) -> Result<IdempotencyRecord, StoreError> {
    let account = AccountId(row.get(0));
    let key: String = row.get(1);
    let corrupt = |column, source: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::corrupt("idempotency_record", column, format!("{account}/{key}"), source)
    };
    let hash: &[u8] = row.get(2);
    let request_hash = hash.try_into().map_err(|error| corrupt("request_hash", Box::new(error)))?;
    let outcome = serde_json::from_str(row.get(3)).map_err(|error| corrupt("outcome", Box::new(error)))?;
    Ok(IdempotencyRecord { account, key: key.clone(), request_hash, outcome })
}

/// Records as the arrays of [`STORE`].
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) account: Vec<Uuid>,
    pub(super) key: Vec<&'a str>,
    pub(super) hash: Vec<&'a [u8]>,
    pub(super) outcome: Vec<String>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(records: &'a [IdempotencyRecord]) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        for record in records {
            let outcome = serde_json::to_string(&record.outcome).map_err(|error| {
                let key = format!("{}/{}", record.account, record.key);
                StoreError::corrupt("idempotency_record", "outcome", key, error)
            })?;
            columns.account.push(record.account.0);
            columns.key.push(&record.key);
            columns.hash.push(&record.request_hash);
            columns.outcome.push(outcome);
        }
        Ok(columns)
    }
}
