//! Shards decide which replica does the background work of which account.
//!
//! Each account belongs to one of 64 shards. A replica owns a shard while its owner session holds the shard's lock in
//! PostgreSQL. When the session ends, so do its locks, and other replicas take the shards over within a second.
//!
//! The session has a lease, which the replica renews every second by the database's clock. A replica that is paused does
//! not renew it, and the others end its session once the lease has expired. A replica measures its own lease by the
//! monotonic clock, so that it owns nothing when it resumes, before it learns of the session's end.
//!
//! Replicas are counted by their sessions, and each keeps at most its share. A shard is given up only after the work on it
//! has ended: a task that works on a shard holds its [`ShardLease`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::broker::Hints;
use crate::clock::Clock;
use crate::domain::AccountId;
use crate::metrics::{Metrics, gauge_value};
use crate::store::Store;
use crate::store::owner::ShardOwner;
use crate::worker::{Step, Worker};

/// The number of shards, in every installation.
pub const SHARDS: u8 = 64;

/// An owner session that was not renewed for this time is ended. Renewals come every second, so one that is late because
/// of a slow disk or a busy machine does no harm. The accounts of a paused replica wait for this time.
pub const LEASE: Duration = Duration::from_secs(6);

/// A replica ends sessions of others only if its own last renewal is at most this old. After a pause of the database the
/// leases of all replicas have expired, and each must get the time to renew its own.
const MAX_RENEWAL_AGE: Duration = Duration::from_secs(3);

/// The right to work on a shard; held as long as the work lasts.
pub type ShardLease = Arc<()>;

/// The shard of an account.
#[must_use]
#[expect(clippy::expect_used, reason = "a default would give the account two owners")]
pub fn shard_of(account: AccountId) -> u8 {
    u8::try_from(account.spread() % u64::from(SHARDS)).expect("a remainder of a u8 is one")
}

/// The shards of this replica. Cloning shares them.
#[derive(Clone, Default)]
pub struct Shards {
    holding: Arc<Mutex<Holding>>,
}

#[derive(Default)]
struct Holding {
    session: Option<Arc<ShardOwner>>,
    /// The time of the last renewal of the session's lease.
    renewed_at: Option<Instant>,
    /// Rises with each session: state that was read under an earlier one must be read again.
    generation: u64,
    owned: BTreeMap<u8, ShardLease>,
    /// Shards without new work, which are given up when their last lease is dropped.
    leaving: BTreeMap<u8, ShardLease>,
}

/// The shards that a worker may work on, at one moment.
#[derive(Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Owned {
    pub owner: Arc<ShardOwner>,
    pub generation: u64,
    leases: BTreeMap<u8, ShardLease>,
}

impl Owned {
    /// The lease of an account's shard, where it is ours.
    #[must_use]
    pub fn lease(&self, account: AccountId) -> Option<ShardLease> {
        self.leases.get(&shard_of(account)).cloned()
    }
}

impl Shards {
    /// The shards owned now; `None` without a session whose lease is good.
    #[must_use]
    pub fn owned(&self) -> Option<Owned> {
        let holding = self.lock();
        let owner = holding.living_session()?;
        holding.renewed_at.filter(|renewed| renewed.elapsed() < LEASE)?;
        Some(Owned { owner, generation: holding.generation, leases: holding.owned.clone() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Holding> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Holding {
    fn living_session(&self) -> Option<Arc<ShardOwner>> {
        self.session.clone().filter(|owner| !owner.is_closed())
    }
}

/// The notifications of a change of owned shards.
pub struct Wakes {
    /// Notified when shards were taken: their accounts may have waited.
    pub taken: Arc<Notify>,
    /// Notified when the session has ended: work on its shards must end.
    pub lost: Vec<Arc<Notify>>,
}

/// Takes free shards up to the share of this replica, and gives up those beyond it.
pub struct Balance {
    store: Store,
    shards: Shards,
    /// Where the session's connection is driven.
    tasks: TaskTracker,
    wakes: Wakes,
    /// Notified when the session has ended: another one is opened at once.
    ended: Arc<Notify>,
    /// Gets the number of replicas.
    hints: Hints,
    /// Set to the database's clock with each renewal.
    clock: Clock,
    metrics: Metrics,
}

impl Balance {
    /// Owns nothing until its first step.
    #[must_use]
    pub fn new(
        store: Store,
        shards: Shards,
        tasks: TaskTracker,
        wakes: Wakes,
        hints: Hints,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        Self { store, shards, tasks, wakes, ended: Arc::default(), hints, clock, metrics }
    }

    async fn session(&self) -> anyhow::Result<Arc<ShardOwner>> {
        {
            let mut holding = self.shards.lock();
            if let Some(owner) = holding.living_session() {
                return Ok(owner);
            }
            (holding.session, holding.renewed_at) = (None, None);
            holding.owned.clear();
            holding.leaving.clear();
        }
        self.metrics.shards_owned.set(0);
        self.metrics.replicas.set(0);
        let (owner, drive) = self.store.open_owner().await?;
        let wakes: Vec<Arc<Notify>> = self.wakes.lost.iter().chain([&self.ended]).map(Arc::clone).collect();
        self.tasks.spawn(async move {
            drive.await;
            for wake in wakes {
                wake.notify_one();
            }
        });
        let owner = Arc::new(owner);
        let mut holding = self.shards.lock();
        holding.session = Some(Arc::clone(&owner));
        holding.generation += 1;
        Ok(owner)
    }

    /// Unlocks the leaving shards that nobody works on any more. Returns whether there were any.
    async fn give_up(&self, owner: &ShardOwner) -> anyhow::Result<bool> {
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

impl Balance {
    /// Renews the lease, and ends the sessions of replicas that do not renew theirs. Returns whether any was ended.
    async fn renew(&self, owner: &ShardOwner) -> anyhow::Result<bool> {
        let last = self.shards.lock().renewed_at;
        let punctual = last.is_some_and(|renewed| renewed.elapsed() < MAX_RENEWAL_AGE);
        let renewed = owner.renew(LEASE, &self.clock).await?;
        self.shards.lock().renewed_at = Some(renewed.sent_at);
        self.metrics.clock_ahead_seconds.set(self.clock.system_ahead().as_seconds_f64());
        if renewed.ahead.abs() > time::Duration::SECOND {
            tracing::warn!(seconds_ahead = renewed.ahead.as_seconds_f64(), "clock set to the database's");
        }
        if !punctual {
            return Ok(false);
        }
        let ended = owner.end_expired().await?;
        if ended > 0 {
            self.metrics.owner_sessions_ended_total.inc_by(ended);
            tracing::warn!(sessions = ended, "owner sessions ended because their leases expired");
        }
        Ok(ended > 0)
    }

    async fn balance(&self, owner: &ShardOwner) -> anyhow::Result<Step> {
        let ended = self.renew(owner).await?;
        let gave_up = self.give_up(owner).await?;
        let replicas = owner.members().await?;
        self.hints.set_replicas(replicas);
        self.metrics.replicas.set(gauge_value(replicas));
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
        let taken = owner.try_lock(&wanted, share - held).await?;
        let mut holding = self.shards.lock();
        holding.owned.extend(taken.iter().map(|shard| (*shard, ShardLease::default())));
        self.metrics.shards_owned.set(gauge_value(holding.owned.len()));
        if !taken.is_empty() {
            tracing::info!(shards = holding.owned.len(), "shards taken");
            self.wakes.taken.notify_one();
        }
        Ok(if ended || gave_up || !taken.is_empty() { Step::Advanced } else { Step::Idle })
    }
}

impl Worker for Balance {
    const NAME: &'static str = "balance";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let owner = self.session().await?;
        let balanced = self.balance(&owner).await;
        if balanced.is_err() {
            // Locks may have been taken or released without a response. Ending the session releases all of them.
            owner.end();
        }
        balanced
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.ended)
    }
}
