//! Raising the epochs of logs after a restore of the database, when the stream and the receivers of events may be ahead of
//! the log.
//!
//! The epoch of a log is raised under the lock of its head, which every writer holds. So no event is appended with the
//! sequence number and the epoch of an event of the lost timeline.

use tokio_postgres::Row as PgRow;

use super::audit::{By, audit};
use super::{Store, StoreError};
use crate::domain::{AccountId, Seq};

const RECOVERING: &str = "-- restored.recovering
select pg_is_in_recovery()";

const LOCK: &str = "-- restored.lock
select account_id from head where account_id > $1 and ($2::uuid is null or account_id = $2)
order by account_id limit $3 for update";

/// Finds a log whose last event is not the one that its head names: the restore was incomplete, which a new epoch does not
/// repair.
const BROKEN: &str = "-- restored.broken
select h.account_id from head h
where h.account_id = any($1) and h.seq <> coalesce((select max(e.seq) from event e where e.account_id = h.account_id), 0)
order by h.account_id limit 1";

const RAISE: &str = "-- restored.raise_epoch
update head set epoch = epoch + 1 where account_id = any($1) returning account_id, seq, epoch";

const RELAY: &str = "-- restored.relay
insert into relay_cursor (account_id, seq, repair, repair_id)
select account_id, 0, 'truncate', gen_random_uuid() from head where account_id = any($1)
on conflict (account_id) do update set
    seq = least(relay_cursor.seq, (select h.seq from head h where h.account_id = excluded.account_id)),
    repair = case when relay_cursor.repair = 'refill' then 'refill' else excluded.repair end,
    repair_id = excluded.repair_id";

/// Queues a replay from the end of the log, which moves the cursor back to there, also the one in a worker's memory, and
/// drops retry entries beyond it.
const PUSH: &str = "-- restored.push
insert into push_cursor_command (account_id, endpoint_id, command_id, kind, from_seq, to_seq, at)
select c.account_id, c.endpoint_id, gen_random_uuid(), 'replay', h.seq, null, $2
from push_endpoint_cursor c join head h on h.account_id = c.account_id where c.account_id = any($1)";

/// Deletes records whose responses refer to events that the log has lost.
const IDEMPOTENCY_RECORDS: &str = "-- restored.idempotency_records
delete from idempotency_record a using head h
where a.account_id = any($1) and h.account_id = a.account_id and (a.outcome->'done'->>'version')::bigint > h.seq";

/// A log whose epoch was raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Raised {
    pub account: AccountId,
    pub head: Seq,
    /// The new epoch.
    pub epoch: i32,
}

/// The result of raising the epochs of some accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RaiseOutcome {
    /// The logs whose epochs were raised, in the order of their accounts; empty where no account is left.
    Raised(Vec<Raised>),
    /// Nothing was changed, because this account's head does not name the last event of its log.
    Broken(AccountId),
}

impl Store {
    /// Whether the database is still being restored, or is a standby, and takes no writes.
    pub async fn is_recovering(&self) -> Result<bool, StoreError> {
        Ok(self.reader().await?.query_one(RECOVERING, &[]).await?.get(0))
    }

    /// Raises the epochs of at most `limit` accounts after `after`, or of `only`, in one transaction. Moves cursors that are
    /// beyond the end of their logs back to it, and deletes idempotency records of lost events.
    pub async fn raise_epochs(
        &self,
        after: AccountId,
        only: Option<AccountId>,
        limit: i64,
        by: By<'_>,
    ) -> Result<RaiseOutcome, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let locked = transaction.query(LOCK, &[&after.0, &only.map(|account| account.0), &limit]).await?;
        let ids: Vec<uuid::Uuid> = locked.iter().map(|row| row.get(0)).collect();
        if let Some(broken) = transaction.query_opt(BROKEN, &[&ids]).await? {
            return Ok(RaiseOutcome::Broken(AccountId(broken.get(0))));
        }
        let raised = transaction.query(RAISE, &[&ids]).await?;
        transaction.execute(RELAY, &[&ids]).await?;
        transaction.execute(PUSH, &[&ids, &by.at]).await?;
        transaction.execute(IDEMPOTENCY_RECORDS, &[&ids]).await?;
        audit(&transaction, &ids, by, "log.restored", &serde_json::json!({})).await?;
        transaction.commit().await?;
        let of = |row: &PgRow| Raised { account: AccountId(row.get(0)), head: Seq(row.get(1)), epoch: row.get(2) };
        let mut raised: Vec<Raised> = raised.iter().map(of).collect();
        raised.sort_unstable_by_key(|raised| raised.account);
        Ok(RaiseOutcome::Raised(raised))
    }
}
