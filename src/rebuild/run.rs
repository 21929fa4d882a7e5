//! A rebuild from its beginning to the swap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::catch_up::{apply, catch_up};
use super::error::{ATTEMPTS, RebuildError};
use super::load::load;
use super::log::headless;
use super::progress::RunProgress;
use super::workers::{WorkQueue, in_parallel};
use crate::clock;
use crate::domain::{AccountId, Seq};
use crate::store::Store;
use crate::store::live::Live;
use crate::store::rebuild::{Index, LogReader, LogReaders, Rebuild, Scope, ShadowHead, Swap, SwapError};

/// Writers wait for at most this number of events to be applied.
const MAX_LAST_ROUND: u64 = 2_000;
/// After this number of rounds the service writes faster than the rebuild reads.
const MAX_ROUNDS: usize = 100;
/// The pause between two attempts to lock the tables.
const PAUSE: Duration = Duration::from_secs(1);
/// A rebuild that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RebuildReport {
    pub(crate) accounts: u64,
    pub(crate) events: u64,
    /// Whether it continued a run that was killed.
    pub(crate) continued: bool,
    /// The live rows and counts that were wrong, where accounts were named.
    pub(crate) mended: Option<u64>,
}

/// The parts of a run.
struct Run {
    rebuild: Arc<Rebuild>,
    readers: LogReaders,
    scope: Scope,
    connections: usize,
    progress: Arc<RunProgress>,
    /// The number of events that erasures had changed when the run began.
    erasures: i64,
}

/// Rebuilds the read models of these accounts, or all of them. `announce` gets the bytes that the live tables take before
/// anything is written: the tables beside them take as many.
pub(crate) async fn rebuild(
    store: &Store,
    scope: Scope,
    connections: usize,
    progress: &Arc<RunProgress>,
    announce: impl FnOnce(i64),
) -> Result<RebuildReport, RebuildError> {
    let rebuild = Arc::new(store.rebuild(connections).await?.ok_or(RebuildError::AnotherRuns)?);
    let readers = store.log_readers(connections + 1)?;
    announce(rebuild.live_size().await?);
    let erasures = rebuild.erasures().await?;
    let run = Run { rebuild, readers, scope, connections, progress: Arc::clone(progress), erasures };
    let ended = run.run().await;
    if let Err(RebuildError::Damaged { .. } | RebuildError::Erased) = &ended {
        // Its tables are of no use, and may show an erased contact.
        run.rebuild.remove().await?;
    }
    ended
}

/// Removes the tables that a killed run left.
pub(crate) async fn discard(store: &Store) -> Result<(), RebuildError> {
    let rebuild = store.rebuild(1).await?.ok_or(RebuildError::AnotherRuns)?;
    Ok(rebuild.remove().await?)
}

impl Run {
    async fn run(&self) -> Result<RebuildReport, RebuildError> {
        let reader = self.readers.reader().await?;
        let heads = ends(&reader, self.scope.accounts()).await?;
        let continued = self.rebuild.open(&self.scope, &build()).await?;
        let mut pending = heads;
        if continued {
            self.rebuild.batch().await?.remove_partial().await?;
            let loaded: BTreeSet<_> = self.rebuild.heads(None).await?.into_iter().map(|head| head.account).collect();
            pending.retain(|(account, _)| !loaded.contains(account));
        }
        self.progress.begin("load", pending.iter().map(|(_, head)| head.since(Seq::ZERO)).sum());
        load(&self.rebuild, &self.readers, pending, self.connections, &self.progress).await?;
        self.make_indexes().await?;
        let mended = match self.scope.accounts() {
            None => {
                self.swap_all(&reader).await?;
                None
            }
            Some(accounts) => Some(self.swap_each(&reader, accounts).await?),
        };
        let heads = ends(&reader, self.scope.accounts()).await?;
        Ok(RebuildReport {
            accounts: u64::try_from(heads.len()).unwrap_or(u64::MAX),
            events: heads.iter().map(|(_, head)| head.since(Seq::ZERO)).sum(),
            continued,
            mended,
        })
    }

    /// Primary keys first, by which it is computed which companies are listed; then the others.
    async fn make_indexes(&self) -> Result<(), RebuildError> {
        self.progress.begin("index", 0);
        let (keys, others): (Vec<Index>, Vec<Index>) =
            self.rebuild.indexes().await?.into_iter().partition(Index::is_primary);
        let create = |queue| create_indexes(Arc::clone(&self.rebuild), queue);
        in_parallel(self.connections, keys, create).await?;
        self.rebuild.list_companies().await?;
        in_parallel(self.connections, others, create).await?;
        Ok(self.rebuild.analyze().await?)
    }

    /// Returns those of these accounts that the shadow has not caught up with, each with the end of its log.
    async fn behind(
        &self,
        reader: &LogReader,
        only: Option<&[AccountId]>,
    ) -> Result<Vec<(ShadowHead, Seq)>, RebuildError> {
        let shadow = self.rebuild.heads(only).await?;
        let mut shadow: BTreeMap<AccountId, ShadowHead> = shadow.into_iter().map(|head| (head.account, head)).collect();
        let heads = ends(reader, only).await?;
        let mut new = Vec::new();
        let mut behind = Vec::new();
        for (account, through) in heads {
            let head = shadow.remove(&account).unwrap_or_else(|| {
                let head = ShadowHead { account, seq: Seq::ZERO, live: Live::default() };
                new.push(head.clone());
                head
            });
            if head.seq < through {
                behind.push((head, through));
            }
        }
        if !new.is_empty() {
            self.rebuild.batch().await?.complete(&new).await?;
        }
        Ok(behind)
    }

    /// Rounds until the shadow lags behind by a few events.
    async fn catch_up(&self, reader: &LogReader, only: Option<&[AccountId]>) -> Result<(), RebuildError> {
        for _ in 0..MAX_ROUNDS {
            let behind = self.behind(reader, only).await?;
            let events = lag(&behind);
            if events <= MAX_LAST_ROUND {
                return Ok(());
            }
            self.progress.begin("catch up", events);
            catch_up(&self.rebuild, &self.readers, behind, self.connections, &self.progress).await?;
        }
        Err(RebuildError::Overtaken)
    }

    async fn swap_all(&self, reader: &LogReader) -> Result<(), RebuildError> {
        let swap = self.rebuild.swap().await?;
        let mut attempts = 1..=ATTEMPTS;
        loop {
            self.catch_up(reader, None).await?;
            self.progress.begin("swap", 0);
            match self.try_swap_all(&swap, reader).await {
                Ok(true) => return Ok(()),
                Ok(false) => swap.roll_back().await?,
                Err(Failed::Swap(SwapError::Busy(source))) => {
                    swap.roll_back().await?;
                    if attempts.next().is_none() {
                        return Err(RebuildError::TableInUse(SwapError::Busy(source)));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(Failed::Swap(SwapError::Store(error))) => return Err(error.into()),
                Err(Failed::Rebuild(error)) => {
                    swap.roll_back().await?;
                    return Err(error);
                }
            }
        }
    }

    /// Swaps while nothing is written. False where too much was written since the last round.
    async fn try_swap_all(&self, swap: &Swap, reader: &LogReader) -> Result<bool, Failed> {
        swap.lock_all().await?;
        self.refuse_erased(swap).await?;
        let behind = self.behind(reader, None).await?;
        if lag(&behind) > MAX_LAST_ROUND {
            return Ok(false);
        }
        apply(reader, swap.shadow(), behind).await?;
        swap.keep_companies(None).await.map_err(SwapError::from)?;
        swap.finish_all().await?;
        Ok(true)
    }

    /// Refuses to swap where an erasure changed events since the run began: the shadow may have rows of before. None changes
    /// any until the swap ends, because it would need a head.
    async fn refuse_erased(&self, swap: &Swap) -> Result<(), Failed> {
        let erasures = swap.erasures().await.map_err(SwapError::from)?;
        if erasures == self.erasures { Ok(()) } else { Err(Failed::Rebuild(RebuildError::Erased)) }
    }

    async fn swap_each(&self, reader: &LogReader, accounts: &[AccountId]) -> Result<u64, RebuildError> {
        let swap = self.rebuild.swap().await?;
        let mut mended = 0;
        self.catch_up(reader, Some(accounts)).await?;
        self.progress.begin("swap", 0);
        for account in accounts {
            self.catch_up(reader, Some(&[*account])).await?;
            mended += self.swap_one(&swap, reader, *account).await?;
        }
        self.rebuild.remove().await?;
        Ok(mended)
    }

    async fn swap_one(&self, swap: &Swap, reader: &LogReader, account: AccountId) -> Result<u64, RebuildError> {
        let swapped = async {
            swap.lock(account).await?;
            self.refuse_erased(swap).await?;
            apply(reader, swap.shadow(), self.behind(reader, Some(&[account])).await?).await?;
            swap.keep_companies(Some(account)).await.map_err(SwapError::from)?;
            Ok::<_, Failed>(swap.finish(account).await?)
        };
        match swapped.await {
            Ok(mended) => Ok(mended),
            Err(Failed::Swap(SwapError::Store(error))) => Err(error.into()),
            Err(Failed::Swap(error @ SwapError::Busy(_))) => Err(RebuildError::TableInUse(error)),
            Err(Failed::Rebuild(error)) => {
                swap.roll_back().await?;
                Err(error)
            }
        }
    }
}

/// A swap that failed, by where.
enum Failed {
    Swap(SwapError),
    Rebuild(RebuildError),
}

impl From<SwapError> for Failed {
    fn from(error: SwapError) -> Self {
        Self::Swap(error)
    }
}

impl From<RebuildError> for Failed {
    fn from(error: RebuildError) -> Self {
        Self::Rebuild(error)
    }
}

/// Returns the ends of all logs, or of these accounts' logs.
async fn ends(reader: &LogReader, only: Option<&[AccountId]>) -> Result<Vec<(AccountId, Seq)>, RebuildError> {
    let heads = reader.heads(only).await?;
    let existing: BTreeSet<AccountId> = heads.iter().map(|(account, _)| *account).collect();
    if let Some(unknown) = only.unwrap_or_default().iter().find(|account| !existing.contains(account)) {
        return Err(RebuildError::NoAccount(*unknown));
    }
    let end = |(account, head): (AccountId, Option<Seq>)| {
        head.map(|head| (account, head)).ok_or_else(|| RebuildError::damaged(account, headless()))
    };
    heads.into_iter().map(end).collect()
}

fn lag(behind: &[(ShadowHead, Seq)]) -> u64 {
    behind.iter().map(|(head, through)| through.since(head.seq)).sum()
}

/// Names the file of this program. The tables of another build are not continued, because it may compute other rows.
fn build() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let modified = file.and_then(|file| Ok((file.len(), file.modified()?)));
    let version = env!("CARGO_PKG_VERSION");
    match modified {
        Ok((bytes, modified)) => format!("{version}, {bytes} bytes of {modified:?}"),
        // Unlike any other build.
        Err(_) => format!("{version}, {}", clock::fresh_uid()),
    }
}

async fn create_indexes(rebuild: Arc<Rebuild>, queue: WorkQueue<Index>) -> Result<(), RebuildError> {
    while let Some(index) = queue.next() {
        rebuild.create_index(&index).await?;
    }
    Ok(())
}
