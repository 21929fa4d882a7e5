//! Lanes: where orders wait, and the writers that carry them out.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::{CommandEnvelope, CommandResult, Failure, Pending, Reply, batch};
use crate::broker::Hints;
use crate::clock::{self, Clock};
use crate::config::Commands;
use crate::domain::AccountId;
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::batch::HeadLock;

/// The way in for every command. Cloning shares it.
#[derive(Clone)]
pub struct Lanes {
    lanes: Arc<[Lane]>,
}

struct Lane {
    queue: Mutex<Queue>,
    wake: Notify,
    /// Wakes the writer of blocked accounts.
    blocked: Notify,
}

/// Carries out one lane's orders. A lane has two: one for its batches, and one for its blocked accounts.
pub struct Writer {
    lanes: Lanes,
    index: usize,
    of: Accounts,
    config: Commands,
    store: Store,
    clock: Clock,
    feed: Feed,
    hints: Hints,
    metrics: Metrics,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accounts {
    Free,
    Blocked,
}

impl Lanes {
    /// Empty lanes; each wants a [`Writer`].
    #[must_use]
    pub fn new(config: &Commands) -> Self {
        let lane = || Lane {
            queue: Mutex::new(Queue::new(config.queued_per_account, config.queued_per_lane)),
            wake: Notify::new(),
            blocked: Notify::new(),
        };
        Self { lanes: (0..config.lane_count()).map(|_| lane()).collect() }
    }

    /// Sends an order and awaits its answer. When the future is dropped the order is carried out all the same.
    pub async fn submit(&self, order: CommandEnvelope) -> Result<CommandResult, Failure> {
        let (reply, answer) = oneshot::channel();
        let Some(lane) = self.lane_of(order.account) else { return Err(Failure::Unavailable) };
        let pending = Pending { order, arrived: clock::instant(), reply };
        if lane.queue().push(pending).is_err() {
            return Err(Failure::Full);
        }
        lane.wake.notify_one();
        // A writer answers every order that it takes; it is gone only when the process stops.
        answer.await.unwrap_or(Err(Failure::Unavailable))
    }

    fn lane_of(&self, account: AccountId) -> Option<&Lane> {
        let lanes = u64::try_from(self.lanes.len()).ok()?;
        let index = account.spread().checked_rem(lanes)?;
        self.lanes.get(usize::try_from(index).ok()?)
    }
}

impl Lane {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Two writers per lane.
    #[must_use]
    pub fn all(
        lanes: &Lanes,
        config: &Commands,
        store: &Store,
        clock: &Clock,
        feed: &Feed,
        hints: &Hints,
        metrics: &Metrics,
    ) -> Vec<Self> {
        let writer = |index, of| Self {
            lanes: lanes.clone(),
            index,
            of,
            config: config.clone(),
            store: store.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            hints: hints.clone(),
            metrics: metrics.clone(),
        };
        let pair = |index| [writer(index, Accounts::Free), writer(index, Accounts::Blocked)];
        (0..config.lane_count()).flat_map(pair).collect()
    }

    /// Carries out orders until `stop`, and then those that still wait.
    pub async fn run(self, stop: CancellationToken) {
        let lanes = Arc::clone(&self.lanes.lanes);
        let Some(lane) = lanes.get(self.index) else { return };
        match self.of {
            Accounts::Free => self.run_free(lane, stop).await,
            Accounts::Blocked => self.run_blocked(lane, stop).await,
        }
    }

    async fn run_free(&self, lane: &Lane, stop: CancellationToken) {
        let depth = self.metrics.lane_depth.with_label_values(&[&self.index.to_string()]);
        loop {
            let (batch, drained) = {
                let mut queue = lane.queue();
                let batch = queue.take(self.config.batch_commands, self.config.batch_bytes);
                depth.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
                (batch, queue.len() == 0 && queue.blocked() == 0)
            };
            if !batch.is_empty() {
                self.execute(lane, HeadLock::Brief, batch).await;
            } else if stop.is_cancelled() && drained {
                // The other one ends with us.
                lane.blocked.notify_one();
                return;
            } else {
                tokio::select! {
                    () = lane.wake.notified() => {}
                    () = stop.cancelled(), if !stop.is_cancelled() => {}
                }
            }
        }
    }

    /// Tries those that are due together and those that starve alone, in turns.
    async fn run_blocked(&self, lane: &Lane, stop: CancellationToken) {
        let accounts = self.metrics.lane_blocked_accounts.with_label_values(&[&self.index.to_string()]);
        let (commands, bytes) = (self.config.batch_commands, self.config.batch_bytes);
        let mut alone = false;
        loop {
            alone = !alone;
            let (lock, batch, next_due, drained) = {
                let mut queue = lane.queue();
                accounts.set(i64::try_from(queue.blocked()).unwrap_or(i64::MAX));
                let starved = if alone { queue.take_starved(commands, bytes) } else { Vec::new() };
                let drained = queue.len() == 0 && queue.blocked() == 0;
                if starved.is_empty() {
                    let due = queue.take_due(clock::instant(), commands, bytes);
                    (HeadLock::Skip, due, queue.next_due(), drained)
                } else {
                    (HeadLock::Patient, starved, None, drained)
                }
            };
            if !batch.is_empty() {
                self.execute(lane, lock, batch).await;
                lane.wake.notify_one();
            } else if stop.is_cancelled() && drained {
                return;
            } else if alone {
                let pause = next_due.map(|due| due.saturating_duration_since(clock::instant()));
                tokio::select! {
                    () = lane.blocked.notified() => {}
                    () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
                    () = stop.cancelled(), if !stop.is_cancelled() => {}
                }
            }
        }
    }

    /// Carries a batch out and answers its callers. Commands of blocked accounts go back into the queue.
    async fn execute(&self, lane: &Lane, lock: HeadLock, batch: Vec<Pending>) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most ten thousand commands")]
        self.metrics.batch_commands.observe(batch.len() as f64);
        let orders: Vec<&CommandEnvelope> = batch.iter().map(|pending| &pending.order).collect();
        let carried = batch::execute(&self.store, &self.clock, lock, &orders).await;
        let mut written: Vec<AccountId> = carried.events.iter().map(|event| event.account).collect();
        for event in &carried.events {
            self.metrics.events_appended_total.with_label_values(&[&event.kind()]).inc();
        }
        self.feed.announce(carried.events);
        let (mut blocked, mut ended) = (Vec::new(), BTreeSet::new());
        for (pending, answer) in batch.into_iter().zip(carried.answers) {
            match answer {
                Some(answer) => {
                    ended.insert(pending.order.account);
                    self.answer(pending, answer);
                }
                None => blocked.push(pending),
            }
        }
        let (late, any_blocked) = {
            let mut queue = lane.queue();
            let any_blocked = !blocked.is_empty();
            let late = queue.put_back(blocked, clock::instant(), batch::PATIENCE);
            queue.ended(ended);
            (late, any_blocked)
        };
        if any_blocked {
            lane.blocked.notify_one();
        }
        for pending in late {
            self.answer(pending, Err(Failure::Full));
        }
        written.sort_unstable();
        written.dedup();
        self.hints.written(&written);
    }

    fn answer(&self, pending: Pending, answer: Reply) {
        self.metrics.command_seconds.observe(pending.arrived.elapsed().as_secs_f64());
        self.count(&pending.order, &answer);
        // A caller who has gone away does not want it any more.
        let _gone = pending.reply.send(answer);
    }

    fn count(&self, order: &CommandEnvelope, answer: &Reply) {
        let outcome = match answer {
            Ok(CommandResult { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }) => "replayed",
            Ok(CommandResult { replayed: false, .. }) => "done",
            Err(Failure::Refused { replayed: false, .. } | Failure::NoAccount) => "refused",
            Err(Failure::Full | Failure::Unavailable) => "unavailable",
            Err(Failure::Broken) => "broken",
        };
        self.metrics.commands_total.with_label_values(&[order.command.entity().name(), outcome]).inc();
    }
}
