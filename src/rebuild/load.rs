//! The first round of a rebuild: the rows that the log gives up to a fixed position go into tables without indexes.

use std::sync::Arc;

use super::error::RebuildError;
use super::log::{Depth, LogIndex, missing};
use super::progress::RunProgress;
use super::workers::{WorkQueue, in_parallel};
use crate::domain::{AccountId, Seq};
use crate::store::rebuild::{LogReader, LogReaders, Rebuild, ShadowBatch, ShadowHead};

/// The events of small accounts that are loaded together.
const PART: u64 = 20_000;
/// The events that are indexed, or loaded, by one statement.
const INDEX_PAGE: i64 = 50_000;
const PAGE: i64 = 2_000;

/// Accounts with the ends of their logs.
type Part = Vec<(AccountId, Seq)>;

/// Loads accounts that the shadow lacks, up to these positions.
pub(super) async fn load(
    rebuild: &Arc<Rebuild>,
    readers: &LogReaders,
    heads: Part,
    connections: usize,
    progress: &Arc<RunProgress>,
) -> Result<(), RebuildError> {
    in_parallel(connections, parts(heads), |queue| {
        load_parts(Arc::clone(rebuild), readers.clone(), queue, Arc::clone(progress))
    })
    .await
}

/// Groups small accounts; the longest logs come first, so that no connection is left with one at the end.
fn parts(mut heads: Part) -> Vec<Part> {
    heads.sort_by_key(|(_, head)| std::cmp::Reverse(*head));
    let mut parts: Vec<Part> = Vec::new();
    let mut events = PART;
    for (account, head) in heads {
        match parts.last_mut() {
            Some(part) if events < PART => part.push((account, head)),
            _ => {
                parts.push(vec![(account, head)]);
                events = 0;
            }
        }
        events += head.since(Seq::ZERO);
    }
    parts
}

async fn load_parts(
    rebuild: Arc<Rebuild>,
    readers: LogReaders,
    queue: WorkQueue<Part>,
    progress: Arc<RunProgress>,
) -> Result<(), RebuildError> {
    let reader = readers.reader().await?;
    let mut batch = rebuild.batch().await?;
    while let Some(part) = queue.next() {
        let mut complete = Vec::with_capacity(part.len());
        for (account, through) in part {
            complete.push(load_account(&reader, &mut batch, account, through, &progress).await?);
        }
        batch.complete(&complete).await?;
    }
    Ok(())
}

async fn load_account(
    reader: &LogReader,
    batch: &mut ShadowBatch,
    account: AccountId,
    through: Seq,
    progress: &RunProgress,
) -> Result<ShadowHead, RebuildError> {
    let mut index = LogIndex::new(account);
    while index.indexed() < through {
        let page_end = through.min(Seq(index.indexed().0 + INDEX_PAGE));
        let entries = reader.index(account, index.indexed(), page_end).await?;
        index.extend(&entries, page_end).map_err(|damage| RebuildError::damaged(account, damage))?;
    }
    while index.walked() < through {
        let page_end = through.min(Seq(index.walked().0 + PAGE));
        let events = reader.events(account, index.walked(), page_end).await?;
        if events.is_empty() {
            return Err(RebuildError::damaged(account, missing(index.walked().next())));
        }
        for event in &events {
            let row = index.walk(event, Depth::Records).map_err(|damage| RebuildError::damaged(account, damage))?;
            if let Some(row) = row {
                batch.add(&row).await?;
            }
        }
        progress.add(u64::try_from(events.len()).unwrap_or(u64::MAX));
    }
    Ok(ShadowHead { account, seq: through, live: index.live().clone() })
}
