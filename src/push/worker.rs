//! Starts a runner for each endpoint that has something to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::runner::{Deliverer, Runner};
use crate::clock;
use crate::domain::AccountId;
use crate::domain::push::State;
use crate::shard::{Lease, Owned, Shards};
use crate::store::endpoints::Placed;
use crate::worker::{Step, Worker};

/// Push, over all endpoints of the shards that this replica owns.
pub struct Push {
    deliverer: Arc<Deliverer>,
    shards: Shards,
    tasks: TaskTracker,
    stop: CancellationToken,
    accounts: BTreeMap<AccountId, Account>,
}

/// An account with or without endpoints, as of the last look at its settings.
struct Account {
    looked_at: Instant,
    runners: BTreeMap<Uuid, Running>,
}

/// Settings are read again at most this often, unless this process changed them.
const SETTINGS_FOR: Duration = Duration::from_secs(2);

/// A runner at work.
struct Running {
    generation: u64,
    woken: Arc<Notify>,
    stop: CancellationToken,
    /// Cancelled when it has ended, for whatever reason.
    ended: CancellationToken,
}

impl Push {
    /// Runners are tasks of `tasks`, and end soon after `stop`.
    #[must_use]
    pub fn new(deliverer: Arc<Deliverer>, shards: Shards, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { deliverer, shards, tasks, stop, accounts: BTreeMap::new() }
    }

    /// Forgets runners that ended, and stops those whose shard is no longer ours.
    fn tidy(&mut self, owned: Option<&Owned>) {
        for (account, known) in &mut self.accounts {
            let ours = owned.filter(|owned| owned.lease(*account).is_some()).map(|owned| owned.generation);
            known.runners.retain(|_, runner| {
                if ours != Some(runner.generation) {
                    runner.stop.cancel();
                }
                !runner.ended.is_cancelled()
            });
        }
        self.accounts.retain(|_, known| !known.runners.is_empty() || known.looked_at.elapsed() < SETTINGS_FOR);
    }

    /// Wakes the account's runners, and starts those that are missing.
    async fn look(&mut self, account: AccountId, owned: &Owned, lease: Lease) -> anyhow::Result<()> {
        let changed = self.deliverer.feed.take_settings_changed(account);
        if let Some(known) = self.accounts.get(&account) {
            known.runners.values().for_each(|runner| runner.woken.notify_one());
            if !changed && known.looked_at.elapsed() < SETTINGS_FOR {
                return Ok(());
            }
        }
        let endpoints = self.deliverer.store.endpoints(account).await?;
        let known = self
            .accounts
            .entry(account)
            .or_insert_with(|| Account { looked_at: clock::instant(), runners: BTreeMap::new() });
        known.looked_at = clock::instant();
        let runners = &mut known.runners;
        for (endpoint_id, runner) in &*runners {
            if !endpoints.iter().any(|p| p.endpoint.endpoint_id == *endpoint_id && p.endpoint.state == State::Live) {
                runner.stop.cancel();
            }
        }
        for Placed { endpoint, place, .. } in endpoints {
            if endpoint.state != State::Live || runners.contains_key(&endpoint.endpoint_id) {
                continue;
            }
            let (woken, stop, ended) = (Arc::default(), self.stop.child_token(), CancellationToken::new());
            let endpoint_id = endpoint.endpoint_id;
            let runner = Runner::new(
                Arc::clone(&self.deliverer),
                Arc::clone(&owned.owner),
                Arc::clone(&lease),
                endpoint,
                place,
                Arc::clone(&woken),
                stop.clone(),
            );
            let (runner, guard) = (runner.await?, ended.clone().drop_guard());
            self.tasks.spawn(async move {
                let _ended_when_dropped = guard;
                if let Err(error) = runner.run().await {
                    tracing::warn!(%account, endpoint = %endpoint_id, error = format!("{error:#}"), "runner gave up");
                }
            });
            runners.insert(endpoint_id, Running { generation: owned.generation, woken, stop, ended });
        }
        Ok(())
    }
}

impl Worker for Push {
    const NAME: &'static str = "push";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let owned = self.shards.owned();
        self.tidy(owned.as_ref());
        let Some(owned) = owned else { return Ok(Step::Idle) };
        let mut accounts = self.deliverer.feed.push().take(|account| owned.lease(account).is_some());
        // Another replica may have deleted an endpoint that a runner is at.
        let old = |known: &Account| !known.runners.is_empty() && known.looked_at.elapsed() >= SETTINGS_FOR;
        accounts.extend(self.accounts.iter().filter(|(_, known)| old(known)).map(|(account, _)| *account));
        let step = if accounts.is_empty() { Step::Idle } else { Step::Advanced };
        for account in accounts {
            if let Some(lease) = owned.lease(account) {
                // One account's trouble is its own; the sweep marks it again.
                if let Err(error) = self.look(account, &owned, lease).await {
                    tracing::warn!(%account, error = format!("{error:#}"), "endpoints not looked at, will be repeated");
                }
            }
        }
        Ok(step)
    }

    fn wake(&self) -> Arc<Notify> {
        self.deliverer.feed.push().wake()
    }
}
