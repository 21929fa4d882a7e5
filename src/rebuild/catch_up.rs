//! The later rounds of a rebuild: events that were appended meanwhile change the shadow as they changed the live tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::error::RebuildError;
use super::log::{check, check_chain, missing};
use super::progress::RunProgress;
use super::workers::{WorkQueue, in_parallel};
use crate::domain::{Entity, Seq, Uid};
use crate::projection;
use crate::store::rebuild::{LogReader, LogReaders, LoggedEvent, Rebuild, ShadowBatch, ShadowHead};

/// The events of one transaction.
const PAGE: i64 = 1_000;

/// Brings the accounts forward to these positions.
pub(super) async fn catch_up(
    rebuild: &Arc<Rebuild>,
    readers: &LogReaders,
    behind: Vec<(ShadowHead, Seq)>,
    connections: usize,
    progress: &Arc<RunProgress>,
) -> Result<(), RebuildError> {
    in_parallel(connections, behind, |queue| {
        catch_up_accounts(Arc::clone(rebuild), readers.clone(), queue, Arc::clone(progress))
    })
    .await
}

async fn catch_up_accounts(
    rebuild: Arc<Rebuild>,
    readers: LogReaders,
    queue: WorkQueue<(ShadowHead, Seq)>,
    progress: Arc<RunProgress>,
) -> Result<(), RebuildError> {
    let reader = readers.reader().await?;
    let batch = rebuild.batch().await?;
    while let Some((mut head, through)) = queue.next() {
        while head.seq < through {
            let before = head.seq;
            batch.begin().await?;
            apply_page(&reader, &batch, &mut head, through).await?;
            batch.commit().await?;
            progress.add(head.seq.since(before));
        }
    }
    Ok(())
}

/// Applies an account's events up to `through` within the open transaction.
pub(super) async fn apply(
    reader: &LogReader,
    batch: &ShadowBatch,
    head: &mut ShadowHead,
    through: Seq,
) -> Result<(), RebuildError> {
    while head.seq < through {
        apply_page(reader, batch, head, through).await?;
    }
    Ok(())
}

async fn apply_page(
    reader: &LogReader,
    batch: &ShadowBatch,
    head: &mut ShadowHead,
    through: Seq,
) -> Result<(), RebuildError> {
    let page_end = through.min(Seq(head.seq.0 + PAGE));
    let events = reader.events(head.account, head.seq, page_end).await?;
    if events.is_empty() {
        return Err(RebuildError::damaged(head.account, missing(head.seq.next())));
    }
    apply_events(batch, head, &events).await
}

async fn apply_events(batch: &ShadowBatch, head: &mut ShadowHead, events: &[LoggedEvent]) -> Result<(), RebuildError> {
    let account = head.account;
    let damaged = |damage| RebuildError::damaged(account, damage);
    let mut decoded = Vec::with_capacity(events.len());
    for logged in events {
        decoded.push(check(account, logged).map_err(damaged)?);
    }
    let uids = decoded.iter().map(|(event, _)| (event.record.entity, event.record.uid));
    // Each record's version, and whether it is live.
    let mut records: HashMap<(Entity, Uid), (Seq, bool)> = HashMap::new();
    for record in batch.load(account, uids).await? {
        records.insert((record.entity, record.uid), (record.version, !record.deleted));
    }
    let mut changed = BTreeMap::new();
    for (event, text) in &decoded {
        let (record, expected) = (&event.record, head.seq.next());
        if event.seq != expected {
            return Err(damaged(missing(expected)));
        }
        let key = (record.entity, record.uid);
        let before = records.insert(key, (record.version, !record.deleted));
        let of_record = Some((Some(record.entity), record.uid));
        check_chain(event.seq, of_record, event.previous_version, before.map(|(version, _)| version))
            .map_err(damaged)?;
        head.live.add(record.entity, i64::from(!record.deleted) - i64::from(before.is_some_and(|(_, live)| live)));
        head.seq = event.seq;
        let row = projection::row(account, event, text);
        let row = match changed.remove(&key) {
            Some(earlier) => projection::merge(earlier, row),
            None => row,
        };
        changed.insert(key, row);
    }
    let changed: Vec<_> = changed.into_values().collect();
    Ok(batch.write(account, &changed, head.seq, &head.live).await?)
}
