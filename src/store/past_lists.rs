//! Lists as they were: a page of the records that a kind had at a position of the log, in the order of creation.
//!
//! A row of a read model leads to its record's events, and no row is ever removed. So a page reads rows in the order of
//! their uids and walks from each one's version back to the position (`history`). A record whose version is not later than
//! the position needs no walk. The steps of a page are bounded: a page that has used them ends early, if need be within
//! a record, and the next page continues there.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::history::{Walk, WalkEnd, version_of, walk};
use super::reading::Freshness;
use super::records::StoredRecord;
use super::{Store, StoreError};
use crate::domain::{AccountId, Entity, Seq, Uid};

/// $4 is the position. Records that were created more than a day later are left out without a walk. The day is more than
/// the database's clock is ever set back by.
macro_rules! past_page {
    ($table:literal) => {
        concat!(
            "-- ",
            $table,
            ".past_page
select r.uid, r.version, r.deleted, case when r.version <= $4 then r.record end as record
from ",
            $table,
            " r
where r.account_id = $1 and r.uid >= $2
    and r.created_at <= (select e.at + interval '1 day' from event e where e.account_id = $1 and e.seq = $4)
order by r.uid limit $3"
        )
    };
}

const fn past_page(entity: Entity) -> &'static str {
    match entity {
        Entity::Contact => past_page!("contact"),
        Entity::Company => past_page!("company"),
        Entity::Project => past_page!("project"),
        Entity::CustomField => past_page!("custom_field"),
        Entity::Audience => past_page!("audience"),
        Entity::Circle => past_page!("circle"),
        Entity::Note => past_page!("note"),
        Entity::World => past_page!("world"),
        Entity::Push => past_page!("push_health"),
        Entity::Conflict => past_page!("conflict"),
    }
}

/// The events and rows that a page may read: about half a second.
const MAX_STEPS: i64 = 10_000;

/// The steps of each record in a page's first walk. Later walks have eight times as many as the one before.
const FIRST_STEPS: i64 = 16;

/// The rows that are read at once, at least: a page of one record may have to pass many that did not exist yet.
const MIN_ROWS: i64 = 50;

/// Where a page of a list as it was begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastStart {
    /// The first record that is read.
    pub uid: Uid,
    /// The event at which that record's walk continues; zero where it begins.
    pub from: Seq,
}

impl PastStart {
    /// The beginning of a list.
    pub const FIRST: Self = Self { uid: Uid(Uuid::nil()), from: Seq::ZERO };
}

/// A page of a list as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastPage {
    /// The records in their versions of then.
    pub records: Vec<StoredRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<PastStart>,
}

/// A record that is read: its state is known, or its walk goes on at an event.
struct Candidate {
    uid: Uid,
    state: State,
}

enum State {
    Known(StoredRecord),
    NotCreated,
    WalksFrom(Seq),
}

impl Store {
    /// Returns a page of the records that an account had at a position of its log: at most `limit`, and fewer where the
    /// page has used its steps. `None` where `start` is not where a page begins.
    pub async fn past_page(
        &self,
        account: AccountId,
        entity: Entity,
        at: Seq,
        start: PastStart,
        limit: i64,
    ) -> Result<Option<PastPage>, StoreError> {
        let mut page = PastPage { records: Vec::new(), next: Some(start) };
        let mut steps_left = MAX_STEPS;
        let limit = usize::try_from(limit).unwrap_or_default();
        while let Some(start) = page.next
            && page.records.len() < limit
            && steps_left > 0
        {
            let missing = i64::try_from(limit - page.records.len()).unwrap_or(i64::MAX).max(MIN_ROWS);
            let (mut candidates, after) = self.candidates(account, entity, at, start, missing).await?;
            steps_left -= i64::try_from(candidates.len()).unwrap_or(i64::MAX);
            if !self.walk_all(account, &mut candidates, at, &mut steps_left).await? {
                return Ok(None);
            }
            page.next = take(candidates, &mut page.records, limit).or(after);
        }
        Ok(Some(page))
    }

    /// Reads rows from `start` on. Returns them, and where the rows after them begin.
    async fn candidates(
        &self,
        account: AccountId,
        entity: Entity,
        at: Seq,
        start: PastStart,
        limit: i64,
    ) -> Result<(Vec<Candidate>, Option<PastStart>), StoreError> {
        // One row more shows where the rows after them begin.
        let with_next = limit.saturating_add(1);
        let parameters: [&(dyn ToSql + Sync); 4] = [&account.0, &start.uid.0, &with_next, &at.0];
        let reading = self.searching(account, Freshness::Current).await?;
        let rows = reading.query(past_page(entity), &parameters).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let uid = |row: &tokio_postgres::Row| Uid(row.get("uid"));
        let after = rows.get(limit).map(|row| PastStart { uid: uid(row), from: Seq::ZERO });
        let candidates = rows.iter().take(limit).map(|row| {
            let (uid, version) = (uid(row), Seq(row.get("version")));
            let state = match row.get::<_, Option<String>>("record") {
                Some(record) => State::Known(StoredRecord { uid, version, deleted: row.get("deleted"), record }),
                None if uid == start.uid && start.from > Seq::ZERO => State::WalksFrom(start.from),
                None => State::WalksFrom(version),
            };
            Candidate { uid, state }
        });
        Ok((candidates.collect(), after))
    }

    /// Walks until every state is known or the steps are used. Returns false where a walk begins at no event of its record.
    async fn walk_all(
        &self,
        account: AccountId,
        candidates: &mut [Candidate],
        at: Seq,
        steps_left: &mut i64,
    ) -> Result<bool, StoreError> {
        let mut steps = FIRST_STEPS;
        loop {
            let walking: Vec<(&mut Candidate, Seq)> = candidates
                .iter_mut()
                .filter_map(|candidate| match candidate.state {
                    State::WalksFrom(from) => Some((candidate, from)),
                    State::Known(_) | State::NotCreated => None,
                })
                .collect();
            let count = i64::try_from(walking.len()).unwrap_or(i64::MAX);
            if count == 0 || *steps_left <= 0 {
                return Ok(true);
            }
            let from: Vec<(Uid, Seq)> = walking.iter().map(|(candidate, from)| (candidate.uid, *from)).collect();
            let reading = self.searching(account, Freshness::Current).await?;
            let walks = walk(reading, account, &from, at, steps.min(*steps_left / count).max(1)).await?;
            for ((candidate, _), Walk { steps, end }) in walking.into_iter().zip(walks) {
                *steps_left -= steps;
                candidate.state = match end {
                    WalkEnd::NoEvent => return Ok(false),
                    WalkEnd::NotCreated => State::NotCreated,
                    WalkEnd::Continues(from) => State::WalksFrom(from),
                    WalkEnd::Reached { version, record } => State::Known(version_of(candidate.uid, version, record)?),
                };
            }
            steps *= 8;
        }
    }
}

/// Moves live records of then to the page, up to the first whose state is not known and up to the limit. Returns where the
/// next page begins, if it is among the candidates.
fn take(candidates: Vec<Candidate>, records: &mut Vec<StoredRecord>, limit: usize) -> Option<PastStart> {
    for Candidate { uid, state } in candidates {
        match state {
            State::NotCreated => {}
            State::Known(stored) if stored.deleted => {}
            State::Known(_) if records.len() == limit => return Some(PastStart { uid, from: Seq::ZERO }),
            State::Known(stored) => records.push(stored),
            State::WalksFrom(from) => return Some(PastStart { uid, from }),
        }
    }
    None
}
