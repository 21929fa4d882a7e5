//! Lanes, in which commands wait, and the writers that execute them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::batch::BatchResult;
use super::queue::Queue;
use super::{BatchReply, CommandEnvelope, CommandResult, Failure, Pending, Reply, batch, missing_reply};
use crate::broker::Hints;
use crate::clock::{self, Clock};
use crate::config::Commands;
use crate::contract::EncodedEvent;
use crate::domain::sync::conflict::LOOP_SUSPECTED;
use crate::domain::{AccountId, Entity, EventType};
use crate::feed::Feed;
use crate::metrics::{Metrics, gauge_value};
use crate::store::Store;
use crate::store::batch::HeadLock;
use crate::traces::{SpanKind, Tracer};

/// Takes every command of the process. Clones share the lanes.
#[derive(Clone)]
pub struct Lanes {
    lanes: Arc<[Arc<Lane>]>,
    tracer: Tracer,
}

struct Lane {
    queue: Mutex<Queue>,
    wake: Notify,
    /// Wakes the writer of blocked accounts.
    blocked: Notify,
    /// The arrival of the oldest command that the writer of free accounts executes, and of the other writer's.
    executing_free: Mutex<Option<Instant>>,
    executing_blocked: Mutex<Option<Instant>>,
    /// Set when the writer of free accounts has ended: from then on no batch in flight can become blocked.
    is_free_ended: AtomicBool,
}

/// Executes the commands of one lane. A lane has two writers: one for its batches and one for its blocked accounts.
pub struct Writer {
    lane: Arc<Lane>,
    /// The lane's number, a label of its metrics.
    index: usize,
    accounts: Accounts,
    config: Commands,
    store: Store,
    clock: Clock,
    feed: Feed,
    hints: Hints,
    metrics: Metrics,
    tracer: Tracer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accounts {
    Free,
    Blocked,
}

impl Lanes {
    /// Makes empty lanes. Commands wait until the lane's writers run, see [`Writer::all`].
    #[must_use]
    pub fn new(config: &Commands, tracer: Tracer) -> Self {
        let lane = || {
            Arc::new(Lane {
                queue: Mutex::new(Queue::new(config.queued_per_account, config.queued_per_lane)),
                wake: Notify::new(),
                blocked: Notify::new(),
                executing_free: Mutex::default(),
                executing_blocked: Mutex::default(),
                is_free_ended: AtomicBool::new(false),
            })
        };
        Self { lanes: (0..config.lane_count()).map(|_| lane()).collect(), tracer }
    }

    /// Queues a command and awaits its reply. The command is executed even when this future is dropped.
    pub async fn submit(&self, envelope: CommandEnvelope) -> Result<CommandResult, Failure> {
        let (reply, received) = oneshot::channel();
        let Some(lane) = self.lane_of(envelope.account) else { return Err(Failure::Unavailable) };
        let pending = Pending { envelope, arrived: clock::instant(), reply };
        if lane.queue().push(pending).is_err() {
            return Err(Failure::Full);
        }
        lane.wake.notify_one();
        // A writer replies to every command that it takes. The channel closes without a reply only when the process stops.
        received.await.unwrap_or(Err(Failure::Unavailable))
    }

    /// Queues commands of one account in their order and awaits their replies. Where they do not all fit, none is queued.
    pub async fn submit_all(&self, envelopes: Vec<CommandEnvelope>) -> Vec<Result<CommandResult, Failure>> {
        let count = envelopes.len();
        let failed = |failure: &Failure| vec![Err(failure.clone()); count];
        let Some(account) = envelopes.first().map(|envelope| envelope.account) else { return Vec::new() };
        let Some(lane) = self.lane_of(account) else { return failed(&Failure::Unavailable) };
        let arrived = clock::instant();
        let (pending, received): (Vec<_>, Vec<_>) = envelopes
            .into_iter()
            .map(|envelope| {
                let (reply, received) = oneshot::channel();
                (Pending { envelope, arrived, reply }, received)
            })
            .unzip();
        if lane.queue().push_all(account, pending).is_err() {
            return failed(&Failure::Full);
        }
        lane.wake.notify_one();
        let received =
            received.into_iter().map(|received| async { received.await.unwrap_or(Err(Failure::Unavailable)) });
        futures_util::future::join_all(received).await
    }

    /// The number of waiting commands of each lane, and the arrival of its oldest command that has no reply yet.
    pub(super) fn backlogs(&self) -> Vec<(usize, Option<Instant>)> {
        self.lanes.iter().map(|lane| lane.backlog()).collect()
    }

    /// `None` where there are no lanes, which the configuration rules out.
    fn lane_of(&self, account: AccountId) -> Option<&Arc<Lane>> {
        let lanes = u64::try_from(self.lanes.len()).ok()?;
        let index = account.spread().checked_rem(lanes)?;
        self.lanes.get(usize::try_from(index).ok()?)
    }
}

impl Lane {
    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn executing(&self, accounts: Accounts) -> std::sync::MutexGuard<'_, Option<Instant>> {
        let executing = match accounts {
            Accounts::Free => &self.executing_free,
            Accounts::Blocked => &self.executing_blocked,
        };
        executing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn backlog(&self) -> (usize, Option<Instant>) {
        let (waiting, oldest) = {
            let queue = self.queue();
            (queue.len(), queue.oldest())
        };
        let executing = [*self.executing(Accounts::Free), *self.executing(Accounts::Blocked)];
        (waiting, executing.into_iter().flatten().chain(oldest).min())
    }
}

impl Writer {
    /// Makes two writers per lane.
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
        for entity in Entity::ALL {
            // Created at 0, so that an alert on the rate sees the first one.
            metrics.commands_total.with_label_values(&[entity.name(), "broken"]);
        }
        let writer = |index, lane: &Arc<Lane>, accounts| Self {
            lane: Arc::clone(lane),
            index,
            accounts,
            config: config.clone(),
            store: store.clone(),
            clock: clock.clone(),
            feed: feed.clone(),
            hints: hints.clone(),
            metrics: metrics.clone(),
            tracer: lanes.tracer.clone(),
        };
        let pair = |(index, lane)| [writer(index, lane, Accounts::Free), writer(index, lane, Accounts::Blocked)];
        lanes.lanes.iter().enumerate().flat_map(pair).collect()
    }

    /// Executes commands until `stop` is cancelled and no command waits.
    pub async fn run(self, stop: CancellationToken) {
        match self.accounts {
            Accounts::Free => self.run_free(stop).await,
            Accounts::Blocked => self.run_blocked(stop).await,
        }
    }

    async fn run_free(&self, stop: CancellationToken) {
        let lane = &self.lane;
        loop {
            // Requests that are ready become commands first and are in this batch: a larger batch costs less per command.
            tokio::task::yield_now().await;
            let (batch, drained) = {
                let mut queue = lane.queue();
                let batch = queue.take(self.config.batch_commands, self.config.batch_bytes);
                (batch, queue.len() == 0 && queue.blocked() == 0)
            };
            if !batch.is_empty() {
                self.execute(HeadLock::Brief, batch).await;
            } else if stop.is_cancelled() && drained {
                // Wakes the writer of blocked accounts, so that it ends too.
                lane.is_free_ended.store(true, Ordering::Release);
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

    /// Executes commands of blocked accounts: in one turn those of one starving account, in the next those of all accounts
    /// that are due.
    async fn run_blocked(&self, stop: CancellationToken) {
        let lane = &self.lane;
        let accounts = self.metrics.lane_blocked_accounts.with_label_values(&[&self.index.to_string()]);
        let (commands, bytes) = (self.config.batch_commands, self.config.batch_bytes);
        let mut alone = false;
        loop {
            alone = !alone;
            let (lock, batch, next_due, drained) = {
                let mut queue = lane.queue();
                accounts.set(gauge_value(queue.blocked()));
                let starved = if alone { queue.take_starved(commands, bytes) } else { Vec::new() };
                let is_free_ended = lane.is_free_ended.load(Ordering::Acquire);
                let drained = is_free_ended && queue.len() == 0 && queue.blocked() == 0;
                if starved.is_empty() {
                    let due = queue.take_due(clock::instant(), commands, bytes);
                    (HeadLock::Skip, due, queue.next_due(), drained)
                } else {
                    (HeadLock::Patient, starved, None, drained)
                }
            };
            if !batch.is_empty() {
                self.execute(lock, batch).await;
                lane.wake.notify_one();
            } else if stop.is_cancelled() && drained {
                return;
            } else if alone {
                // Waits only here, so that starving accounts are looked for once more before each wait.
                tokio::select! {
                    () = lane.blocked.notified() => {}
                    () = until(next_due) => {}
                    () = stop.cancelled(), if !stop.is_cancelled() => {}
                }
            }
        }
    }

    /// Executes a batch and replies to its callers. Commands of blocked accounts go back into the queue.
    async fn execute(&self, lock: HeadLock, batch: Vec<Pending>) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most ten thousand commands")]
        self.metrics.batch_commands.observe(batch.len() as f64);
        self.metrics.lane_commands_total.with_label_values(&[&self.index.to_string()]).inc_by(count(batch.len()));
        *self.lane.executing(self.accounts) = batch.iter().map(|pending| pending.arrived).min();
        let began = clock::instant();
        let commands: Vec<&CommandEnvelope> = batch.iter().map(|pending| &pending.envelope).collect();
        let span = tracing::error_span!("batch", lane = self.index, commands = commands.len());
        let executed = batch::execute(&self.store, &self.clock, lock, &commands).instrument(span);
        let BatchResult { replies, events } = executed.await;
        if self.tracer.is_on() {
            self.trace(&batch, &replies, began);
        }
        let mut written: Vec<AccountId> = events.iter().map(|event| event.account).collect();
        for event in &events {
            self.metrics.events_appended_total.with_label_values(&[&event.kind()]).inc();
            if event.entity == Entity::Conflict && is_loop(event) {
                self.metrics.loops_suspected_total.inc();
            }
        }
        self.feed.announce(events);
        self.reply_to_all(batch, replies);
        *self.lane.executing(self.accounts) = None;
        written.sort_unstable();
        written.dedup();
        self.hints.written(&written);
    }

    /// Records a span for each traced command of a batch.
    fn trace(&self, batch: &[Pending], replies: &[BatchReply], began: Instant) {
        for (Pending { envelope, .. }, reply) in batch.iter().zip(replies) {
            let Some(span) = self.tracer.child(envelope.traceparent.as_deref(), began) else { continue };
            let (outcome, is_error) = match reply {
                BatchReply::Reply(reply) => (outcome_of(reply), is_failure(reply)),
                BatchReply::Blocked => ("blocked", false),
            };
            let attributes = vec![
                ("unificus.account", envelope.account.to_string().into()),
                ("unificus.entity", envelope.command.entity().name().into()),
                ("unificus.outcome", outcome.into()),
                ("unificus.lane", self.index.into()),
                ("unificus.commands", batch.len().into()),
            ];
            span.end("batch".to_owned(), SpanKind::Internal, is_error, attributes);
        }
    }

    fn reply_to_all(&self, batch: Vec<Pending>, replies: Vec<BatchReply>) {
        let mut replies = replies.into_iter();
        let (mut blocked, mut finished) = (Vec::new(), BTreeSet::new());
        for pending in batch {
            match replies.next().unwrap_or_else(|| BatchReply::Reply(missing_reply())) {
                BatchReply::Reply(reply) => {
                    finished.insert(pending.envelope.account);
                    self.reply(pending, reply);
                }
                BatchReply::Blocked => blocked.push(pending),
            }
        }
        let any_blocked = !blocked.is_empty();
        let expired = {
            let mut queue = self.lane.queue();
            let expired = queue.put_back(blocked, clock::instant(), batch::MAX_WAIT);
            queue.finish(finished);
            expired
        };
        if any_blocked {
            self.lane.blocked.notify_one();
        }
        for pending in expired {
            self.reply(pending, Err(Failure::Full));
        }
    }

    fn reply(&self, pending: Pending, reply: Reply) {
        self.metrics.command_seconds.observe(pending.arrived.elapsed().as_secs_f64());
        self.count(&pending.envelope, &reply);
        // The send fails where the caller has dropped its future and needs no reply.
        let _unreceived = pending.reply.send(reply);
    }

    fn count(&self, envelope: &CommandEnvelope, reply: &Reply) {
        let outcome = outcome_of(reply);
        self.metrics.commands_total.with_label_values(&[envelope.command.entity().name(), outcome]).inc();
    }
}

fn outcome_of(reply: &Reply) -> &'static str {
    match reply {
        Ok(CommandResult { replayed: true, .. }) | Err(Failure::Refused { replayed: true, .. }) => "replayed",
        Ok(CommandResult { replayed: false, .. }) => "done",
        Err(Failure::Refused { replayed: false, .. } | Failure::StepRefused { .. } | Failure::NoAccount) => "refused",
        Err(Failure::Full | Failure::Unavailable) => "unavailable",
        Err(Failure::Broken) => "broken",
    }
}

/// Whether the service failed, and not the command.
fn is_failure(reply: &Reply) -> bool {
    matches!(reply, Err(Failure::Full | Failure::Unavailable | Failure::Broken))
}

/// Whether the event of a conflict opens one of the loop breaker. Conflicts are rare, so that their text may be searched.
fn is_loop(event: &EncodedEvent) -> bool {
    event.event_type == EventType::Opened && event.text().contains(&format!("\"reason\":\"{LOOP_SUSPECTED}\""))
}

/// Sleeps until a point in time; forever where there is none.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The value of a counter. Saturates, because no count of a batch is larger.
fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
