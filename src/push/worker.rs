//! Starts a runner for each endpoint that has something to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::place;
use super::runner::{Deliverer, Runner};
use crate::clock;
use crate::domain::AccountId;
use crate::domain::push::State;
use crate::shard::{Lease, Owned, Shards};
use crate::store::endpoints::{Endpoint, Placed};
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
    /// Of the settings that it works by.
    revision: i64,
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
        if let Some(known) = self.accounts.get(&account)
            && !changed
            && known.looked_at.elapsed() < SETTINGS_FOR
        {
            known.runners.values().for_each(|runner| runner.woken.notify_one());
            return Ok(());
        }
        // What was delivered last is in the places that are read now.
        self.deliverer.saver.settle(account).await;
        let endpoints = self.deliverer.store.endpoints(account).await?;
        let looked_at = clock::instant();
        let mut runners = match self.accounts.remove(&account) {
            Some(known) => known.runners,
            None => BTreeMap::new(),
        };
        for (endpoint_id, runner) in &runners {
            let same = |placed: &Placed| placed.endpoint.endpoint_id == *endpoint_id && runner.is_as(placed);
            // What was committed after a change of settings is sent by the new ones.
            if endpoints.iter().any(same) { runner.woken.notify_one() } else { runner.stop.cancel() }
        }
        let mut started = Ok(());
        for placed in endpoints {
            let endpoint_id = placed.endpoint.endpoint_id;
            if runners.contains_key(&endpoint_id) {
                continue;
            }
            match self.start(placed, owned, &lease).await {
                Ok(running) => runners.extend(running.map(|running| (endpoint_id, running))),
                // One endpoint's trouble is its own; the sweep marks it again.
                Err(error) => started = Err(error),
            }
        }
        self.accounts.insert(account, Account { looked_at, runners });
        started
    }

    /// Starts an endpoint's runner where it is delivered to, once the orders for its place are carried out.
    async fn start(&self, placed: Placed, owned: &Owned, lease: &Lease) -> anyhow::Result<Option<Running>> {
        let placed =
            if placed.has_orders { self.carry_out_orders(&placed.endpoint, owned).await? } else { Some(placed) };
        let Some(placed) = placed.filter(|placed| placed.endpoint.state == State::Live) else { return Ok(None) };
        let Endpoint { account, endpoint_id, revision, .. } = placed.endpoint;
        let (woken, stop, ended) = (Arc::default(), self.stop.child_token(), CancellationToken::new());
        let running =
            Running { generation: owned.generation, revision, woken, stop: stop.clone(), ended: ended.clone() };
        let runner = Runner::new(
            Arc::clone(&self.deliverer),
            Arc::clone(&owned.owner),
            Arc::clone(lease),
            placed,
            Arc::clone(&running.woken),
            stop.clone(),
        );
        let (runner, guard) = (runner.await?, ended.drop_guard());
        let feed = self.deliverer.feed.clone();
        self.tasks.spawn(async move {
            if let Err(error) = runner.run().await {
                tracing::warn!(%account, endpoint = %endpoint_id, error = format!("{error:#}"), "runner gave up");
            }
            drop(guard);
            // It was told to stop for something that waits for its end.
            if stop.is_cancelled() {
                feed.settings_changed(account);
            }
        });
        Ok(Some(running))
    }

    /// Moves an endpoint's place as it was ordered to. Its runner has ended, so that nobody else writes the place.
    async fn carry_out_orders(&self, endpoint: &Endpoint, owned: &Owned) -> anyhow::Result<Option<Placed>> {
        let Deliverer { store, saver, clock, .. } = &*self.deliverer;
        let (account, id) = (endpoint.account, endpoint.endpoint_id);
        anyhow::ensure!(saver.settle(account).await, "places are not written yet");
        let Some(placed) = store.endpoint(account, id).await? else { return Ok(None) };
        let waiting = store.waiting(account, id).await?;
        let mut orders = store.push_orders(account).await?;
        orders.retain(|order| order.endpoint == id);
        owned.owner.move_place(&place::after(&placed, &waiting, &orders, clock.now())).await?;
        Ok(store.endpoint(account, id).await?)
    }
}

impl Running {
    /// Whether it may go on: the endpoint is delivered to by these settings, and its place is not to be moved.
    fn is_as(&self, placed: &Placed) -> bool {
        let Placed { endpoint, has_orders, .. } = placed;
        endpoint.state == State::Live && endpoint.revision == self.revision && !has_orders
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
