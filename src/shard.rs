//! Which replica does the background work of which account.
//!
//! Accounts fall into 64 shards. A replica owns a shard while its one owner session holds the shard's lock in
//! PostgreSQL; with the session every lock falls, and the others take over within a step of theirs. Replicas are
//! counted by their sessions, and each keeps no more than its share. A shard is given up only after the work on it
//! has ended: whoever works on one holds its [`Lease`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::broker::Hints;
use crate::domain::AccountId;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::owner::Owner;
use crate::worker::{Step, Worker};

/// How many shards there are, in every installation.
pub const SHARDS: u8 = 64;

/// The right to work on a shard; held while work goes on.
pub type Lease = Arc<()>;

/// The shard of an account.
#[must_use]
pub fn shard_of(account: AccountId) -> u8 {
    u8::try_from(account.spread() % u64::from(SHARDS)).unwrap_or(0)
}

/// What this replica owns. Cloning shares it.
#[derive(Clone, Default)]
pub struct Shards {
    holding: Arc<Mutex<Holding>>,
}

#[derive(Default)]
struct Holding {
    session: Option<Arc<Owner>>,
    /// Rises with each session: what was known under another one must be read again.
    generation: u64,
    owned: BTreeMap<u8, Lease>,
    /// No new work; given up when the last lease is back.
    leaving: BTreeMap<u8, Lease>,
}

/// What a worker may work on, at one moment.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Owned {
    pub owner: Arc<Owner>,
    pub generation: u64,
    leases: BTreeMap<u8, Lease>,
}

impl Owned {
    /// The lease of an account's shard, where it is ours.
    #[must_use]
    pub fn lease(&self, account: AccountId) -> Option<Lease> {
        self.leases.get(&shard_of(account)).cloned()
    }
}

impl Shards {
    /// What is owned now; `None` without a session.
    #[must_use]
    pub fn owned(&self) -> Option<Owned> {
        let holding = self.lock();
        let owner = holding.session.clone().filter(|owner| !owner.is_closed())?;
        Some(Owned { owner, generation: holding.generation, leases: holding.owned.clone() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes free shards up to the share of this replica, and gives up those beyond it.
pub struct Balance {
    store: Store,
    shards: Shards,
    /// Where the session's connection is driven.
    tasks: TaskTracker,
    /// Told when shards were taken: their accounts may have waited.
    taken: Arc<Notify>,
    /// Told how many replicas there are.
    hints: Hints,
    metrics: Metrics,
}

impl Balance {
    /// Owns nothing until its first step.
    #[must_use]
    pub fn new(
        store: Store,
        shards: Shards,
        tasks: TaskTracker,
        taken: Arc<Notify>,
        hints: Hints,
        metrics: Metrics,
    ) -> Self {
        Self { store, shards, tasks, taken, hints, metrics }
    }

    async fn session(&self) -> anyhow::Result<Arc<Owner>> {
        if let Some(owned) = self.shards.owned() {
            return Ok(owned.owner);
        }
        {
            let mut holding = self.shards.lock();
            holding.session = None;
            holding.owned.clear();
            holding.leaving.clear();
        }
        self.metrics.shards_owned.set(0);
        let (owner, drive) = self.store.open_owner().await?;
        self.tasks.spawn(drive);
        let owner = Arc::new(owner);
        let mut holding = self.shards.lock();
        holding.session = Some(Arc::clone(&owner));
        holding.generation += 1;
        Ok(owner)
    }

    /// Unlocks what was left and is not worked on any more.
    async fn give_up(&self, owner: &Owner) -> anyhow::Result<bool> {
        let idle: Vec<u8> = {
            let holding = self.shards.lock();
            holding.leaving.iter().filter(|(_, lease)| Arc::strong_count(lease) == 1).map(|(shard, _)| *shard).collect()
        };
        if idle.is_empty() {
            return Ok(false);
        }
        owner.unlock(&idle).await?;
        let mut holding = self.shards.lock();
        for shard in idle {
            holding.leaving.remove(&shard);
        }
        Ok(true)
    }
}

impl Worker for Balance {
    const NAME: &'static str = "balance";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let owner = self.session().await?;
        let gave_up = self.give_up(&owner).await?;
        let replicas = owner.members().await?;
        self.hints.set_replicas(replicas);
        let share = usize::from(SHARDS).div_ceil(replicas);
        let (held, wanted): (usize, Vec<u8>) = {
            let mut holding = self.shards.lock();
            while holding.owned.len() > share {
                let Some((shard, lease)) = holding.owned.pop_last() else { break };
                holding.leaving.insert(shard, lease);
            }
            let free = (0..SHARDS).filter(|s| !holding.owned.contains_key(s) && !holding.leaving.contains_key(s));
            (holding.owned.len(), free.collect())
        };
        let taken = owner.try_lock(&wanted, share.saturating_sub(held)).await?;
        let advanced = gave_up || !taken.is_empty();
        let mut holding = self.shards.lock();
        holding.owned.extend(taken.iter().map(|shard| (*shard, Lease::default())));
        self.metrics.shards_owned.set(i64::try_from(holding.owned.len()).unwrap_or(i64::MAX));
        if !taken.is_empty() {
            tracing::info!(shards = holding.owned.len(), "shards taken");
            self.taken.notify_one();
        }
        Ok(if advanced { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
