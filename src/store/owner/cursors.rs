//! The cursors that the owner of a shard writes: the relay's, and those of push endpoints with their retry entries.

use tokio_postgres::{Client, Statement};
use uuid::Uuid;

use super::ShardOwner;
use crate::clock;
use crate::domain::endpoint::{CursorUpdate, EndpointSave};
use crate::domain::{AccountId, Seq, Timestamp};
use crate::store::{Params, StoreError};

const SAVE_RELAY: &str = "-- relay_cursor.save
with moved as (
    select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::uuid[]) as m(account_id, was, seq, repair_id)
), inserted as (
    insert into relay_cursor (account_id, seq, stream) select account_id, seq, $5 from moved
    where was = 0 and repair_id is null
    on conflict (account_id) do update set seq = excluded.seq, stream = excluded.stream
        where relay_cursor.seq = 0 and coalesce(relay_cursor.stream, $5) = $5 and relay_cursor.repair_id is null
    returning account_id
), updated as (
    update relay_cursor c set seq = m.seq, stream = $5, repair = null, repair_id = null from moved m
    where c.account_id = m.account_id and c.seq = m.was and (m.was > 0 or m.repair_id is not null)
        and coalesce(c.stream, $5) = $5 and c.repair_id is not distinct from m.repair_id
    returning c.account_id
)
select account_id from inserted union all select account_id from updated";

const SAVE_PUSH: &str = "-- push_endpoint_cursor.save
with cursors as (
    update push_endpoint_cursor c
    set seq = n.seq, failing_since = n.failing_since, failures = n.failures, next_at = n.next_at
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::timestamptz[], $5::integer[], $6::timestamptz[])
        as n(account_id, endpoint_id, seq, failing_since, failures, next_at)
    where c.account_id = n.account_id and c.endpoint_id = n.endpoint_id
), settled as (
    delete from push_retry w using unnest($7::uuid[], $8::uuid[], $9::bigint[]) as s(account_id, endpoint_id, seq)
    where w.account_id = s.account_id and w.endpoint_id = s.endpoint_id and w.seq = s.seq
)
insert into push_retry (account_id, endpoint_id, seq, uid, attempts, next_at, parked, first_seq, batch)
select w.account_id, w.endpoint_id, w.seq, w.uid, w.attempts, w.next_at, w.parked, w.first_seq, w.batch
from unnest($10::uuid[], $11::uuid[], $12::bigint[], $13::uuid[], $14::integer[], $15::timestamptz[], $16::boolean[],
    $17::bigint[], $18::bigint[]) as w(account_id, endpoint_id, seq, uid, attempts, next_at, parked, first_seq, batch)
join push_endpoint e on e.account_id = w.account_id and e.endpoint_id = w.endpoint_id
on conflict (account_id, endpoint_id, seq) do update
    set attempts = excluded.attempts, next_at = excluded.next_at, parked = excluded.parked,
        first_seq = excluded.first_seq, batch = excluded.batch";

const UPDATE_CURSOR: &str = "-- push_endpoint_cursor.move
with taken as (
    delete from push_cursor_command where account_id = $1 and endpoint_id = $2 and command_id = any($3) returning command_id
), dropped as (
    delete from push_retry where account_id = $1 and endpoint_id = $2 and seq = any($4)
), retried as (
    update push_retry w set parked = false, next_at = r.next_at
    from unnest($5::bigint[], $6::timestamptz[]) as r(seq, next_at)
    where w.account_id = $1 and w.endpoint_id = $2 and w.seq = r.seq
)
update push_endpoint_cursor set seq = $7, processed = $8, failing_since = $9, failures = $10, next_at = $11
where account_id = $1 and endpoint_id = $2 and exists (select from taken)";

const DISABLE: &str = "-- push_endpoint.disable
with disabled as (
    update push_endpoint set state = 'disabled', revision = revision + 1
    where account_id = $1 and endpoint_id = $2 and state = 'live' and revision = $6 returning account_id
)
insert into audit (account_id, audit_id, at, actor, action, detail)
select account_id, $3, $4, 'push', 'push.disable', $5::text::json from disabled";

/// The statements that a session prepares once.
pub(super) struct Statements {
    save_relay: Statement,
    save_push: Statement,
}

/// A move of the relay's cursor in one account's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RelayMove {
    pub account: AccountId,
    pub from: Seq,
    pub to: Seq,
    /// The repair that was completed, which this move removes.
    pub repair: Option<Uuid>,
}

impl Statements {
    pub(super) async fn prepare(client: &Client) -> Result<Self, StoreError> {
        Ok(Self { save_relay: client.prepare(SAVE_RELAY).await?, save_push: client.prepare(SAVE_PUSH).await? })
    }
}

impl ShardOwner {
    /// Moves the cursors of the relay that are at the expected positions; returns the accounts whose cursor was moved.
    pub async fn save_relay(&self, moves: &[RelayMove], stream: i64) -> Result<Vec<AccountId>, StoreError> {
        let accounts: Vec<Uuid> = moves.iter().map(|moved| moved.account.0).collect();
        let was: Vec<i64> = moves.iter().map(|moved| moved.from.0).collect();
        let seqs: Vec<i64> = moves.iter().map(|moved| moved.to.0).collect();
        let repairs: Vec<Option<Uuid>> = moves.iter().map(|moved| moved.repair).collect();
        let values: Params<'_, 5> = [&accounts, &was, &seqs, &repairs, &stream];
        let rows = self.client.query(&self.statements.save_relay, &values).await?;
        Ok(rows.iter().map(|row| AccountId(row.get(0))).collect())
    }

    /// Writes the cursors and the changed retry entries of endpoints, in one statement.
    pub async fn save_push(&self, saves: &[EndpointSave]) -> Result<(), StoreError> {
        let c = CursorColumns::of(saves);
        let s = SettledColumns::of(saves);
        let w = RetryColumns::of(saves);
        self.client
            .execute(
                &self.statements.save_push,
                &[
                    &c.account,
                    &c.endpoint,
                    &c.seq,
                    &c.failing_since,
                    &c.failures,
                    &c.next_at,
                    &s.account,
                    &s.endpoint,
                    &s.seq,
                    &w.account,
                    &w.endpoint,
                    &w.seq,
                    &w.uid,
                    &w.attempts,
                    &w.next_at,
                    &w.parked,
                    &w.first,
                    &w.batch,
                ],
            )
            .await?;
        Ok(())
    }

    /// Writes the result of cursor commands and removes the commands, in one statement.
    pub async fn update_cursor(&self, update: &CursorUpdate) -> Result<(), StoreError> {
        let CursorUpdate { cursor, processed, dropped, retried, commands } = update;
        let numbers = |seqs: &[Seq]| seqs.iter().map(|seq| seq.0).collect::<Vec<i64>>();
        let retried_at: Vec<Timestamp> = retried.iter().map(|event| event.next_at).collect();
        let retried: Vec<i64> = retried.iter().map(|event| event.seq.0).collect();
        let processed: Vec<i64> = processed.iter().flat_map(|range| [range.after.0, range.through.0]).collect();
        let values: Params<'_, 11> = [
            &cursor.account.0,
            &cursor.endpoint,
            commands,
            &numbers(dropped),
            &retried,
            &retried_at,
            &cursor.seq.0,
            &processed,
            &cursor.failing_since,
            &saturated(cursor.failures),
            &cursor.next_at,
        ];
        self.client.execute(UPDATE_CURSOR, &values).await?;
        Ok(())
    }

    /// Disables an endpoint that answered 410 or failed for five days, with an audit row. Returns false where it is not live
    /// or has another revision: then the attempts were made with other settings.
    pub async fn disable_endpoint(
        &self,
        (account, endpoint): (AccountId, Uuid),
        revision: i64,
        detail: &serde_json::Value,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let id = clock::fresh_uid().0;
        let values: Params<'_, 6> = [&account.0, &endpoint, &id, &at, &detail.to_string(), &revision];
        Ok(self.client.execute(DISABLE, &values).await? > 0)
    }
}

/// Returns a count of failures as an `integer`. Every count beyond the largest `integer` means the same: failing for long.
fn saturated(failures: u32) -> i32 {
    i32::try_from(failures).unwrap_or(i32::MAX)
}

#[derive(Default)]
struct CursorColumns {
    account: Vec<Uuid>,
    endpoint: Vec<Uuid>,
    seq: Vec<i64>,
    failing_since: Vec<Option<Timestamp>>,
    failures: Vec<i32>,
    next_at: Vec<Option<Timestamp>>,
}

impl CursorColumns {
    fn of(saves: &[EndpointSave]) -> Self {
        let mut columns = Self::default();
        for EndpointSave { cursor, .. } in saves {
            columns.account.push(cursor.account.0);
            columns.endpoint.push(cursor.endpoint);
            columns.seq.push(cursor.seq.0);
            columns.failing_since.push(cursor.failing_since);
            columns.failures.push(saturated(cursor.failures));
            columns.next_at.push(cursor.next_at);
        }
        columns
    }
}

#[derive(Default)]
struct SettledColumns {
    account: Vec<Uuid>,
    endpoint: Vec<Uuid>,
    seq: Vec<i64>,
}

impl SettledColumns {
    fn of(saves: &[EndpointSave]) -> Self {
        let mut columns = Self::default();
        for EndpointSave { cursor, settled, .. } in saves {
            for seq in settled {
                columns.account.push(cursor.account.0);
                columns.endpoint.push(cursor.endpoint);
                columns.seq.push(seq.0);
            }
        }
        columns
    }
}

#[derive(Default)]
struct RetryColumns {
    account: Vec<Uuid>,
    endpoint: Vec<Uuid>,
    seq: Vec<i64>,
    uid: Vec<Uuid>,
    attempts: Vec<i32>,
    next_at: Vec<Timestamp>,
    parked: Vec<bool>,
    first: Vec<Option<i64>>,
    batch: Vec<Option<i64>>,
}

impl RetryColumns {
    fn of(saves: &[EndpointSave]) -> Self {
        let mut columns = Self::default();
        for EndpointSave { cursor, retries, .. } in saves {
            for event in retries {
                columns.account.push(cursor.account.0);
                columns.endpoint.push(cursor.endpoint);
                columns.seq.push(event.seq.0);
                columns.uid.push(event.uid.0);
                columns.attempts.push(saturated(event.attempts));
                columns.next_at.push(event.next_at);
                columns.parked.push(event.parked);
                columns.first.push((event.first < event.seq).then_some(event.first.0));
                columns.batch.push(event.batch.map(|batch| batch.0));
            }
        }
        columns
    }
}
