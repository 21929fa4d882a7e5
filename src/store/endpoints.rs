//! Push endpoints: their settings, cursors, retry entries and queued cursor commands.

use std::collections::HashSet;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::{Params, Store, StoreError, columns, own_headers};
use crate::domain::endpoint::{
    CursorCommand, DeliveryOrder, Endpoint, EndpointCursor, EndpointState, EndpointStatus, Health, Mode, ModeKind,
    ParkedEvent, QueuedCursorCommand, RetryEntry, SeqRange, Settings, Signature, StoredSecret,
};
use crate::domain::{AccountId, Seq, Timestamp, Uid};

const INSERT: &str = "-- push_endpoint.insert
insert into push_endpoint (account_id, endpoint_id, url, description, events, fields, exclude_own, mode, max_batch,
    debounce_ms, delivery_order, send_window, rate, headers, timeout_s, signature, secrets, secrets_until, state,
    created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text::json, $15, $16, $17, $18, $19, $20)";

const INSERT_CURSOR: &str = "-- push_endpoint_cursor.insert
insert into push_endpoint_cursor (account_id, endpoint_id, seq)
select account_id, $2, coalesce($3, seq) from head where account_id = $1";

pub(super) const LIST: &str = "-- push_endpoint.list
select e.account_id, e.endpoint_id, e.url, e.description, e.events, e.fields, e.exclude_own, e.mode, e.max_batch,
    e.debounce_ms, e.delivery_order, e.send_window, e.rate, e.headers::text as headers, e.timeout_s, e.signature, e.secrets,
    e.secrets_until, e.state,
    coalesce((select h.record::json ->> 'status' from push_health h
        where h.account_id = e.account_id and h.uid = e.endpoint_id), 'well') as reported,
    (select b.name from brand b where b.account_id = e.account_id) as brand,
    e.revision, e.created_at, c.seq, c.failing_since, c.failures, c.next_at,
    c.processed,
    exists (select from push_cursor_command o
        where o.account_id = e.account_id and o.endpoint_id = e.endpoint_id) as has_commands
from push_endpoint e join push_endpoint_cursor c on c.account_id = e.account_id and c.endpoint_id = e.endpoint_id
where e.account_id = $1 and ($2::uuid is null or e.endpoint_id = $2) order by e.endpoint_id";

const OWNERS: &str = "-- push_endpoint.owners
select k.account_id from unnest($1::uuid[]) as k(account_id)
where exists (select from push_endpoint e where e.account_id = k.account_id)";

const UPDATE: &str = "-- push_endpoint.update
update push_endpoint set url = $3, description = $4, events = $5, fields = $6, exclude_own = $7, mode = $8,
    max_batch = $9, debounce_ms = $10, delivery_order = $11, send_window = $12, rate = $13,
    headers = $14::text::json, timeout_s = $15, signature = $16, secrets = $17, secrets_until = $18, state = $19,
    revision = revision + 1
where account_id = $1 and endpoint_id = $2";

pub(super) const DELETE: &str = "-- push_endpoint.delete
with cursors as (delete from push_endpoint_cursor where account_id = $1 and endpoint_id = $2),
    retries as (delete from push_retry where account_id = $1 and endpoint_id = $2),
    commands as (delete from push_cursor_command where account_id = $1 and endpoint_id = $2)
delete from push_endpoint where account_id = $1 and endpoint_id = $2";

const RETRIES: &str = "-- push_retry.list
select seq, uid, attempts, next_at, parked, coalesce(first_seq, seq) as first_seq, batch from push_retry
where account_id = $1 and endpoint_id = $2 order by seq";

pub(super) const IS_PARKED: &str = "-- push_retry.is_parked
select seq from push_retry where account_id = $1 and endpoint_id = $2 and seq = $3 and parked";

const PARKED: &str = "-- push_retry.parked
select r.seq, r.uid, e.type, r.attempts, r.next_at
from push_retry r join event e on e.account_id = r.account_id and e.seq = r.seq
where r.account_id = $1 and r.endpoint_id = $2 and r.seq > $3 and r.parked order by r.seq limit $4";

const COMMANDS: &str = "-- push_cursor_command.list
select endpoint_id, command_id, kind, from_seq, to_seq from push_cursor_command where account_id = $1 order by command_id";

const DUE: &str = "-- push_endpoint.due
select c.account_id, case when e.state = 'live' then h.seq - c.seq else 0 end
from push_endpoint_cursor c
join push_endpoint e on e.account_id = c.account_id and e.endpoint_id = c.endpoint_id
join head h on h.account_id = c.account_id
where exists (select from push_cursor_command o where o.account_id = c.account_id and o.endpoint_id = c.endpoint_id)
    or e.state = 'live' and (h.seq > c.seq or exists (
    select from push_retry w
    where w.account_id = c.account_id and w.endpoint_id = c.endpoint_id and not w.parked and w.next_at <= $1))";

/// The columns `kind`, `from_seq` and `to_seq` of a cursor command.
pub(super) fn columns_of(command: CursorCommand) -> (&'static str, i64, Option<i64>) {
    match command {
        CursorCommand::Replay { after, through } => ("replay", after.0, through.map(|seq| seq.0)),
        CursorCommand::Skip { through } => ("skip", through.0, None),
        CursorCommand::Retry { seq } => ("retry", seq.0, None),
        CursorCommand::Resume => ("resume", 0, None),
    }
}

/// The inverse of [`columns_of`].
fn command_of_columns(kind: &str, from: i64, to: Option<i64>) -> Option<CursorCommand> {
    match kind {
        "replay" => Some(CursorCommand::Replay { after: Seq(from), through: to.map(Seq) }),
        "skip" => Some(CursorCommand::Skip { through: Seq(from) }),
        "retry" => Some(CursorCommand::Retry { seq: Seq(from) }),
        "resume" => Some(CursorCommand::Resume),
        _ => None,
    }
}

impl Store {
    /// Returns an account's endpoints with their cursors, in the order in which they were created.
    pub async fn endpoints(&self, account: AccountId) -> Result<Vec<EndpointState>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(LIST).await?;
        client.query(&statement, &[&account.0, &None::<Uuid>]).await?.iter().map(endpoint_state).collect()
    }

    /// Returns those of these accounts that have endpoints.
    pub async fn accounts_with_endpoints(&self, accounts: &[AccountId]) -> Result<HashSet<AccountId>, StoreError> {
        let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
        let client = self.reader().await?;
        let statement = client.prepare_cached(OWNERS).await?;
        Ok(client.query(&statement, &[&accounts]).await?.iter().map(|row| AccountId(row.get(0))).collect())
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
        let statement = client.prepare_cached(COMMANDS).await?;
        let command = |row: &PgRow| {
            let (endpoint, command_id) = (row.get(0), row.get(1));
            let command = command_of_columns(row.get(2), row.get(3), row.get(4));
            let command =
                command.ok_or_else(|| StoreError::corrupt("push_cursor_command", "kind", command_id, UNKNOWN))?;
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
        let statement = client.prepare_cached(RETRIES).await?;
        let rows = client.query(&statement, &[&account.0, &endpoint]).await?;
        rows.iter().map(|row| retry_entry(row, (account, endpoint))).collect()
    }

    /// Returns the accounts with an endpoint that has events or commands pending, and by how many events it is behind.
    pub async fn behind_push(&self, now: Timestamp) -> Result<Vec<(AccountId, u64)>, StoreError> {
        let client = self.reader().await?;
        let statement = client.prepare_cached(DUE).await?;
        let rows = client.query(&statement, &[&now]).await?;
        // A cursor beyond the end of the log, after a restore, is behind by no event.
        let lag = |row: &PgRow| row.get::<_, i64>(1).max(0).unsigned_abs();
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), lag(row))).collect())
    }
}

fn retry_entry(row: &PgRow, (account, endpoint): (AccountId, Uuid)) -> Result<RetryEntry, StoreError> {
    let seq = Seq(row.get("seq"));
    Ok(RetryEntry {
        seq,
        uid: Uid(row.get("uid")),
        attempts: columns::small_count(row, "push_retry", "attempts", &format_args!("{account}/{endpoint}/{seq}"))?,
        next_at: row.get("next_at"),
        parked: row.get("parked"),
        first: Seq(row.get("first_seq")),
        batch: row.get::<_, Option<i64>>("batch").map(Seq),
    })
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
        let (table, id) = ("push_endpoint", &endpoint.endpoint_id);
        Ok(Self {
            mode: mode.name(),
            max_batch: columns::to_integer(mode.max_batch(), table, "max_batch", id)?,
            debounce_ms: columns::to_integer(mode.debounce().as_millis(), table, "debounce_ms", id)?,
            order: order.name(),
            window: columns::to_integer(*window, table, "send_window", id)?,
            rate: rate.map(|rate| columns::to_integer(rate, table, "rate", id)).transpose()?,
            headers,
            timeout_s: columns::to_integer(timeout.as_secs(), table, "timeout_s", id)?,
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
    let endpoint = endpoint(row)?;
    let (account, endpoint_id) = (endpoint.account, endpoint.endpoint_id);
    let key = format!("{account}/{endpoint_id}");
    let cursor = EndpointCursor {
        account,
        endpoint: endpoint_id,
        seq: Seq(row.get("seq")),
        failing_since: row.get("failing_since"),
        failures: columns::small_count(row, "push_endpoint_cursor", "failures", &key)?,
        next_at: row.get("next_at"),
    };
    let processed: Vec<i64> = row.get("processed");
    let (ranges, []) = processed.as_chunks() else {
        return Err(StoreError::corrupt("push_endpoint_cursor", "processed", key, "a range has two ends"));
    };
    let processed = ranges.iter().map(|[after, through]| SeqRange::new(Seq(*after), Seq(*through))).collect();
    Ok(EndpointState { endpoint, cursor, processed, has_commands: row.get("has_commands"), brand: row.get("brand") })
}

fn endpoint(row: &PgRow) -> Result<Endpoint, StoreError> {
    let account = AccountId(row.get("account_id"));
    let endpoint_id: Uuid = row.get("endpoint_id");
    let corrupt = |column, reason| corrupt((account, endpoint_id), column, reason);
    let (secrets, expiries): (Vec<Vec<u8>>, Vec<Option<Timestamp>>) = (row.get("secrets"), row.get("secrets_until"));
    if secrets.len() != expiries.len() {
        return Err(corrupt("secrets_until", "each secret has an expiry or null"));
    }
    let secrets = secrets.into_iter().zip(expiries);
    Ok(Endpoint {
        account,
        endpoint_id,
        settings: settings(row, (account, endpoint_id))?,
        signature: Signature::from_name(row.get("signature")).ok_or_else(|| corrupt("signature", UNKNOWN))?,
        secrets: secrets.map(|(bytes, expires_at)| StoredSecret { bytes, expires_at }).collect(),
        status: EndpointStatus::from_name(row.get("state")).ok_or_else(|| corrupt("state", UNKNOWN))?,
        reported: Health::from_name(row.get("reported"))
            .ok_or_else(|| StoreError::corrupt("push_health", "record", endpoint_id, UNKNOWN))?,
        revision: row.get("revision"),
        created_at: row.get("created_at"),
    })
}

fn settings(row: &PgRow, (account, endpoint_id): (AccountId, Uuid)) -> Result<Settings, StoreError> {
    let corrupt = |column, reason| corrupt((account, endpoint_id), column, reason);
    let key = format!("{account}/{endpoint_id}");
    let number = |column| columns::small_count(row, "push_endpoint", column, &key);
    let size = |column| columns::integer::<i32, usize>(row, "push_endpoint", column, &key);
    let debounce = Duration::from_millis(u64::from(number("debounce_ms")?));
    let mode_kind = ModeKind::from_name(row.get("mode")).ok_or_else(|| corrupt("mode", UNKNOWN))?;
    let rate = match row.get::<_, Option<i32>>("rate") {
        Some(_) => Some(number("rate")?),
        None => None,
    };
    Ok(Settings {
        url: row.get("url"),
        description: row.get("description"),
        events: row.get("events"),
        fields: row.get("fields"),
        exclude_own: row.get("exclude_own"),
        mode: Mode::new(mode_kind, size("max_batch")?, debounce),
        order: DeliveryOrder::from_name(row.get("delivery_order")).ok_or_else(|| corrupt("delivery_order", UNKNOWN))?,
        window: size("send_window")?,
        rate,
        headers: own_headers::decode(row.get("headers"))
            .map_err(|error| StoreError::corrupt("push_endpoint", "headers", endpoint_id, error))?,
        timeout: Duration::from_secs(u64::from(number("timeout_s")?)),
    })
}

/// The reason of a name that no version wrote.
const UNKNOWN: &str = "no known name";

fn corrupt((account, endpoint): (AccountId, Uuid), column: &'static str, reason: &'static str) -> StoreError {
    StoreError::corrupt("push_endpoint", column, format!("{account}/{endpoint}"), reason)
}
