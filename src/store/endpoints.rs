//! Push endpoints: their settings, and where each stands.

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::accounts::{By, audit};
use super::owner::{PushCursor, Waiting};
use super::{Store, StoreError};
use crate::domain::{AccountId, Seq, Timestamp, Uid};

const INSERT: &str = "-- push_endpoint.insert
insert into push_endpoint (account_id, endpoint_id, url, description, secret, events, exclude_own, delivery_order,
    timeout_s, state, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

const INSERT_CURSOR: &str = "-- push_cursor.insert
insert into push_cursor (account_id, endpoint_id, seq)
select account_id, $2, coalesce($3, seq) from head where account_id = $1";

const LIST: &str = "-- push_endpoint.list
select e.account_id, e.endpoint_id, e.url, e.description, e.secret, e.events, e.exclude_own, e.delivery_order,
    e.timeout_s, e.state, e.created_at, c.seq, c.failing_since, c.failures, c.next_at
from push_endpoint e join push_cursor c on c.account_id = e.account_id and c.endpoint_id = e.endpoint_id
where e.account_id = $1 order by e.endpoint_id";

const DELETE: &str = "-- push_endpoint.delete
with cursors as (delete from push_cursor where account_id = $1 and endpoint_id = $2),
    waiting as (delete from push_waiting where account_id = $1 and endpoint_id = $2)
delete from push_endpoint where account_id = $1 and endpoint_id = $2";

const WAITING: &str = "-- push_waiting.list
select seq, uid, attempts, next_at, parked from push_waiting
where account_id = $1 and endpoint_id = $2 order by seq";

const DUE: &str = "-- push_endpoint.due
select c.account_id, h.seq - c.seq
from push_cursor c
join push_endpoint e on e.account_id = c.account_id and e.endpoint_id = c.endpoint_id and e.state = 'live'
join head h on h.account_id = c.account_id
where h.seq > c.seq or exists (
    select from push_waiting w
    where w.account_id = c.account_id and w.endpoint_id = c.endpoint_id and not w.parked and w.next_at <= $1)";

/// An endpoint's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Endpoint {
    pub account: AccountId,
    pub endpoint_id: Uuid,
    pub url: String,
    pub description: String,
    /// `whsec_…`.
    pub secret: String,
    /// Patterns of event types without their root, `contact.*`; empty means all.
    pub events: Vec<String>,
    /// Events of this origin are left out.
    pub exclude_own: Option<String>,
    /// `record`.
    pub order: String,
    pub timeout_s: i32,
    /// `live` or `disabled`.
    pub state: String,
    pub created_at: Timestamp,
}

impl Store {
    /// Makes an endpoint that stands at `from`, or at the end of the log; false where there is no such account.
    pub async fn create_endpoint(&self, new: &Endpoint, from: Option<Seq>, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.reader().await?;
        let transaction = client.transaction().await?;
        let account = new.account.0;
        let placed = transaction.execute(INSERT_CURSOR, &[&account, &new.endpoint_id, &from.map(|seq| seq.0)]).await?;
        if placed == 0 {
            return Ok(false);
        }
        transaction
            .execute(
                INSERT,
                &[
                    &account,
                    &new.endpoint_id,
                    &new.url,
                    &new.description,
                    &new.secret,
                    &new.events,
                    &new.exclude_own,
                    &new.order,
                    &new.timeout_s,
                    &new.state,
                    &new.created_at,
                ],
            )
            .await?;
        let detail = serde_json::json!({"endpoint": new.endpoint_id, "url": new.url});
        audit(&transaction, &[account], by, "push.create", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// An account's endpoints and where each stands, in the order of their making.
    pub async fn endpoints(&self, account: AccountId) -> Result<Vec<(Endpoint, PushCursor)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(LIST).await?;
        Ok(client.query(&statement, &[&account.0]).await?.iter().map(endpoint).collect())
    }

    /// Deletes an endpoint with its place; false where there is none.
    pub async fn delete_endpoint(&self, account: AccountId, endpoint: Uuid, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.reader().await?;
        let transaction = client.transaction().await?;
        let deleted = transaction.execute(DELETE, &[&account.0, &endpoint]).await?;
        if deleted == 0 {
            return Ok(false);
        }
        audit(&transaction, &[account.0], by, "push.delete", &serde_json::json!({"endpoint": endpoint})).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// An endpoint's exceptions in the order of the log.
    pub async fn waiting(&self, account: AccountId, endpoint: Uuid) -> Result<Vec<Waiting>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(WAITING).await?;
        let waiting = |row: &PgRow| Waiting {
            seq: Seq(row.get(0)),
            uid: Uid(row.get(1)),
            attempts: u32::try_from(row.get::<_, i32>(2)).unwrap_or(0),
            next_at: row.get(3),
            parked: row.get(4),
        };
        Ok(client.query(&statement, &[&account.0, &endpoint]).await?.iter().map(waiting).collect())
    }

    /// Accounts with an endpoint that has something to do, and by how many events it is behind.
    pub async fn behind_push(&self, now: Timestamp) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(DUE).await?;
        let rows = client.query(&statement, &[&now]).await?;
        let lag = |row: &PgRow| u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), lag(row))).collect())
    }
}

fn endpoint(row: &PgRow) -> (Endpoint, PushCursor) {
    let account = AccountId(row.get(0));
    let endpoint_id = row.get(1);
    let endpoint = Endpoint {
        account,
        endpoint_id,
        url: row.get(2),
        description: row.get(3),
        secret: row.get(4),
        events: row.get(5),
        exclude_own: row.get(6),
        order: row.get(7),
        timeout_s: row.get(8),
        state: row.get(9),
        created_at: row.get(10),
    };
    let cursor = PushCursor {
        account,
        endpoint: endpoint_id,
        seq: Seq(row.get(11)),
        failing_since: row.get(12),
        failures: u32::try_from(row.get::<_, i32>(13)).unwrap_or(0),
        next_at: row.get(14),
    };
    (endpoint, cursor)
}
