//! Summaries for people: what each origin wrote lately, and how many records each system has identifiers of. Every statement
//! has a bound, because an account's log and identifiers have none.

use tokio_postgres::Row as PgRow;

use crate::domain::{AccountId, Entity, Seq, Timestamp};
use crate::store::reading::Freshness;
use crate::store::{Params, Store, StoreError, columns};

/// Reads the events after $2, which are at most [`MAX_EVENTS`].
const ORIGINS: &str = "-- log.origins
select e.origin, count(*) as events, count(distinct e.uid) as records,
    count(*) filter (where e.type like '%.created') as created,
    count(*) filter (where e.type like '%.deleted') as deleted, max(e.seq) as last_seq, max(e.at) as last_at
from event e where e.account_id = $1 and e.seq > $2 and e.seq <= $3
group by e.origin order by events desc, e.origin limit 100";

/// Steps from one kind and source to the next over the primary key, and counts at most $2 identifiers of each.
const SOURCES: &str = "-- record_ref.sources
with recursive pair as (
    (select f.entity, f.source, 1 as number from record_ref f where f.account_id = $1 order by f.entity, f.source limit 1)
    union all
    select n.entity, n.source, p.number + 1
    from pair p cross join lateral (
        select f.entity, f.source from record_ref f
        where f.account_id = $1 and (f.entity, f.source) > (p.entity, p.source)
        order by f.entity, f.source limit 1
    ) n
    where p.number < 200
)
select p.entity, p.source, (select count(*) from (
    select from record_ref f where f.account_id = $1 and f.entity = p.entity and f.source = p.source limit $2) f) as refs
from pair p order by p.source, p.entity";

/// Events that the summary of origins reads, the latest of its range.
pub(crate) const MAX_EVENTS: i64 = 5_000;

/// Identifiers of one kind and source that are counted.
pub(crate) const MAX_REFS_COUNTED: i64 = 2_000;

/// The events of an origin in a range of the log, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginSummary {
    /// The origin.
    pub origin: String,
    /// Its events.
    pub events: u64,
    /// The records that these events changed.
    pub records: u64,
    /// Events that created a record.
    pub created: u64,
    /// Events that deleted a record.
    pub deleted: u64,
    /// The last of its events.
    pub last: Seq,
    /// The time of that event.
    pub last_at: Timestamp,
}

/// The identifiers that a system has for one kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSummary {
    /// The kind of record.
    pub entity: Entity,
    /// The system: the origin that gave the identifiers.
    pub source: String,
    /// Identifiers, counted up to [`MAX_REFS_COUNTED`].
    pub refs: u64,
}

impl Store {
    /// Returns what each origin wrote after `from`, up to `to`, in order of its events' number. Reads the last [`MAX_EVENTS`]
    /// of the range; the position after which events were read comes with the result.
    pub async fn origins(
        &self,
        account: AccountId,
        from: Seq,
        to: Seq,
    ) -> Result<(Seq, Vec<OriginSummary>), StoreError> {
        let after = Seq(from.0.max(to.0 - MAX_EVENTS));
        let reading = self.searching(account, Freshness::Current).await?;
        let rows = reading.query(ORIGINS, &[&account.0, &after.0, &to.0]).await?;
        let origins = rows.iter().map(|row| origin(row, account)).collect::<Result<_, _>>()?;
        Ok((after, origins))
    }

    /// Returns the systems that have identifiers of an account's records.
    pub async fn ref_sources(&self, account: AccountId) -> Result<Vec<SourceSummary>, StoreError> {
        let reading = self.reading(account, Freshness::Current).await?;
        let values: Params<'_, 2> = [&account.0, &MAX_REFS_COUNTED];
        let rows = reading.query(SOURCES, &values).await?;
        rows.iter().map(|row| source(row, account)).collect()
    }
}

fn origin(row: &PgRow, account: AccountId) -> Result<OriginSummary, StoreError> {
    let count = |column| columns::count(row, "event", column, &account);
    Ok(OriginSummary {
        origin: row.get("origin"),
        events: count("events")?,
        records: count("records")?,
        created: count("created")?,
        deleted: count("deleted")?,
        last: Seq(row.get("last_seq")),
        last_at: row.get("last_at"),
    })
}

fn source(row: &PgRow, account: AccountId) -> Result<SourceSummary, StoreError> {
    let entity: &str = row.get("entity");
    let known = Entity::from_name(entity);
    Ok(SourceSummary {
        entity: known.ok_or_else(|| StoreError::corrupt("record_ref", "entity", account, entity.to_owned()))?,
        source: row.get("source"),
        refs: columns::count(row, "record_ref", "refs", &account)?,
    })
}
