//! The passes of one step: which accounts are published now, and what follows from the result of each.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
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

impl Relay {
    /// The first half of a step: publishes the accounts that are due. Returns whether any was due.
    ///
    /// A pass begins as soon as its account is due, except that accounts which were written to are looked for only every
    /// [`LOOK_INTERVAL`]. So an account whose pass takes long delays no other, and a busy log is published in fewer and
    /// larger writes.
    pub async fn publish(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let stream = self.refresh_stream(owned).await?;
        self.look_for_due(owned);
        self.audit().await?;
        self.limit_stopped(owned);
        let any = !self.due.is_empty();
        let (feed, broker) = (self.feed.clone(), self.broker.clone());
        let (metrics, clock) = (self.metrics.clone(), self.clock.clone());
        let publisher =
            AccountPublisher { feed: &feed, broker: &broker, owned, metrics: &metrics, clock: &clock, stream };
        let (began, mut looks) = (clock::instant(), tokio::time::interval(LOOK_INTERVAL));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        let (mut passes, mut running) = (FuturesUnordered::new(), HashSet::new());
        let mut has_found = any;
        loop {
            let is_over = began.elapsed() >= MAX_STEP;
            if !is_over {
                passes.extend(self.begin(owned, &publisher, &mut running));
            }
            if passes.is_empty() && (is_over || !has_found) {
                return Ok(any);
            }
            let ended = tokio::select! {
                Some(ended) = passes.next() => ended,
                _ = looks.tick(), if !is_over => {
                    self.look_for_due(owned);
                    self.limit_stopped(owned);
                    has_found = !self.due.is_empty();
                    continue;
                }
            };
            let mut ended: Vec<Pass> = vec![ended];
            while let Some(Some(pass)) = passes.next().now_or_never() {
                ended.push(pass);
            }
            for pass in &ended {
                running.remove(&pass.account);
            }
            self.record(ended);
        }
    }

    /// Looks for accounts that were written to, and for those whose last pass failed long enough ago.
    fn look_for_due(&mut self, owned: &Owned) {
        self.due.extend(self.feed.relay().take(|account| owned.lease(account).is_some()));
        let is_over = |failed_at: &mut Instant| failed_at.elapsed() >= RETRY_DELAY;
        self.due.extend(self.failed.extract_if(|_, failed_at| is_over(failed_at)).map(|(account, _)| account));
    }

    /// Begins the passes of accounts that are due and have none, at most [`PARALLEL`] at once.
    fn begin<'a>(
        &mut self,
        owned: &Owned,
        publisher: &'a AccountPublisher<'a>,
        running: &mut HashSet<AccountId>,
    ) -> Vec<impl Future<Output = Pass> + use<'a>> {
        let room = PARALLEL.saturating_sub(running.len());
        let next: Vec<AccountId> =
            self.due.iter().filter(|account| !running.contains(account)).take(room).copied().collect();
        let mut begun = Vec::with_capacity(next.len());
        for account in next {
            self.due.remove(&account);
            // The shard of an account that is skipped was given up meanwhile.
            let Some(lease) = owned.lease(account) else { continue };
            running.insert(account);
            let known = self.known.get(&account).and_then(|known| known.under(&lease));
            begun.push(publisher.publish(account, lease, known));
        }
        begun
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
                self.known.insert(pass.account, Known { progress, lease: Arc::downgrade(&pass.lease) });
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
