//! The later rounds of a rebuild: events that were appended meanwhile change the shadow as they changed the live tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::error::RebuildError;
use super::log::{check, check_chain, missing};
use super::progress::RunProgress;
use super::workers::{WorkQueue, in_parallel};
use crate::domain::{AccountId, Entity, Record, Seq, Uid};
use crate::projection;
use crate::store::rebuild::{LogReader, LogReaders, LoggedEvent, Rebuild, ShadowBatch, ShadowHead};

/// The events of one transaction, over some accounts.
const PAGE: i64 = 1_000;

/// An account in the shadow, with the position up to which events are applied.
type Behind = (ShadowHead, Seq);

/// Brings the accounts forward to these positions.
pub(super) async fn catch_up(
    rebuild: &Arc<Rebuild>,
    readers: &LogReaders,
    behind: Vec<Behind>,
    connections: usize,
    progress: &Arc<RunProgress>,
) -> Result<(), RebuildError> {
    in_parallel(connections, parts(behind), |queue| {
        catch_up_parts(Arc::clone(rebuild), readers.clone(), queue, Arc::clone(progress))
    })
    .await
}

/// Groups accounts that have few events each, because a transaction costs more than some events.
fn parts(behind: Vec<Behind>) -> Vec<Vec<Behind>> {
    let mut parts: Vec<Vec<Behind>> = Vec::new();
    let mut room = 0;
    for (head, through) in behind {
        let events = through.0 - head.seq.0;
        match parts.last_mut() {
            Some(part) if events <= room => part.push((head, through)),
            _ => {
                parts.push(vec![(head, through)]);
                room = PAGE;
            }
        }
        room -= events;
    }
    parts
}

async fn catch_up_parts(
    rebuild: Arc<Rebuild>,
    readers: LogReaders,
    queue: WorkQueue<Vec<Behind>>,
    progress: Arc<RunProgress>,
) -> Result<(), RebuildError> {
    let reader = readers.reader().await?;
    let batch = rebuild.batch().await?;
    while let Some(mut part) = queue.next() {
        while is_behind(&part) {
            batch.begin().await?;
            let events = apply_page(&reader, &batch, &mut part).await?;
            batch.commit().await?;
            progress.add(events);
        }
    }
    Ok(())
}

/// Applies events up to the accounts' positions within the open transaction.
pub(super) async fn apply(reader: &LogReader, batch: &ShadowBatch, behind: Vec<Behind>) -> Result<(), RebuildError> {
    for mut part in parts(behind) {
        while is_behind(&part) {
            apply_page(reader, batch, &mut part).await?;
        }
    }
    Ok(())
}

fn is_behind(part: &[Behind]) -> bool {
    part.iter().any(|(head, through)| head.seq < *through)
}

/// Applies all events of several accounts, or a page of a single one. Returns their number.
async fn apply_page(reader: &LogReader, batch: &ShadowBatch, part: &mut [Behind]) -> Result<u64, RebuildError> {
    let events = if let [(head, through)] = &*part {
        let (account, page_end) = (head.account, (*through).min(Seq(head.seq.0 + PAGE)));
        let events = reader.events(account, head.seq, page_end).await?;
        events.into_iter().map(|event| (account, event)).collect()
    } else {
        let ranges: Vec<_> = part.iter().map(|(head, through)| (head.account, head.seq, *through)).collect();
        reader.events_of(&ranges).await?
    };
    apply_events(batch, part, &events).await?;
    // A page without a gap brings each account of a part to its position, and a single one forward.
    let short = part.iter().find(|(head, through)| head.seq < *through);
    match short {
        Some((head, _)) if part.len() > 1 || events.is_empty() => {
            Err(RebuildError::damaged(head.account, missing(head.seq.next())))
        }
        _ => Ok(u64::try_from(events.len()).unwrap_or(u64::MAX)),
    }
}

/// A record before an event.
struct Before {
    version: Seq,
    is_live: bool,
    companies: Vec<Uid>,
}

impl Before {
    fn of(record: &Record) -> Self {
        let companies = projection::companies_of(record);
        Self { version: record.version, is_live: !record.deleted, companies }
    }
}

async fn apply_events(
    batch: &ShadowBatch,
    part: &mut [Behind],
    events: &[(AccountId, LoggedEvent)],
) -> Result<(), RebuildError> {
    let mut decoded = Vec::with_capacity(events.len());
    for (account, logged) in events {
        let (event, text) = check(*account, logged).map_err(|damage| RebuildError::damaged(*account, damage))?;
        decoded.push((*account, event, text));
    }
    let uids: Vec<_> =
        decoded.iter().map(|(account, event, _)| (*account, event.record.entity, event.record.uid)).collect();
    let mut records: HashMap<(AccountId, Entity, Uid), Before> = HashMap::new();
    for (account, record) in batch.load(&uids).await? {
        records.insert((account, record.entity, record.uid), Before::of(&record));
    }
    let mut heads: HashMap<AccountId, &mut ShadowHead> = HashMap::new();
    for (head, _) in part.iter_mut() {
        heads.insert(head.account, head);
    }
    let mut changed = BTreeMap::new();
    for (account, event, text) in &decoded {
        let damaged = |damage| RebuildError::damaged(*account, damage);
        let record = &event.record;
        let Some(head) = heads.get_mut(account) else { return Err(damaged(missing(event.seq))) };
        let expected = head.seq.next();
        if event.seq != expected {
            return Err(damaged(missing(expected)));
        }
        let key = (*account, record.entity, record.uid);
        let before = records.insert(key, Before::of(record));
        let of_record = Some((Some(record.entity), record.uid));
        check_chain(event.seq, of_record, event.previous_version, before.as_ref().map(|before| before.version))
            .map_err(damaged)?;
        let was_live = before.as_ref().is_some_and(|before| before.is_live);
        head.live.add(record.entity, i64::from(!record.deleted) - i64::from(was_live));
        head.seq = event.seq;
        let companies = before.map(|before| before.companies).unwrap_or_default();
        let row = projection::row(*account, event, text, &companies);
        let row = match changed.remove(&key) {
            Some(earlier) => projection::merge(earlier, row),
            None => row,
        };
        changed.insert(key, row);
    }
    let changed: Vec<_> = changed.into_values().collect();
    Ok(batch.write(&changed, part.iter().map(|(head, _)| head)).await?)
}
