//! The passes of one step: which accounts are published now, and what follows from the result of each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;

use super::publisher::{AccountPublisher, Pass, PassOutcome};
use super::{Known, Relay};
use crate::clock;
use crate::domain::AccountId;
use crate::metrics::gauge_value;
use crate::shard::Owned;

/// Accounts that are published concurrently.
const PARALLEL: usize = 128;

/// An account whose pass failed is published again after this time, or as soon as it is written to.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The interval at which a step looks for accounts that were written to, so that a busy log is published in fewer and larger
/// writes: each write costs NATS and this process a wake-up.
const LOOK_INTERVAL: Duration = Duration::from_millis(3);

/// A step begins no pass after this time, so that cursors are saved and the stream is checked.
const MAX_STEP: Duration = Duration::from_millis(200);

/// Before cursors are saved, passes have this time to end: the cursor of an account with a pass is not saved.
const DRAIN: Duration = Duration::from_millis(100);

/// The passes that run, at most one of an account. Those that take longer than a step continue beside it.
///
/// They are tasks, and not futures that a step polls: a pass holds a connection while it reads the log, and a step that
/// itself waits for a connection would wait for passes that nobody polls.
#[derive(Default)]
pub(super) struct RunningPasses {
    passes: JoinSet<Pass>,
    accounts: HashSet<AccountId>,
}

impl RunningPasses {
    pub(super) fn has(&self, account: AccountId) -> bool {
        self.accounts.contains(&account)
    }

    fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    fn begin(&mut self, account: AccountId, pass: impl Future<Output = Pass> + Send + 'static) {
        self.accounts.insert(account);
        self.passes.spawn(pass);
    }

    /// Waits for a pass to end. Returns all that have ended; `None` where none runs. Loses none when it is cancelled.
    async fn next_ended(&mut self) -> Option<Vec<Pass>> {
        let mut ended = vec![result(self.passes.join_next().await?)];
        while let Some(pass) = self.passes.try_join_next() {
            ended.push(result(pass));
        }
        for pass in &ended {
            self.accounts.remove(&pass.account);
        }
        Some(ended)
    }

    /// Ends all passes where they are, as the end of the process would. Returns their accounts.
    fn abandon(&mut self) -> HashSet<AccountId> {
        // Dropping the set ends its tasks.
        self.passes = JoinSet::new();
        std::mem::take(&mut self.accounts)
    }
}

/// A panic of a pass ends the relay, as one of a step does.
fn result(pass: Result<Pass, JoinError>) -> Pass {
    match pass {
        Ok(pass) => pass,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Relay {
    /// The first half of a step: publishes the accounts that are due. Returns whether any was due or is being published.
    ///
    /// A pass begins as soon as its account is due, except that accounts which were written to are looked for only every
    /// [`LOOK_INTERVAL`]. A busy log is therefore published in fewer and larger writes. An account whose pass takes long
    /// delays no other, because the step does not wait for it.
    pub async fn publish(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let stream = self.refresh_stream(owned).await?;
        self.look_for_due(owned);
        self.audit().await?;
        self.limit_stopped(owned);
        let any = !self.due.is_empty();
        let publisher = Arc::new(AccountPublisher {
            feed: self.feed.clone(),
            broker: self.broker.clone(),
            owner: Arc::clone(&owned.owner),
            tracer: self.tracer.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            stream,
            features: self.broker.publish_features(),
        });
        let (began, mut looks) = (clock::instant(), tokio::time::interval(LOOK_INTERVAL));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        let mut has_found = any;
        while began.elapsed() < MAX_STEP {
            self.begin(owned, &publisher);
            if self.running.is_empty() && !has_found {
                return Ok(any);
            }
            tokio::select! {
                Some(ended) = self.running.next_ended() => self.record(ended),
                _ = looks.tick() => {
                    self.look_for_due(owned);
                    self.limit_stopped(owned);
                    has_found = !self.due.is_empty();
                }
            }
        }
        if self.is_save_due() {
            let _drained_or_not = tokio::time::timeout(DRAIN, self.drain()).await;
        }
        Ok(any || !self.running.is_empty())
    }

    /// Waits until no pass runs.
    pub(super) async fn drain(&mut self) {
        while let Some(ended) = self.running.next_ended().await {
            self.record(ended);
        }
    }

    /// Ends passes that may not go on, because the connection or the owner session under which they began is another one
    /// now. Their accounts are published again.
    pub(super) fn abandon(&mut self) {
        self.due.extend(self.running.abandon());
    }

    /// Looks for accounts that were written to, for those that a sweep found behind, and for those whose last pass failed
    /// long enough ago.
    fn look_for_due(&mut self, owned: &Owned) {
        self.due.extend(self.feed.relay().take(|account| owned.lease(account).is_some()));
        let mut behind = self.feed.relay().take_reported();
        behind.retain(|behind| {
            let Some(lease) = owned.lease(behind.account) else { return false };
            !self.known.get(&behind.account).is_some_and(|known| known.explains(behind, &lease))
        });
        self.due.extend(behind.into_iter().map(|behind| behind.account));
        let is_over = |failed_at: &mut Instant| failed_at.elapsed() >= RETRY_DELAY;
        self.due.extend(self.failed.extract_if(|_, failed_at| is_over(failed_at)).map(|(account, _)| account));
    }

    /// Begins the passes of accounts that are due and have none, at most [`PARALLEL`] at once.
    fn begin(&mut self, owned: &Owned, publisher: &Arc<AccountPublisher>) {
        let room = PARALLEL.saturating_sub(self.running.accounts.len());
        let next: Vec<AccountId> =
            self.due.iter().filter(|account| !self.running.has(**account)).take(room).copied().collect();
        let mut begun = Vec::with_capacity(next.len());
        for account in next {
            self.due.remove(&account);
            // The shard of an account that is skipped was given up meanwhile.
            let Some(lease) = owned.lease(account) else { continue };
            let known = self.known.get(&account).and_then(|known| known.under(&lease));
            begun.push((account, lease, known));
        }
        let unknown: Vec<AccountId> =
            begun.iter().filter(|(_, _, known)| known.is_none()).map(|(account, ..)| *account).collect();
        let statuses = publisher.statuses(unknown);
        for (account, lease, known) in begun {
            let (publisher, statuses) = (Arc::clone(publisher), statuses.clone());
            self.running.begin(account, async move { publisher.publish(account, lease, known, statuses).await });
        }
    }

    /// Records the results of passes. A failed account delays no other.
    fn record(&mut self, passes: Vec<Pass>) {
        let oldest = passes.iter().filter_map(|pass| pass.unpublished).min();
        for pass in passes {
            match pass.outcome {
                PassOutcome::Done => {
                    if self.stopped.remove(&pass.account).is_some() {
                        tracing::info!(account = %pass.account, "relay resumed");
                    }
                    if pass.unpublished.is_some() {
                        self.due.insert(pass.account);
                    }
                }
                PassOutcome::Stopped(published) => self.stop(pass.account, published),
                PassOutcome::Failed(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(account = %pass.account, error, "publish account failed; will retry");
                    self.failed.insert(pass.account, clock::instant());
                    // The stream itself may be missing.
                    self.known_under = None;
                }
            }
            if let Some(progress) = pass.progress {
                let saved_at = self.known.get(&pass.account).and_then(|known| known.saved_at);
                self.known.insert(pass.account, Known { progress, lease: Arc::downgrade(&pass.lease), saved_at });
                if !progress.is_saved() {
                    self.unsaved.insert(pass.account);
                }
            } else {
                self.known.remove(&pass.account);
            }
        }
        let lag = oldest.map_or(0.0, |at| (self.clock.now() - at).as_seconds_f64());
        self.metrics.relay_lag_seconds.set(lag);
        self.metrics.relay_stopped_accounts.set(gauge_value(self.stopped.len()));
    }
}
