//! Histories of records, and the states that records had.
//!
//! No index leads from a record to its events, because every create would pay for it. An event names the version before it
//! (`data.previous_version`), so a history is walked from a version backwards, event by event, over the log's primary key.
//! A step takes about 25 µs. Every statement here has a bound of steps or of positions.
//!
//! Events never change their positions, so statements of one request may read different snapshots.

use tokio_postgres::Row as PgRow;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::log::PageLimit;
use super::reading::{Freshness, Reading};
use super::records::StoredRecord;
use super::{Store, StoreError, columns};
use crate::contract::record::is_deleted;
use crate::domain::{AccountId, Seq, Timestamp, Uid};

/// $3 is the event that the page begins with. It is on the page whatever its size.
const PAGE: &str = "-- history.page
with recursive walk as (
    select e.seq, e.body, (e.body::json #>> '{data,previous_version}')::bigint as previous,
        octet_length(e.body)::bigint as total, 1::bigint as number
    from event e where e.account_id = $1 and e.uid = $2 and e.seq = $3
    union all
    select e.seq, e.body, (e.body::json #>> '{data,previous_version}')::bigint,
        w.total + octet_length(e.body), w.number + 1
    from walk w join event e on e.account_id = $1 and e.uid = $2 and e.seq = w.previous
    where w.number < $4 and w.total + octet_length(e.body) <= $5
)
select seq, body, previous from walk order by number";

/// For each of the records $2, walks from its version in $3 back to the last event at or before $4, in at most $5 events.
/// `record` is null where the walk ended before.
const STATES: &str = "-- history.states
select k.number, w.seq, w.previous, w.steps, case when w.seq <= $4 then (
    select (e.body::json -> 'data' -> 'record')::text from event e where e.account_id = $1 and e.seq = w.seq) end as record
from unnest($2::uuid[], $3::bigint[]) with ordinality as k(uid, seq, number)
cross join lateral (
    with recursive walk as (
        select e.seq, (e.body::json #>> '{data,previous_version}')::bigint as previous, 1::bigint as steps
        from event e where e.account_id = $1 and e.uid = k.uid and e.seq = k.seq
        union all
        select e.seq, (e.body::json #>> '{data,previous_version}')::bigint, w.steps + 1
        from walk w join event e on e.account_id = $1 and e.uid = k.uid and e.seq = w.previous
        where w.seq > $4 and w.steps < $5
    )
    select seq, previous, steps from walk order by steps desc limit 1
) w
order by k.number";

/// Reads the log backwards from $3, at most $4 positions.
const LAST_BEFORE: &str = "-- history.last_before
select e.seq, (e.body::json -> 'data' -> 'record')::text as record
from event e where e.account_id = $1 and e.uid = $2 and e.seq <= $3 and e.seq > $3 - $4
order by e.seq desc limit 1";

/// Halves the log until one position is left.
const SEQ_AT: &str = "-- history.seq_at
with recursive search as (
    select 0::bigint as low, h.seq as high from head h where h.account_id = $1
    union all
    select case when e.at <= $2 then s.middle else s.low end, case when e.at <= $2 then s.high else s.middle - 1 end
    from (select low, high, (low + high + 1) / 2 as middle from search where low < high) s
    join event e on e.account_id = $1 and e.seq = s.middle
)
select low from search where low = high";

/// The same for several times.
const SEQS_AT: &str = "-- history.seqs_at
select s.seq
from unnest($2::timestamptz[]) with ordinality as t(at, number)
cross join lateral (
    with recursive search as (
        select 0::bigint as low, h.seq as high from head h where h.account_id = $1
        union all
        select case when e.at <= t.at then s.middle else s.low end, case when e.at <= t.at then s.high else s.middle - 1 end
        from (select low, high, (low + high + 1) / 2 as middle from search where low < high) s
        join event e on e.account_id = $1 and e.seq = s.middle
    )
    select low as seq from search where low = high
) s
order by t.number";

/// The positions of the log that are read before a long walk: a record that changes often has an event among them.
const MAX_POSITIONS: i64 = 20_000;

/// The steps of the first walk of a record.
const FIRST_STEPS: i64 = 64;

/// The steps of one request.
const MAX_STEPS: i64 = 10_000;

/// A page of a record's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// The events' bodies, the newest first.
    pub bodies: Vec<String>,
    /// The event with which the next page begins; `None` after the record's first event.
    pub next: Option<Seq>,
}

/// A record's state at a position of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastState {
    /// The record had this version then.
    Version(StoredRecord),
    /// The record was created later.
    NotCreated,
    /// The record has more later events than a request may read.
    TooFar,
}

/// The result of a bounded walk.
pub(super) struct Walk {
    pub(super) steps: i64,
    pub(super) end: WalkEnd,
}

pub(super) enum WalkEnd {
    /// The record has no event at this position.
    NoEvent,
    Reached {
        version: Seq,
        record: String,
    },
    NotCreated,
    /// The walk continues at this event.
    Continues(Seq),
}

impl Store {
    /// Returns the events of a record from `from` backwards, which must be an event of the record; otherwise `None`.
    pub async fn history(
        &self,
        account: AccountId,
        uid: Uid,
        from: Seq,
        limit: PageLimit,
    ) -> Result<Option<HistoryPage>, StoreError> {
        let (events, bytes) = (columns::limit(limit.events), columns::limit(limit.bytes));
        let parameters: [&(dyn ToSql + Sync); 5] = [&account.0, &uid.0, &from.0, &events, &bytes];
        let rows = self.reading(account, Freshness::Current).await?.query(PAGE, &parameters).await?;
        let next = rows.last().and_then(|row| row.get::<_, Option<i64>>("previous")).map(Seq);
        let bodies = rows.iter().map(|row| row.get("body")).collect();
        Ok((!rows.is_empty()).then_some(HistoryPage { bodies, next }))
    }

    /// Returns the state that a record had at a position of the log. `version` is an event of the record after it.
    ///
    /// Most records have few events, so these are walked first. A record that changes often has an event close to the
    /// position, so then the log is read backwards from there. Otherwise the walk goes on, as far as one request may.
    pub async fn past_state(
        &self,
        account: AccountId,
        uid: Uid,
        version: Seq,
        at: Seq,
    ) -> Result<PastState, StoreError> {
        let reading = self.reading(account, Freshness::Current).await?;
        let first = walk(reading, account, &[(uid, version)], at, FIRST_STEPS).await?;
        let from = match past(account, uid, first)? {
            Ok(state) => return Ok(state),
            Err(from) => from,
        };
        let parameters: [&(dyn ToSql + Sync); 4] = [&account.0, &uid.0, &at.0, &MAX_POSITIONS];
        let near = self.searching(account, Freshness::Current).await?.query(LAST_BEFORE, &parameters).await?;
        if let Some(row) = near.first() {
            return Ok(PastState::Version(version_of(uid, Seq(row.get("seq")), row.get("record"))?));
        }
        if at.0 <= MAX_POSITIONS {
            // The log was read back to its beginning.
            return Ok(PastState::NotCreated);
        }
        let reading = self.searching(account, Freshness::Current).await?;
        let second = walk(reading, account, &[(uid, from)], at, MAX_STEPS).await?;
        Ok(past(account, uid, second)?.unwrap_or(PastState::TooFar))
    }

    /// Returns the last event that was appended at or before a time; zero where there is none. Events are stamped by the
    /// clocks of replicas, which all follow the database's: two events of neighbouring positions may have times that
    /// differ by milliseconds in the other direction.
    pub async fn seq_at(&self, account: AccountId, time: Timestamp) -> Result<Seq, StoreError> {
        let reading = self.reading(account, Freshness::Current).await?;
        let rows = reading.query(SEQ_AT, &[&account.0, &time]).await?;
        // An account without a head has no events either.
        Ok(rows.first().map_or(Seq::ZERO, |row| Seq(row.get(0))))
    }
}

impl Store {
    /// Returns for each time the last event that was appended at or before it. Neighbouring positions give the number of
    /// events between two times, because a log has no gap. Empty where there is no such account.
    pub async fn seqs_at(&self, account: AccountId, times: &[Timestamp]) -> Result<Vec<Seq>, StoreError> {
        let reading = self.reading(account, Freshness::Current).await?;
        let rows = reading.query(SEQS_AT, &[&account.0, &times]).await?;
        Ok(rows.iter().map(|row| Seq(row.get("seq"))).collect())
    }
}

/// The state that a record's walk led to, or the event at which the walk must go on.
fn past(account: AccountId, uid: Uid, walks: Vec<Walk>) -> Result<Result<PastState, Seq>, StoreError> {
    match walks.into_iter().next().map(|walk| walk.end) {
        Some(WalkEnd::Reached { version, record }) => Ok(Ok(PastState::Version(version_of(uid, version, record)?))),
        Some(WalkEnd::NotCreated) => Ok(Ok(PastState::NotCreated)),
        Some(WalkEnd::Continues(from)) => Ok(Err(from)),
        Some(WalkEnd::NoEvent) | None => Err(StoreError::corrupt("event", "seq", account, "a version has no event")),
    }
}

/// A record as one of its events has it.
pub(super) fn version_of(uid: Uid, version: Seq, record: String) -> Result<StoredRecord, StoreError> {
    let deleted = is_deleted(&record).map_err(|error| StoreError::corrupt("event", "body", uid, error))?;
    Ok(StoredRecord { uid, version, deleted, record })
}

/// Walks from an event of each record back to its last event at or before a position, at most `steps` events each. The
/// results have the order of the records.
pub(super) async fn walk(
    reading: Reading,
    account: AccountId,
    from: &[(Uid, Seq)],
    at: Seq,
    steps: i64,
) -> Result<Vec<Walk>, StoreError> {
    let (uids, seqs): (Vec<Uuid>, Vec<i64>) = from.iter().map(|(uid, seq)| (uid.0, seq.0)).unzip();
    let parameters: [&(dyn ToSql + Sync); 5] = [&account.0, &uids, &seqs, &at.0, &steps];
    let rows = reading.query(STATES, &parameters).await?;
    let mut walks: Vec<Walk> = from.iter().map(|_| Walk { steps: 0, end: WalkEnd::NoEvent }).collect();
    for row in &rows {
        // PostgreSQL numbers the records from 1.
        let number: usize = columns::integer::<i64, _>(row, "event", "number", &account)?;
        if let Some(walk) = number.checked_sub(1).and_then(|index| walks.get_mut(index)) {
            *walk = ended(row);
        }
    }
    Ok(walks)
}

fn ended(row: &PgRow) -> Walk {
    let version = Seq(row.get("seq"));
    let end = match (row.get::<_, Option<String>>("record"), row.get::<_, Option<i64>>("previous")) {
        (Some(record), _) => WalkEnd::Reached { version, record },
        (None, Some(previous)) => WalkEnd::Continues(Seq(previous)),
        (None, None) => WalkEnd::NotCreated,
    };
    Walk { steps: row.get("steps"), end }
}
