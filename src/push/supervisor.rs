//! Starts a worker for each live endpoint of an account that was written to. A worker without work ends after 5 s.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

use super::DeliveryContext;
use super::endpoint_worker::EndpointWorker;
use crate::clock;
use crate::domain::AccountId;
use crate::domain::endpoint::{self, Endpoint, EndpointState, EndpointStatus};
use crate::shard::{Owned, ShardLease, Shards};
use crate::store::StoreError;
use crate::worker::{Step, Worker};

/// Supervises the workers of all endpoints in the shards that this replica owns.
pub struct EndpointSupervisor {
    context: Arc<DeliveryContext>,
    shards: Shards,
    tasks: TaskTracker,
    stop: CancellationToken,
    accounts: BTreeMap<AccountId, Account>,
    /// Accounts that had no endpoint when it was last read which accounts have any, and the time of that.
    without: HashMap<AccountId, Instant>,
    /// The last removal of old entries of `without`.
    pruned_at: Instant,
    /// Accounts whose endpoints are to be checked.
    to_check: BTreeSet<AccountId>,
}

/// An account with endpoints, as its settings were when they were last read.
struct Account {
    checked_at: Instant,
    /// The number of live endpoints, each of which should have a worker; `None` after a check that failed, so that the
    /// account is checked again before it counts as complete.
    live: Option<usize>,
    workers: BTreeMap<Uuid, WorkerHandle>,
}

/// The age at which an account's settings are read again. A change by this process is read at once.
const SETTINGS_MAX_AGE: Duration = Duration::from_secs(2);

/// Accounts that are checked in one step. One statement finds those of them that have endpoints.
const CHECKS_PER_STEP: usize = 64;

/// The handle of a worker that was started.
struct WorkerHandle {
    generation: u64,
    /// The revision of the settings that it delivers by.
    revision: i64,
    /// The brand that it tells receivers.
    brand: Option<String>,
    woken: Arc<Notify>,
    stop: CancellationToken,
    /// Cancelled when it has ended, for any reason.
    ended: CancellationToken,
}

impl EndpointSupervisor {
    /// A supervisor whose workers are tasks of `tasks`, and end within seconds after `stop`.
    #[must_use]
    pub fn new(context: Arc<DeliveryContext>, shards: Shards, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let (accounts, without, to_check) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        Self { context, shards, tasks, stop, accounts, without, pruned_at: clock::instant(), to_check }
    }

    /// Stops workers whose shard this replica no longer owns, and removes those that have ended.
    fn prune_workers(&mut self, owned: Option<&Owned>) {
        for (account, known) in &mut self.accounts {
            let ours = owned.filter(|owned| owned.lease(*account).is_some()).map(|owned| owned.generation);
            known.workers.retain(|_, worker| {
                if ours != Some(worker.generation) {
                    worker.stop.cancel();
                }
                !worker.ended.is_cancelled()
            });
        }
        self.accounts.retain(|_, known| !known.workers.is_empty() || known.checked_at.elapsed() < SETTINGS_MAX_AGE);
        if self.pruned_at.elapsed() >= SETTINGS_MAX_AGE {
            self.pruned_at = clock::instant();
            self.without.retain(|_, read_at| read_at.elapsed() < SETTINGS_MAX_AGE);
            // Most accounts of an installation may have been written to since the last time.
            self.without.shrink_to(CHECKS_PER_STEP);
        }
    }

    /// Wakes the workers of the accounts that were written to. Returns the accounts that must be checked.
    fn wake_marked(&mut self, owned: &Owned) -> Vec<AccountId> {
        let mut marked = self.context.feed.push().take(|account| owned.lease(account).is_some());
        marked.retain(|account| self.context.feed.take_settings_changed(*account) || !self.wake_all(*account));
        marked
    }

    /// Wakes an account's workers. Returns false where one may be missing, so that the account must be checked.
    fn wake_all(&self, account: AccountId) -> bool {
        if self.without.get(&account).is_some_and(|read_at| read_at.elapsed() < SETTINGS_MAX_AGE) {
            return true;
        }
        let current = |known: &&Account| {
            let is_complete = known.live.is_some_and(|live| known.workers.len() >= live);
            known.checked_at.elapsed() < SETTINGS_MAX_AGE && is_complete
        };
        let Some(known) = self.accounts.get(&account).filter(current) else { return false };
        known.workers.values().for_each(|worker| worker.woken.notify_one());
        true
    }

    /// Takes the next accounts that are to be checked, and returns those that have endpoints or workers.
    async fn take_next(&mut self, owned: &Owned) -> Result<Vec<AccountId>, StoreError> {
        let next: Vec<AccountId> = self.to_check.iter().take(CHECKS_PER_STEP).copied().collect();
        let read_at = clock::instant();
        let having = match next.as_slice() {
            [] => HashSet::new(),
            accounts => self.context.store.accounts_with_endpoints(accounts).await?,
        };
        let mut to_check = Vec::new();
        for account in next {
            self.to_check.remove(&account);
            if having.contains(&account) || self.accounts.contains_key(&account) {
                self.without.remove(&account);
                to_check.push(account);
            } else if owned.lease(account).is_some() {
                self.without.insert(account, read_at);
            }
        }
        Ok(to_check)
    }

    /// Wakes the account's workers, stops those with outdated settings, and starts those that are missing.
    async fn check(&mut self, account: AccountId, owned: &Owned, lease: ShardLease) -> anyhow::Result<()> {
        let mut endpoints = self.context.store.endpoints(account).await?;
        let has_worker = |state: &EndpointState| {
            let known = self.accounts.get(&account);
            let Endpoint { endpoint_id, status, .. } = &state.endpoint;
            *status != EndpointStatus::Live || known.is_some_and(|known| known.workers.contains_key(endpoint_id))
        };
        let mut unsaved = BTreeSet::new();
        if !endpoints.iter().all(has_worker) {
            // The cursors that are read now include the last deliveries, except those of cursors that could not be written.
            unsaved = self.context.flusher.flush_account(account).await;
            endpoints = self.context.store.endpoints(account).await?;
        }
        let checked_at = clock::instant();
        let live = endpoints.iter().filter(|state| state.endpoint.status == EndpointStatus::Live).count();
        let mut workers = match self.accounts.remove(&account) {
            Some(known) => known.workers,
            None => BTreeMap::new(),
        };
        for (endpoint_id, worker) in &workers {
            let same = |state: &EndpointState| state.endpoint.endpoint_id == *endpoint_id && worker.is_current(state);
            // Events that are committed after a change of settings are sent by the new settings.
            if endpoints.iter().any(same) { worker.woken.notify_one() } else { worker.stop.cancel() }
        }
        let mut started = Ok(());
        for state in endpoints {
            let endpoint_id = state.endpoint.endpoint_id;
            if workers.contains_key(&endpoint_id) {
                continue;
            }
            if unsaved.contains(&endpoint_id) {
                started = Err(anyhow::anyhow!("the cursor of endpoint {endpoint_id} is not written yet"));
                continue;
            }
            match self.start(state, owned, &lease).await {
                Ok(handle) => workers.extend(handle.map(|handle| (endpoint_id, handle))),
                // An error of one endpoint does not stop the others. `crate::sweep` marks the account again while an endpoint
                // of it has events or commands pending.
                Err(error) => started = Err(error),
            }
        }
        self.accounts.insert(account, Account { checked_at, live: Some(live), workers });
        started
    }

    /// Applies an endpoint's queued cursor commands, and starts its worker if it is live.
    async fn start(
        &self,
        state: EndpointState,
        owned: &Owned,
        lease: &ShardLease,
    ) -> anyhow::Result<Option<WorkerHandle>> {
        let state = if state.has_commands { self.apply_commands(&state.endpoint, owned).await? } else { Some(state) };
        let Some(state) = state.filter(|state| state.endpoint.status == EndpointStatus::Live) else {
            return Ok(None);
        };
        let Endpoint { account, endpoint_id, revision, .. } = state.endpoint;
        let (woken, stop, ended) = (Arc::default(), self.stop.child_token(), CancellationToken::new());
        let handle = WorkerHandle {
            generation: owned.generation,
            revision,
            brand: state.brand.clone(),
            woken,
            stop: stop.clone(),
            ended: ended.clone(),
        };
        let worker = EndpointWorker::new(
            Arc::clone(&self.context),
            Arc::clone(&owned.owner),
            Arc::clone(lease),
            state,
            Arc::clone(&handle.woken),
            stop.clone(),
        );
        let (worker, guard) = (worker.await?, ended.drop_guard());
        let feed = self.context.feed.clone();
        let span = tracing::error_span!("endpoint", %account, endpoint = %endpoint_id);
        let run = async move {
            if let Err(error) = worker.run().await {
                tracing::warn!(error = format!("{error:#}"), "run endpoint worker failed");
            }
            drop(guard);
            // It was stopped for a change that waits for its end.
            if stop.is_cancelled() {
                feed.settings_changed(account);
            }
        };
        self.tasks.spawn(run.instrument(span));
        Ok(Some(handle))
    }

    /// Applies the cursor commands of an endpoint. Its worker has ended, so that nothing else writes the cursor.
    async fn apply_commands(&self, endpoint: &Endpoint, owned: &Owned) -> anyhow::Result<Option<EndpointState>> {
        let DeliveryContext { store, flusher, clock, .. } = &*self.context;
        let (account, id) = (endpoint.account, endpoint.endpoint_id);
        anyhow::ensure!(!flusher.flush_account(account).await.contains(&id), "its cursor is not written yet");
        let Some(state) = store.endpoint(account, id).await? else { return Ok(None) };
        let retries = store.retry_entries(account, id).await?;
        let mut commands = store.cursor_commands(account).await?;
        commands.retain(|command| command.endpoint == id);
        owned.owner.update_cursor(&endpoint::apply(&state, &retries, &commands, clock.now())).await?;
        Ok(store.endpoint(account, id).await?)
    }
}

impl WorkerHandle {
    /// True where the worker may go on: the endpoint is live with the same settings and brand, and no cursor command is queued.
    fn is_current(&self, state: &EndpointState) -> bool {
        let EndpointState { endpoint, has_commands, brand, .. } = state;
        let is_same = endpoint.revision == self.revision && *brand == self.brand;
        endpoint.status == EndpointStatus::Live && is_same && !has_commands
    }
}

impl Worker for EndpointSupervisor {
    const NAME: &'static str = "push";
    /// The longest pause between two steps. Accounts with events or commands pending are marked by `crate::sweep`.
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let owned = self.shards.owned();
        self.prune_workers(owned.as_ref());
        let Some(owned) = owned else { return Ok(Step::Idle) };
        // Another replica may have deleted an endpoint that has a worker here.
        let old = |known: &Account| !known.workers.is_empty() && known.checked_at.elapsed() >= SETTINGS_MAX_AGE;
        let old = self.accounts.iter().filter(|(_, known)| old(known)).map(|(account, _)| *account);
        self.to_check.extend(old);
        let marked = self.wake_marked(&owned);
        self.to_check.extend(marked);
        if self.to_check.is_empty() {
            return Ok(Step::Idle);
        }
        for account in self.take_next(&owned).await? {
            // Accounts that were written to in the meantime are woken before the next check.
            let marked = self.wake_marked(&owned);
            self.to_check.extend(marked);
            let Some(lease) = owned.lease(account) else { continue };
            // An error of one account does not stop the others. The account is checked again after `SETTINGS_MAX_AGE`, or
            // when `crate::sweep` marks it, which it does while an endpoint of it has events or commands pending.
            if let Err(error) = self.check(account, &owned, lease).await {
                tracing::warn!(%account, error = format!("{error:#}"), "check endpoints failed; will retry");
                if let Some(known) = self.accounts.get_mut(&account) {
                    (known.checked_at, known.live) = (clock::instant(), None);
                }
            }
        }
        Ok(Step::Advanced)
    }

    fn wake(&self) -> Arc<Notify> {
        self.context.feed.push().wake()
    }
}
