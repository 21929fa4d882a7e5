//! Lanes: where orders wait, and the writers that carry them out.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::queue::Queue;
use super::{Answer, Failure, Order, Pending, Receipt, batch};
use crate::broker::Hints;
use crate::clock::{self, Clock};
use crate::config::Commands;
use crate::domain::AccountId;
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::store::Store;

/// The way in for every command. Cloning shares it.
#[derive(Clone)]
pub struct Lanes {
    lanes: Arc<[Lane]>,
}

struct Lane {
    queue: Mutex<Queue>,
    wake: Notify,
}

/// What carries out one lane's orders.
pub struct Writer {
    lanes: Lanes,
    index: usize,
    config: Commands,
    store: Store,
    clock: Clock,
    feed: Feed,
    hints: Hints,
    metrics: Metrics,
}

impl Lanes {
    /// Empty lanes; each wants a [`Writer`].
    #[must_use]
    pub fn new(config: &Commands) -> Self {
        let lane = || Lane {
            queue: Mutex::new(Queue::new(config.queued_per_account, config.queued_per_lane)),
            wake: Notify::new(),
        };
        Self { lanes: (0..config.lane_count()).map(|_| lane()).collect() }
    }

    /// Sends an order and awaits its answer. When the future is dropped the order is carried out all the same.
    pub async fn submit(&self, order: Order) -> Result<Receipt, Failure> {
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
    /// One writer per lane.
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
        let writer = |index| Self {
            lanes: lanes.clone(),
            index,
            config: config.clone(),
            store: store.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            hints: hints.clone(),
            metrics: metrics.clone(),
        };
        (0..config.lane_count()).map(writer).collect()
    }

    /// Carries out orders until `stop`, and then those that still wait.
    pub async fn run(self, stop: CancellationToken) {
        let lanes = Arc::clone(&self.lanes.lanes);
        let Some(lane) = lanes.get(self.index) else { return };
        let depth = self.metrics.lane_depth.with_label_values(&[&self.index.to_string()]);
        loop {
            let batch = {
                let mut queue = lane.queue();
                let batch = queue.take(self.config.batch_commands, self.config.batch_bytes);
                depth.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
                batch
            };
            if !batch.is_empty() {
                self.carry_out(batch).await;
            } else if stop.is_cancelled() {
                return;
            } else {
                tokio::select! {
                    () = lane.wake.notified() => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    async fn carry_out(&self, batch: Vec<Pending>) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most ten thousand commands")]
        self.metrics.batch_commands.observe(batch.len() as f64);
        let (orders, callers): (Vec<Order>, Vec<_>) =
            batch.into_iter().map(|pending| (pending.order, (pending.arrived, pending.reply))).unzip();
        let carried = batch::carry_out(&self.store, &self.clock, &orders).await;
        let mut accounts: Vec<AccountId> = carried.events.iter().map(|event| event.account).collect();
        for event in &carried.events {
            self.metrics.events_appended_total.with_label_values(&[&event.kind()]).inc();
        }
        self.feed.announce(carried.events);
        for ((order, (arrived, reply)), answer) in orders.iter().zip(callers).zip(carried.answers) {
            self.metrics.command_seconds.observe(arrived.elapsed().as_secs_f64());
            self.count(order, &answer);
            // A caller who has gone away does not want it any more.
            let _gone = reply.send(answer);
        }
        accounts.sort_unstable();
        accounts.dedup();
        self.hints.written(&accounts);
    }

    fn count(&self, order: &Order, answer: &Answer) {
        let outcome = match answer {
            Ok(Receipt { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }) => "replayed",
            Ok(Receipt { replayed: false, .. }) => "done",
            Err(Failure::Refused { replayed: false, .. } | Failure::NoAccount) => "refused",
            Err(Failure::Full | Failure::Unavailable) => "unavailable",
            Err(Failure::Broken) => "broken",
        };
        self.metrics.commands_total.with_label_values(&[order.command.entity().name(), outcome]).inc();
    }
}
