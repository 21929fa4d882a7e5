//! Erasing from events and from the rows of the read models that they left.
//!
//! The log is searched from its beginning, a range of positions at a time. Writers of the account may append events with
//! the person's data meanwhile, such as an update of a company that shows the contact. The last range is therefore searched
//! while the account's head is held: the rows that it leaves hold nothing of the person, so no later event does.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Erasure, ErasureStage, lock, uuids};
use crate::contract::erase::ErasedEvent;
use crate::domain::{AccountId, Entity, Seq, Uid};
use crate::store::batch::LOCK_HEADS;
use crate::store::{Store, StoreError, records};

/// Positions that are searched in one transaction, and those that are searched while the head is held.
const MAX_SEARCHED: i64 = 5_000;
const MAX_SEARCHED_LOCKED: i64 = 500;

/// Events that one transaction changes.
const MAX_CHANGED: usize = 200;

/// While the head is held, the account's writers wait.
const NOT_LONG: &str = "-- erasure.not_long
set local lock_timeout = '1s'";

const HEAD: &str = "-- erasure.head
select seq from head where account_id = $1";

/// Finds events that name one of the contacts, and those whose client's ids contain one of the person's texts. The ids stand
/// before `data`.
const SEARCH: &str = "-- erasure.search
select e.seq, e.body from event e
where e.account_id = $1 and e.seq > $2 and e.seq <= $3 and (
    exists (select from unnest($4::text[]) as u(uid) where strpos(e.body, u.uid) > 0)
    or exists (select from unnest($5::text[]) as t(text)
        where strpos(lower(split_part(e.body, '\"data\":', 1)), t.text) > 0))
order by e.seq limit $6";

const WRITE: &str = "-- erasure.write_events
update event e set body = k.body from unnest($2::bigint[], $3::text[]) as k(seq, body)
where e.account_id = $1 and e.seq = k.seq";

/// Writers of the search's texts hold the cursor, so that none is written from a row of before.
const LOCK_SEARCH: &str = "-- erasure.lock_search
select seq from search_cursor where account_id = $1 for update";

const FORGET_SEARCH: &str = "-- erasure.forget_search
delete from contact_search where account_id = $1 and uid = any($2)";

const ADVANCE: &str = "-- erasure.advance
update erasure set scanned = $3::bigint, events = events + $4, related = array(
        select distinct r.uid from unnest(related || $5::uuid[]) as r(uid)),
    stage = case when $6 then 'memory' else stage end, through = case when $6 then $3::bigint end
where account_id = $1 and uid = $2";

impl Store {
    /// Erases from the next range of the log. Returns false where another replica does it.
    pub async fn erase_from_log(&self, account: AccountId, uid: Uid) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let Some(erasure) = lock(&transaction, account, uid, ErasureStage::Log).await? else { return Ok(false) };
        transaction.batch_execute(NOT_LONG).await?;
        let head = Seq(transaction.query_one(HEAD, &[&account.0]).await?.get(0));
        let range = if head.0 - erasure.scanned.0 > MAX_SEARCHED_LOCKED {
            let through = Seq(head.0.min(erasure.scanned.0 + MAX_SEARCHED));
            let range = search(&transaction, &erasure, through).await?;
            if !range.erased.is_empty() {
                transaction.query(LOCK_HEADS, &[&vec![account.0]]).await?;
            }
            Range { is_last: false, ..range }
        } else {
            transaction.query(LOCK_HEADS, &[&vec![account.0]]).await?;
            // A new statement, because the one that waited for the lock does not see what its holder committed.
            let head = Seq(transaction.query_one(HEAD, &[&account.0]).await?.get(0));
            search(&transaction, &erasure, head).await?
        };
        write(&transaction, &erasure, &range.erased).await?;
        if range.is_last {
            transaction.query(LOCK_SEARCH, &[&account.0]).await?;
            transaction.execute(FORGET_SEARCH, &[&account.0, &uuids(erasure.eraser.uids.iter().copied())]).await?;
        }
        let related = range.erased.iter().filter(|erased| !erased.is_own).map(|erased| erased.event.uid);
        let related: BTreeSet<Uid> = related.collect();
        let changed = i64::try_from(range.erased.len()).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&account.0, &uid.0, &range.through.0, &changed, &uuids(related), &range.is_last];
        transaction.execute(ADVANCE, &parameters).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// A range of the log that was searched.
struct Range {
    through: Seq,
    erased: Vec<ErasedEvent>,
    /// Whether it ends at the end of the log.
    is_last: bool,
}

async fn search(transaction: &Transaction<'_>, erasure: &Erasure, through: Seq) -> Result<Range, StoreError> {
    let uids: Vec<String> = erasure.eraser.uids.iter().map(Uid::to_string).collect();
    let limit = i64::try_from(MAX_CHANGED).unwrap_or(i64::MAX);
    let parameters: [&(dyn ToSql + Sync); 6] =
        [&erasure.account.0, &erasure.scanned.0, &through.0, &uids, &erasure.eraser.texts, &limit];
    let hits = transaction.query(SEARCH, &parameters).await?;
    let mut erased = Vec::new();
    for hit in &hits {
        let (seq, body): (i64, &str) = (hit.get(0), hit.get(1));
        let event = erasure.eraser.erase(erasure.account, body);
        let key = format!("{}:{seq}", erasure.account);
        erased.extend(event.map_err(|error| StoreError::corrupt("event", "body", key, error))?);
    }
    // Where there may be further hits, the next range begins behind the last one.
    let end = hits.last().filter(|_| hits.len() >= MAX_CHANGED).map(|hit| Seq(hit.get(0)));
    Ok(Range { through: end.unwrap_or(through), erased, is_last: end.is_none_or(|end| end == through) })
}

/// Writes events, and the rows that they left. A row with a later event is written with that one.
async fn write(transaction: &Transaction<'_>, erasure: &Erasure, erased: &[ErasedEvent]) -> Result<(), StoreError> {
    let account = &erasure.account.0;
    let seqs: Vec<i64> = erased.iter().map(|erased| erased.event.seq.0).collect();
    let bodies: Vec<&str> = erased.iter().map(|erased| erased.event.text()).collect();
    if seqs.is_empty() {
        return Ok(());
    }
    transaction.execute(WRITE, &[account, &seqs, &bodies]).await?;
    let mut kinds: BTreeMap<Entity, Vec<&ErasedEvent>> = BTreeMap::new();
    for erased in erased {
        kinds.entry(erased.event.entity).or_default().push(erased);
    }
    for (entity, erased) in kinds {
        let uids: Vec<Uuid> = erased.iter().map(|erased| erased.event.uid.0).collect();
        let versions: Vec<i64> = erased.iter().map(|erased| erased.event.seq.0).collect();
        let texts: Vec<&str> = erased.iter().map(|erased| erased.record.as_str()).collect();
        let own: Vec<bool> = erased.iter().map(|erased| erased.is_own).collect();
        transaction.execute(records::erase(entity), &[account, &uids, &versions, &texts, &own]).await?;
    }
    Ok(())
}
