//! The log of attempts to deliver, as endpoints' owners read it.

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::{AccountId, Seq, Timestamp};

/// Attempts have ids that grow with time, and partitions by time: the newest come first without a sort.
const LIST: &str = "-- push_attempt.list
select attempt_id, at, seq, webhook_id, trigger, outcome, status, error, duration_ms, bytes, body
from push_attempt
where account_id = $1 and endpoint_id = $2 and ($3::uuid is null or attempt_id < $3)
    and ($4::integer is null or status = $4) and ($5::boolean is null or (outcome = 'delivered') = $5)
order by attempt_id desc limit $6";

/// An attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Attempt {
    pub attempt_id: Uuid,
    pub at: Timestamp,
    pub seq: Seq,
    pub webhook_id: String,
    /// What it was made for: the log, a retry, a test.
    pub trigger: String,
    /// `delivered`, else why not.
    pub outcome: String,
    pub status: Option<i32>,
    pub error: Option<String>,
    pub duration_ms: i32,
    pub bytes: i64,
    /// The beginning of what was answered.
    pub body: Vec<u8>,
}

/// Which attempts are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Narrowed {
    /// Those before this one.
    pub before: Option<Uuid>,
    /// Those that were answered so.
    pub status: Option<i32>,
    /// Those that delivered, or those that did not.
    pub delivered: Option<bool>,
}

impl Store {
    /// At most `limit` of an endpoint's attempts, the newest first.
    pub async fn attempts(
        &self,
        account: AccountId,
        endpoint: Uuid,
        narrowed: Narrowed,
        limit: i64,
    ) -> Result<Vec<Attempt>, StoreError> {
        let Narrowed { before, status, delivered } = narrowed;
        let client = self.reader().await?;
        let statement = client.prepare_cached(LIST).await?;
        let rows = client.query(&statement, &[&account.0, &endpoint, &before, &status, &delivered, &limit]).await?;
        Ok(rows.iter().map(attempt).collect())
    }
}

fn attempt(row: &PgRow) -> Attempt {
    Attempt {
        attempt_id: row.get(0),
        at: row.get(1),
        seq: Seq(row.get(2)),
        webhook_id: row.get(3),
        trigger: row.get(4),
        outcome: row.get(5),
        status: row.get(6),
        error: row.get(7),
        duration_ms: row.get(8),
        bytes: row.get(9),
        body: row.get(10),
    }
}
