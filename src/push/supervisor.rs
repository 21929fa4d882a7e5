//! Starts a runner for each endpoint that has something to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::DeliveryContext;
use super::endpoint_worker::EndpointWorker;
use crate::clock;
use crate::domain::AccountId;
use crate::domain::endpoint::{self, Endpoint, EndpointState, EndpointStatus};
use crate::shard::{Owned, ShardLease, Shards};
use crate::worker::{Step, Worker};

/// EndpointSupervisor, over all endpoints of the shards that this replica owns.
pub struct EndpointSupervisor {
    context: Arc<DeliveryContext>,
    shards: Shards,
    tasks: TaskTracker,
    stop: CancellationToken,
    accounts: BTreeMap<AccountId, Account>,
    to_look_at: BTreeSet<AccountId>,
}

/// An account with or without endpoints, as of the last look at its settings.
struct Account {
    looked_at: Instant,
    /// How many runners there were to be.
    live: usize,
    workers: BTreeMap<Uuid, Running>,
}

/// Settings are read again at most this often, unless this process changed them.
const SETTINGS_FOR: Duration = Duration::from_secs(2);

/// Accounts whose settings are read in one step.
const LOOKS: usize = 64;

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

impl EndpointSupervisor {
    /// Runners are tasks of `tasks`, and end soon after `stop`.
    #[must_use]
    pub fn new(context: Arc<DeliveryContext>, shards: Shards, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { context, shards, tasks, stop, accounts: BTreeMap::new(), to_look_at: BTreeSet::new() }
    }

    /// Forgets runners that ended, and stops those whose shard is no longer ours.
    fn tidy(&mut self, owned: Option<&Owned>) {
        for (account, known) in &mut self.accounts {
            let ours = owned.filter(|owned| owned.lease(*account).is_some()).map(|owned| owned.generation);
            known.workers.retain(|_, worker| {
                if ours != Some(worker.generation) {
                    worker.stop.cancel();
                }
                !worker.ended.is_cancelled()
            });
        }
        self.accounts.retain(|_, known| !known.workers.is_empty() || known.looked_at.elapsed() < SETTINGS_FOR);
    }

    /// Wakes the runners of the accounts that were written to; returns those that must be looked at.
    fn wake_marked(&mut self, owned: &Owned) -> Vec<AccountId> {
        let mut marked = self.context.feed.push().take(|account| owned.lease(account).is_some());
        marked.retain(|account| self.context.feed.take_settings_changed(*account) || !self.wake_all(*account));
        marked
    }

    /// Wakes an account's runners, where it is known that all of them are there.
    fn wake_all(&self, account: AccountId) -> bool {
        let current = |known: &&Account| known.looked_at.elapsed() < SETTINGS_FOR && known.workers.len() >= known.live;
        let Some(known) = self.accounts.get(&account).filter(current) else { return false };
        known.workers.values().for_each(|worker| worker.woken.notify_one());
        true
    }

    /// Wakes the account's runners, stops those that work by other settings, and starts those that are missing.
    async fn look(&mut self, account: AccountId, owned: &Owned, lease: ShardLease) -> anyhow::Result<()> {
        let mut endpoints = self.context.store.endpoints(account).await?;
        let is_there = |placed: &EndpointState| {
            let known = self.accounts.get(&account);
            let Endpoint { endpoint_id, status, .. } = &placed.endpoint;
            *status != EndpointStatus::Live || known.is_some_and(|known| known.workers.contains_key(endpoint_id))
        };
        let mut unsaved = BTreeSet::new();
        if !endpoints.iter().all(is_there) {
            // What was delivered last is in the places that are read now, but for those that could not be written.
            unsaved = self.context.flusher.settle(account).await;
            endpoints = self.context.store.endpoints(account).await?;
        }
        let looked_at = clock::instant();
        let live = endpoints.iter().filter(|placed| placed.endpoint.status == EndpointStatus::Live).count();
        let mut workers = match self.accounts.remove(&account) {
            Some(known) => known.workers,
            None => BTreeMap::new(),
        };
        for (endpoint_id, worker) in &workers {
            let same = |placed: &EndpointState| placed.endpoint.endpoint_id == *endpoint_id && worker.is_as(placed);
            // What was committed after a change of settings is sent by the new ones.
            if endpoints.iter().any(same) { worker.woken.notify_one() } else { worker.stop.cancel() }
        }
        let mut started = Ok(());
        for placed in endpoints {
            let endpoint_id = placed.endpoint.endpoint_id;
            if workers.contains_key(&endpoint_id) {
                continue;
            }
            if unsaved.contains(&endpoint_id) {
                started = Err(anyhow::anyhow!("the place of endpoint {endpoint_id} is not written yet"));
                continue;
            }
            match self.start(placed, owned, &lease).await {
                Ok(running) => workers.extend(running.map(|running| (endpoint_id, running))),
                // One endpoint's trouble is its own; the sweep marks it again.
                Err(error) => started = Err(error),
            }
        }
        self.accounts.insert(account, Account { looked_at, live, workers });
        started
    }

    /// Starts an endpoint's runner where it is delivered to, once the orders for its place are carried out.
    async fn start(&self, placed: EndpointState, owned: &Owned, lease: &ShardLease) -> anyhow::Result<Option<Running>> {
        let placed =
            if placed.has_commands { self.apply_commands(&placed.endpoint, owned).await? } else { Some(placed) };
        let Some(placed) = placed.filter(|placed| placed.endpoint.status == EndpointStatus::Live) else {
            return Ok(None);
        };
        let Endpoint { account, endpoint_id, revision, .. } = placed.endpoint;
        let (woken, stop, ended) = (Arc::default(), self.stop.child_token(), CancellationToken::new());
        let running =
            Running { generation: owned.generation, revision, woken, stop: stop.clone(), ended: ended.clone() };
        let worker = EndpointWorker::new(
            Arc::clone(&self.context),
            Arc::clone(&owned.owner),
            Arc::clone(lease),
            placed,
            Arc::clone(&running.woken),
            stop.clone(),
        );
        let (worker, guard) = (worker.await?, ended.drop_guard());
        let feed = self.context.feed.clone();
        self.tasks.spawn(async move {
            if let Err(error) = worker.run().await {
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
    async fn apply_commands(&self, endpoint: &Endpoint, owned: &Owned) -> anyhow::Result<Option<EndpointState>> {
        let DeliveryContext { store, flusher, clock, .. } = &*self.context;
        let (account, id) = (endpoint.account, endpoint.endpoint_id);
        anyhow::ensure!(!flusher.settle(account).await.contains(&id), "its place is not written yet");
        let Some(placed) = store.endpoint(account, id).await? else { return Ok(None) };
        let retries = store.retry_entries(account, id).await?;
        let mut commands = store.cursor_commands(account).await?;
        commands.retain(|command| command.endpoint == id);
        owned.owner.update_cursor(&endpoint::apply(&placed, &retries, &commands, clock.now())).await?;
        Ok(store.endpoint(account, id).await?)
    }
}

impl Running {
    /// Whether it may go on: the endpoint is delivered to by these settings, and its place is not to be moved.
    fn is_as(&self, placed: &EndpointState) -> bool {
        let EndpointState { endpoint, has_commands, .. } = placed;
        endpoint.status == EndpointStatus::Live && endpoint.revision == self.revision && !has_commands
    }
}

impl Worker for EndpointSupervisor {
    const NAME: &'static str = "push";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let owned = self.shards.owned();
        self.tidy(owned.as_ref());
        let Some(owned) = owned else { return Ok(Step::Idle) };
        // Another replica may have deleted an endpoint that a runner is at.
        let old = |known: &Account| !known.workers.is_empty() && known.looked_at.elapsed() >= SETTINGS_FOR;
        let old = self.accounts.iter().filter(|(_, known)| old(known)).map(|(account, _)| *account);
        self.to_look_at.extend(old);
        for _ in 0..LOOKS {
            // Whoever is written to meanwhile is woken before the next look.
            let marked = self.wake_marked(&owned);
            self.to_look_at.extend(marked);
            let Some(account) = self.to_look_at.pop_first() else { return Ok(Step::Idle) };
            let Some(lease) = owned.lease(account) else { continue };
            // One account's trouble is its own; it is looked at again in a while, and the sweep marks it.
            if let Err(error) = self.look(account, &owned, lease).await {
                tracing::warn!(%account, error = format!("{error:#}"), "endpoints not looked at, will be repeated");
                if let Some(known) = self.accounts.get_mut(&account) {
                    (known.looked_at, known.live) = (clock::instant(), usize::MAX);
                }
            }
        }
        Ok(Step::Advanced)
    }

    fn wake(&self) -> Arc<Notify> {
        self.context.feed.push().wake()
    }
}
