//! Push endpoints: their settings, cursors, retry entries and queued cursor commands.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::endpoint_changes::command_of_columns;
use super::{Params, Store, StoreError, own_headers};
use crate::domain::endpoint::settings::MAX_BATCH;
use crate::domain::endpoint::{
    DeliveryOrder, Endpoint, EndpointCursor, EndpointState, EndpointStatus, Health, Mode, ParkedEvent,
    QueuedCursorCommand, RetryEntry, SeqRange, Settings, Signature, StoredSecret,
};
use crate::domain::{AccountId, Seq, Timestamp, Uid};

const INSERT: &str = "-- push_endpoint.insert
insert into push_endpoint (account_id, endpoint_id, url, description, events, fields, exclude_own, mode, max_batch,
    debounce_ms, delivery_order, send_window, rate, headers, timeout_s, signature, secrets, secrets_until, state,
    created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text::json, $15, $16, $17, $18, $19, $20)";

const INSERT_CURSOR: &str = "-- push_cursor.insert
insert into push_cursor (account_id, endpoint_id, seq)
select account_id, $2, coalesce($3, seq) from head where account_id = $1";

pub(super) const LIST: &str = "-- push_endpoint.list
select e.account_id, e.endpoint_id, e.url, e.description, e.events, e.fields, e.exclude_own, e.mode, e.max_batch,
    e.debounce_ms, e.delivery_order, e.send_window, e.rate, e.headers::text, e.timeout_s, e.signature, e.secrets,
    e.secrets_until, e.state,
    coalesce((select h.record::json ->> 'status' from push_health h
        where h.account_id = e.account_id and h.uid = e.endpoint_id), 'well'),
    e.revision, e.created_at, c.seq, c.failing_since, c.failures, c.next_at,
    c.passed,
    exists (select from push_order o where o.account_id = e.account_id and o.endpoint_id = e.endpoint_id)
from push_endpoint e join push_cursor c on c.account_id = e.account_id and c.endpoint_id = e.endpoint_id
where e.account_id = $1 and ($2::uuid is null or e.endpoint_id = $2) order by e.endpoint_id";

const UPDATE: &str = "-- push_endpoint.update
update push_endpoint set url = $3, description = $4, events = $5, fields = $6, exclude_own = $7, mode = $8,
    max_batch = $9, debounce_ms = $10, delivery_order = $11, send_window = $12, rate = $13,
    headers = $14::text::json, timeout_s = $15, signature = $16, secrets = $17, secrets_until = $18, state = $19,
    revision = revision + 1
where account_id = $1 and endpoint_id = $2";

pub(super) const DELETE: &str = "-- push_endpoint.delete
with cursors as (delete from push_cursor where account_id = $1 and endpoint_id = $2),
    waiting as (delete from push_waiting where account_id = $1 and endpoint_id = $2),
    orders as (delete from push_order where account_id = $1 and endpoint_id = $2)
delete from push_endpoint where account_id = $1 and endpoint_id = $2";

const WAITING: &str = "-- push_waiting.list
select seq, uid, attempts, next_at, parked, coalesce(first_seq, seq), batch from push_waiting
where account_id = $1 and endpoint_id = $2 order by seq";

pub(super) const IS_PARKED: &str = "-- push_waiting.is_parked
select seq from push_waiting where account_id = $1 and endpoint_id = $2 and seq = $3 and parked";

const PARKED: &str = "-- push_waiting.parked
select w.seq, w.uid, e.type, w.attempts, w.next_at
from push_waiting w join event e on e.account_id = w.account_id and e.seq = w.seq
where w.account_id = $1 and w.endpoint_id = $2 and w.seq > $3 and w.parked order by w.seq limit $4";

const ORDERS: &str = "-- push_order.list
select endpoint_id, order_id, kind, from_seq, to_seq from push_order where account_id = $1 order by order_id";

const DUE: &str = "-- push_endpoint.due
select c.account_id, case when e.state = 'live' then h.seq - c.seq else 0 end
from push_cursor c
join push_endpoint e on e.account_id = c.account_id and e.endpoint_id = c.endpoint_id
join head h on h.account_id = c.account_id
where exists (select from push_order o where o.account_id = c.account_id and o.endpoint_id = c.endpoint_id)
    or e.state = 'live' and (h.seq > c.seq or exists (
    select from push_waiting w
    where w.account_id = c.account_id and w.endpoint_id = c.endpoint_id and not w.parked and w.next_at <= $1))";

impl Store {
    /// Returns an account's endpoints with their cursors, in the order in which they were created.
    pub async fn endpoints(&self, account: AccountId) -> Result<Vec<EndpointState>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(LIST).await?;
        client.query(&statement, &[&account.0, &None::<Uuid>]).await?.iter().map(endpoint_state).collect()
    }

    /// Returns one endpoint with its cursor.
    pub async fn endpoint(&self, account: AccountId, endpoint: Uuid) -> Result<Option<EndpointState>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(LIST).await?;
        client.query_opt(&statement, &[&account.0, &endpoint]).await?.as_ref().map(endpoint_state).transpose()
    }

    /// Returns an account's cursor commands that were not applied yet, in the order in which they were queued.
    pub async fn cursor_commands(&self, account: AccountId) -> Result<Vec<QueuedCursorCommand>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(ORDERS).await?;
        let command = |row: &PgRow| {
            let (endpoint, command_id) = (row.get(0), row.get(1));
            let command = command_of_columns(row.get(2), row.get(3), row.get(4));
            let command = command.ok_or_else(|| StoreError::corrupt("push_order", "kind", command_id, "no word"))?;
            Ok(QueuedCursorCommand { endpoint, command_id, command })
        };
        client.query(&statement, &[&account.0]).await?.iter().map(command).collect()
    }

    /// Returns at most `limit` of an endpoint's parked events after a position.
    pub async fn parked(
        &self,
        account: AccountId,
        endpoint: Uuid,
        after: Seq,
        limit: i64,
    ) -> Result<Vec<ParkedEvent>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(PARKED).await?;
        let parked = |row: &PgRow| ParkedEvent {
            seq: Seq(row.get(0)),
            uid: Uid(row.get(1)),
            kind: row.get(2),
            attempts: row.get(3),
            parked_at: row.get(4),
        };
        Ok(client.query(&statement, &[&account.0, &endpoint, &after.0, &limit]).await?.iter().map(parked).collect())
    }

    /// Returns an endpoint's retry entries in the order of the log.
    pub async fn retry_entries(&self, account: AccountId, endpoint: Uuid) -> Result<Vec<RetryEntry>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(WAITING).await?;
        let entry = |row: &PgRow| RetryEntry {
            seq: Seq(row.get(0)),
            uid: Uid(row.get(1)),
            attempts: u32::try_from(row.get::<_, i32>(2)).unwrap_or(0),
            next_at: row.get(3),
            parked: row.get(4),
            first: Seq(row.get(5)),
            batch: row.get::<_, Option<i64>>(6).map(Seq),
        };
        Ok(client.query(&statement, &[&account.0, &endpoint]).await?.iter().map(entry).collect())
    }

    /// Returns the accounts with an endpoint that has events or commands pending, and by how many events it is behind.
    pub async fn behind_push(&self, now: Timestamp) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(DUE).await?;
        let rows = client.query(&statement, &[&now]).await?;
        let lag = |row: &PgRow| u64::try_from(row.get::<_, i64>(1)).unwrap_or(0);
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), lag(row))).collect())
    }
}

/// Adds an endpoint whose cursor starts at `from`, or at the end of the log.
pub(super) async fn insert(client: &Object, new: &Endpoint, from: Option<Seq>) -> Result<(), StoreError> {
    client.execute(INSERT_CURSOR, &[&new.account.0, &new.endpoint_id, &from.map(|seq| seq.0)]).await?;
    let (c, settings) = (Columns::of(new)?, &new.settings);
    client.execute(INSERT, &[&c.values(new, settings)[..], &[&new.created_at]].concat()).await?;
    Ok(())
}

/// Writes an endpoint's settings, status and secrets, and raises its revision.
pub(super) async fn update(client: &Object, endpoint: &Endpoint) -> Result<(), StoreError> {
    let c = Columns::of(endpoint)?;
    client.execute(UPDATE, &c.values(endpoint, &endpoint.settings)).await?;
    Ok(())
}

/// An endpoint's settings as columns have them.
struct Columns<'a> {
    mode: &'static str,
    max_batch: i32,
    debounce_ms: i32,
    order: &'static str,
    window: i32,
    rate: Option<i32>,
    headers: String,
    timeout_s: i32,
    signature: &'static str,
    secrets: Vec<&'a [u8]>,
    until: Vec<Option<Timestamp>>,
    status: &'static str,
}

impl<'a> Columns<'a> {
    fn of(endpoint: &'a Endpoint) -> Result<Self, StoreError> {
        let Settings { mode, order, window, rate, headers, timeout, .. } = &endpoint.settings;
        let headers = own_headers::encode(headers)
            .map_err(|error| StoreError::corrupt("push_endpoint", "headers", endpoint.endpoint_id, error))?;
        Ok(Self {
            mode: mode.name(),
            max_batch: i32::try_from(mode.max_batch()).unwrap_or(i32::MAX),
            debounce_ms: i32::try_from(mode.debounce().as_millis()).unwrap_or(i32::MAX),
            order: order.name(),
            window: i32::try_from(*window).unwrap_or(i32::MAX),
            rate: rate.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX)),
            headers,
            timeout_s: i32::try_from(timeout.as_secs()).unwrap_or(i32::MAX),
            signature: endpoint.signature.name(),
            secrets: endpoint.secrets.iter().map(|secret| secret.bytes.as_slice()).collect(),
            until: endpoint.secrets.iter().map(|secret| secret.expires_at).collect(),
            status: endpoint.status.name(),
        })
    }

    /// The parameters that [`INSERT`] and [`UPDATE`] have in common.
    fn values<'v>(&'v self, endpoint: &'v Endpoint, settings: &'v Settings) -> Params<'v, 19> {
        [
            &endpoint.account.0,
            &endpoint.endpoint_id,
            &settings.url,
            &settings.description,
            &settings.events,
            &settings.fields,
            &settings.exclude_own,
            &self.mode,
            &self.max_batch,
            &self.debounce_ms,
            &self.order,
            &self.window,
            &self.rate,
            &self.headers,
            &self.timeout_s,
            &self.signature,
            &self.secrets,
            &self.until,
            &self.status,
        ]
    }
}

pub(super) fn endpoint_state(row: &PgRow) -> Result<EndpointState, StoreError> {
    let account = AccountId(row.get(0));
    let endpoint_id: Uuid = row.get(1);
    let corrupt = |column| StoreError::corrupt("push_endpoint", column, format!("{account}/{endpoint_id}"), "no word");
    let number = |column: usize| u32::try_from(row.get::<_, i32>(column)).unwrap_or(0);
    let max_batch = usize::try_from(number(8)).unwrap_or(MAX_BATCH);
    let mode = Mode::of_name(row.get(7), max_batch, Duration::from_millis(u64::from(number(9))));
    let headers = own_headers::decode(row.get(13))
        .map_err(|error| StoreError::corrupt("push_endpoint", "headers", endpoint_id, error))?;
    let settings = Settings {
        url: row.get(2),
        description: row.get(3),
        events: row.get(4),
        fields: row.get(5),
        exclude_own: row.get(6),
        mode: mode.ok_or_else(|| corrupt("mode"))?,
        order: DeliveryOrder::from_name(row.get(10)).ok_or_else(|| corrupt("delivery_order"))?,
        window: usize::try_from(number(11)).unwrap_or(1),
        rate: row.get::<_, Option<i32>>(12).and_then(|rate| u32::try_from(rate).ok()),
        headers,
        timeout: Duration::from_secs(u64::from(number(14))),
    };
    let (secrets, expiries): (Vec<Vec<u8>>, Vec<Option<Timestamp>>) = (row.get(16), row.get(17));
    let secrets = secrets.into_iter().zip(expiries);
    let endpoint = Endpoint {
        account,
        endpoint_id,
        settings,
        signature: Signature::from_name(row.get(15)).ok_or_else(|| corrupt("signature"))?,
        secrets: secrets.map(|(bytes, expires_at)| StoredSecret { bytes, expires_at }).collect(),
        status: EndpointStatus::from_name(row.get(18)).ok_or_else(|| corrupt("state"))?,
        reported: Health::from_name(row.get(19)).ok_or_else(|| corrupt("reported"))?,
        revision: row.get(20),
        created_at: row.get(21),
    };
    let cursor = EndpointCursor {
        account,
        endpoint: endpoint_id,
        seq: Seq(row.get(22)),
        failing_since: row.get(23),
        failures: number(24),
        next_at: row.get(25),
    };
    let processed: Vec<i64> = row.get(26);
    let processed = processed.as_chunks().0.iter().map(|[after, through]| SeqRange::new(Seq(*after), Seq(*through)));
    Ok(EndpointState { endpoint, cursor, processed: processed.collect(), has_commands: row.get(27) })
}
