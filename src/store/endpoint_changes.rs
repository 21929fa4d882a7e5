//! Changes of an account's push endpoints. A change never writes a cursor, because only the replica that owns the endpoint's
//! shard does: it queues a cursor command for that replica.

use uuid::Uuid;

use super::account_changes::AccountChange;
use super::{StoreError, columns, endpoints};
use crate::clock;
use crate::domain::endpoint::{CursorCommand, Endpoint, EndpointState};
use crate::domain::{Seq, Timestamp};

const COUNT: &str = "-- push_endpoint.count
select count(*) as endpoints from push_endpoint where account_id = $1";

/// Disabling an endpoint and rotating the master key write the row too, and do not lock the head.
const LOCK: &str = "-- push_endpoint.lock
select from push_endpoint where account_id = $1 and endpoint_id = $2 for update";

const ENQUEUE: &str = "-- push_cursor_command.insert
insert into push_cursor_command (account_id, endpoint_id, command_id, kind, from_seq, to_seq, at)
values ($1, $2, $3, $4, $5, $6, $7)";

/// Identifiers in $3 are used in their order, one for each parked event, so that they order the commands as the log does.
const ENQUEUE_RETRIES: &str = "-- push_cursor_command.insert_retries
insert into push_cursor_command (account_id, endpoint_id, command_id, kind, from_seq, to_seq, at)
select p.account_id, p.endpoint_id, k.command_id, 'retry', p.seq, null::bigint, $4::timestamptz
from (
    select account_id, endpoint_id, seq, row_number() over (order by seq) as number from push_retry
    where account_id = $1 and endpoint_id = $2 and parked
    order by seq limit cardinality($3::uuid[])
) as p join unnest($3::uuid[]) with ordinality as k(command_id, number) on k.number = p.number";

impl AccountChange {
    /// Returns the number of the account's endpoints.
    pub async fn endpoint_count(&self) -> Result<usize, StoreError> {
        let row = self.client()?.query_one(COUNT, &[&self.account().0]).await?;
        columns::integer::<i64, _>(&row, "push_endpoint", "endpoints", &self.account())
    }

    /// Returns one of the account's endpoints with its cursor, and locks its settings until the change ends.
    pub async fn endpoint(&self, endpoint: Uuid) -> Result<Option<EndpointState>, StoreError> {
        self.client()?.execute(LOCK, &[&self.account().0, &endpoint]).await?;
        // A later statement sees rows that were committed while the lock was waited for.
        let row = self.client()?.query_opt(endpoints::LIST, &[&self.account().0, &endpoint]).await?;
        row.as_ref().map(endpoints::endpoint_state).transpose()
    }

    /// Adds an endpoint whose cursor starts at `from`, or at the end of the log.
    pub async fn insert_endpoint(&self, new: &Endpoint, from: Option<Seq>) -> Result<(), StoreError> {
        endpoints::insert(self.client()?, new, from).await
    }

    /// Writes an endpoint's settings, status and secrets, and raises its revision.
    pub async fn update_endpoint(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        endpoints::update(self.client()?, endpoint).await
    }

    /// Deletes an endpoint with all that it has; false where there is none.
    pub async fn delete_endpoint(&self, endpoint: Uuid) -> Result<bool, StoreError> {
        Ok(self.client()?.execute(endpoints::DELETE, &[&self.account().0, &endpoint]).await? > 0)
    }

    /// Whether an event of the endpoint is parked.
    pub async fn is_parked(&self, endpoint: Uuid, seq: Seq) -> Result<bool, StoreError> {
        let row = self.client()?.query_opt(endpoints::IS_PARKED, &[&self.account().0, &endpoint, &seq.0]).await?;
        Ok(row.is_some())
    }

    /// Queues a cursor command for the replica that owns the endpoint's shard.
    pub async fn enqueue(&self, endpoint: Uuid, command: CursorCommand, at: Timestamp) -> Result<(), StoreError> {
        let (kind, from, to) = endpoints::columns_of(command);
        let id = clock::fresh_uid().0;
        self.client()?.execute(ENQUEUE, &[&self.account().0, &endpoint, &id, &kind, &from, &to, &at]).await?;
        Ok(())
    }

    /// Queues a retry of each of an endpoint's first `limit` parked events; returns their number.
    pub async fn enqueue_retries(&self, endpoint: Uuid, limit: u16, at: Timestamp) -> Result<u64, StoreError> {
        let ids: Vec<Uuid> = (0..limit).map(|_| clock::fresh_uid().0).collect();
        Ok(self.client()?.execute(ENQUEUE_RETRIES, &[&self.account().0, &endpoint, &ids, &at]).await?)
    }
}
