//! Runs one endpoint's lane until it has nothing more to do.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::attempts::{self, AttemptLog};
use super::client::{Attempt, Client};
use super::concurrency::{ConcurrencyLimiter, ConcurrencyPermit};
use super::cursor_flusher::CursorFlusher;
use super::health;
use super::kept::Kept;
use super::outcome::AttemptOutcome;
use super::scheduler::{Delivery, DeliveryPolicy, DeliveryScheduler, EndpointAction, EventMeta};
use super::target::DeliveryTarget;
use crate::clock::{self, Clock};
use crate::command::Lanes;
use crate::contract::EncodedEvent;
use crate::domain::endpoint::{
    Endpoint, EndpointState, EndpointStatus, Health, SeqRange, is_processed, skip_processed,
};
use crate::domain::{Seq, Timestamp};
use crate::feed::{EventPage, Feed, PAGE_BYTES, PageLimit};
use crate::metrics::{GaugeGuard, Metrics};
use crate::secrets::MasterKeys;
use crate::shard::ShardLease;
use crate::store::Store;
use crate::store::owner::ShardOwner;

/// Events that are read at once.
const READ: usize = 256;

/// Where this process wrote the last event that it knows of, Postgres is asked at most this often whether another
/// replica wrote more: less often than the sweep finds out.
const ASK: Duration = Duration::from_secs(1);

/// A runner that has nothing to do stays for so long, so that a steady trickle does not start one per event.
const LINGER: Duration = Duration::from_secs(5);

/// What is in flight when a runner is told to stop may end within so long, and else goes again: whoever comes after it
/// waits for no receiver that hangs.
const GRACE: Duration = Duration::from_secs(2);

/// What all runners share.
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliveryContext {
    pub client: Arc<Client>,
    pub store: Store,
    pub feed: Feed,
    pub clock: Clock,
    pub metrics: Metrics,
    pub flusher: CursorFlusher,
    pub attempts: AttemptLog,
    /// Deliveries in flight over all endpoints.
    pub limiter: Arc<ConcurrencyLimiter>,
    pub masters: MasterKeys,
    pub lanes: Lanes,
}

/// One endpoint's deliveries, while there are any.
pub(super) struct EndpointWorker {
    context: Arc<DeliveryContext>,
    owner: Arc<ShardOwner>,
    /// Held as long as this shard is worked on.
    lease: ShardLease,
    target: Arc<DeliveryTarget>,
    scheduler: DeliveryScheduler,
    /// What the log was last told of the endpoint's health.
    reported: Health,
    /// Stretches of the log that are not sent again.
    processed: Vec<SeqRange>,
    /// The events that the lane knows and that did not end yet, where they came from memory or the log.
    events: Kept,
    /// What was sent and did not arrive.
    tried: HashSet<Seq>,
    /// Whether the log may have more than was read of it.
    behind: bool,
    /// When it was last read.
    asked_at: Option<Instant>,
    woken: Arc<Notify>,
    stop: CancellationToken,
    _counted: GaugeGuard,
}

/// A delivery that ended.
struct Ended {
    delivery: Delivery,
    events: Vec<EncodedEvent>,
    attempt: Attempt,
    _slot: ConcurrencyPermit,
}

impl EndpointWorker {
    /// A runner that goes on from where the endpoint stands.
    pub(super) async fn new(
        context: Arc<DeliveryContext>,
        owner: Arc<ShardOwner>,
        lease: ShardLease,
        placed: EndpointState,
        woken: Arc<Notify>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let EndpointState { endpoint, cursor, processed, .. } = placed;
        let waiting = context.store.retry_entries(endpoint.account, endpoint.endpoint_id).await?;
        let reported = endpoint.reported;
        let scheduler = DeliveryScheduler::new(cursor, waiting, DeliveryPolicy::of(&endpoint.settings));
        let target = Arc::new(DeliveryTarget::of(endpoint, &context.masters)?);
        let counted = GaugeGuard::new(&context.metrics.push_runners);
        let (events, tried, behind, asked_at) = (Kept::default(), HashSet::new(), true, None);
        Ok(Self {
            context,
            owner,
            lease,
            target,
            scheduler,
            reported,
            processed,
            events,
            tried,
            behind,
            asked_at,
            woken,
            stop,
            _counted: counted,
        })
    }

    /// Delivers until there was nothing to do for a while, or until it is told to stop; then what is in flight has a little
    /// time yet.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut in_flight = FuturesUnordered::new();
        let limiter = Arc::clone(&self.context.limiter);
        let mut worked_at = clock::instant();
        // A slot that is waited for, and one that has come.
        let (mut asked, mut permit): (Option<BoxFuture<'static, ConcurrencyPermit>>, Option<ConcurrencyPermit>) =
            (None, None);
        let mut stopped_at = None;
        loop {
            let stopping = self.stop.is_cancelled();
            let mut starved = false;
            if stopping {
                (asked, permit) = (None, None);
                stopped_at.get_or_insert_with(clock::instant);
            } else {
                self.fill().await?;
                while !self.reads_first() {
                    let Some(permit) = permit.take().or_else(|| limiter.take(in_flight.len())) else {
                        starved = true;
                        break;
                    };
                    let Some(delivery) = self.scheduler.next(self.context.clock.now()) else { break };
                    let events = self.events_of(&delivery).await?;
                    in_flight.push(deliver(
                        Arc::clone(&self.context),
                        Arc::clone(&self.target),
                        delivery,
                        events,
                        permit,
                    ));
                }
            }
            if let Some(save) = self.scheduler.take_save() {
                self.context.flusher.put(save, &self.owner, &self.lease);
            }
            if stopping && in_flight.is_empty() {
                return Ok(());
            }
            // Its own deliveries end, where it has any.
            if starved && in_flight.is_empty() && !self.scheduler.is_idle() {
                asked.get_or_insert_with(|| limiter.wait().boxed());
            } else {
                asked = None;
            }
            let now = self.context.clock.now();
            let grace = stopped_at.map_or(GRACE, |at| GRACE.saturating_sub(at.elapsed()));
            let due = self.scheduler.next_at().filter(|_| !starved && !stopping);
            let due = due.map(|at| Duration::try_from(at - now).unwrap_or_default());
            let more = self.has_more() && !stopping;
            let working = !in_flight.is_empty() || !self.scheduler.is_idle();
            if working {
                worked_at = clock::instant();
            }
            let linger = LINGER.saturating_sub(worked_at.elapsed());
            tokio::select! {
                Some(ended) = in_flight.next() => {
                    self.ended(ended).await?;
                    // What ended at the same time is taken in at the same time.
                    while let Some(Some(ended)) = in_flight.next().now_or_never() {
                        self.ended(ended).await?;
                    }
                }
                () = std::future::ready(()), if more => {}
                () = self.woken.notified(), if !stopping => self.behind = true,
                Some(come) = OptionFuture::from(asked.as_mut()) => (asked, permit) = (None, Some(come)),
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
                () = tokio::time::sleep(linger), if !working && !more => return Ok(()),
                () = self.stop.cancelled(), if !stopping => {}
                () = tokio::time::sleep(grace), if stopping => return Ok(()),
            }
        }
    }

    fn has_more(&self) -> bool {
        self.behind && self.scheduler.room() > 0
    }

    /// Whether what is not read yet may stand for what is.
    fn reads_first(&self) -> bool {
        self.scheduler.sends_the_newest() && self.has_more()
    }

    /// Gives the lane the next events of the log where it has room.
    async fn fill(&mut self) -> anyhow::Result<()> {
        if !self.has_more() {
            return Ok(());
        }
        let account = self.target.endpoint.account;
        let from = skip_processed(&self.processed, self.scheduler.read());
        self.scheduler.pass(from);
        let just_asked = self.asked_at.is_some_and(|at| at.elapsed() < ASK);
        if just_asked && self.context.feed.ends_at(account, from) {
            self.behind = false;
            return Ok(());
        }
        let limit = PageLimit { events: READ, bytes: PAGE_BYTES };
        let EventPage { events, more } = self.context.feed.after(account, from, limit).await?;
        if events.is_empty() {
            self.asked_at = Some(clock::instant());
            self.scheduler.rest();
        }
        self.behind = more;
        let filter = &self.target.filter;
        self.events.make_room(events.len(), |seq| self.scheduler.is_put_off(seq));
        let mut metas = Vec::with_capacity(events.len());
        for event in events {
            let EncodedEvent { seq, uid, at, .. } = event;
            let own = health::is_about(&self.target.endpoint, &event);
            let wanted = !own && !is_processed(&self.processed, seq) && filter.wants(&event);
            metas.push(EventMeta { seq, uid, at, bytes: event.body.len(), wanted });
            if wanted {
                self.events.put(event);
            }
        }
        self.scheduler.add_events(metas, self.context.clock.now());
        for seq in self.scheduler.take_superseded() {
            self.events.take(seq);
        }
        Ok(())
    }

    /// A parcel's events. One that failed long ago, or before a restart, is read from the log again.
    async fn events_of(&mut self, delivery: &Delivery) -> anyhow::Result<Vec<EncodedEvent>> {
        let mut events: Vec<EncodedEvent> = delivery.events.iter().filter_map(|seq| self.events.take(*seq)).collect();
        if events.len() == delivery.events.len() {
            return Ok(events);
        }
        let account = self.target.endpoint.account;
        let missing: Vec<Seq> =
            delivery.events.iter().copied().filter(|seq| events.iter().all(|e| e.seq != *seq)).collect();
        events.extend(self.context.store.events_at(account, &missing).await?);
        events.sort_unstable_by_key(|event| event.seq);
        anyhow::ensure!(events.len() == delivery.events.len(), "some of {account}:{missing:?} are not in the log");
        Ok(events)
    }

    async fn ended(&mut self, Ended { delivery, events, attempt, _slot }: Ended) -> anyhow::Result<()> {
        let now = self.context.clock.now();
        let metrics = &self.context.metrics;
        let Endpoint { account, endpoint_id, .. } = self.target.endpoint;
        let outcome = attempt.outcome.label();
        metrics.push_attempts_total.with_label_values(&[outcome]).inc();
        let delivered = attempt.outcome == AttemptOutcome::Delivered;
        let first = delivery.attempts == 0 && !self.tried.remove(&delivery.name());
        if !delivered {
            self.tried.insert(delivery.name());
        }
        if delivered && first {
            let seconds = events.iter().map(|event| (now - event.at).as_seconds_f64());
            seconds.for_each(|seconds| metrics.write_to_webhook_seconds.observe(seconds));
        }
        if !delivered {
            tracing::debug!(%account, endpoint = %endpoint_id, seq = %delivery.name(), outcome, error = attempt.error,
                detail = attempt.no_address, "delivery failed");
        }
        let trigger = if first { "event" } else { "retry" };
        let row = attempts::row(self.target.webhook_id(&events), delivery.name(), &events, trigger, &attempt, now);
        self.context.attempts.put(account, endpoint_id, row);
        let action = self.scheduler.ended(delivery.name(), attempt.outcome, now, rand::random());
        if !delivered {
            for event in events {
                self.events.put(event);
            }
        }
        for seq in self.scheduler.take_superseded() {
            self.events.take(seq);
        }
        let told = match action {
            EndpointAction::Disable => self.disable(attempt.outcome, now).await,
            EndpointAction::GoOn => self.tell(attempt.outcome, now).await,
        };
        if let Err(error) = told {
            tracing::warn!(%account, endpoint = %endpoint_id, error = format!("{error:#}"),
                "the log is not told how the endpoint fares, will be repeated");
        }
        Ok(())
    }

    /// Tells the log of a turn in the endpoint's health. What this attempt did is saved after that.
    async fn tell(&mut self, outcome: AttemptOutcome, now: Timestamp) -> anyhow::Result<()> {
        let since = self.scheduler.failing_since();
        if let Some(health) = health::turn(self.reported, outcome == AttemptOutcome::Delivered, since, now) {
            health::report(&self.context.lanes, &self.target.endpoint, health, since).await?;
            self.reported = health;
        }
        Ok(())
    }

    /// Takes the endpoint out of service. Whatever comes of it, this runner ends: the next one goes on from what is stored.
    async fn disable(&mut self, outcome: AttemptOutcome, now: Timestamp) -> anyhow::Result<()> {
        // What was in flight with it says the same once more.
        if self.stop.is_cancelled() {
            return Ok(());
        }
        self.stop.cancel();
        let endpoint = &self.target.endpoint;
        let Endpoint { account, endpoint_id, revision, .. } = *endpoint;
        let outcome = outcome.label();
        // The endpoint that said so is the one of this revision. Its owner may have changed or resumed it since.
        let present = self.context.store.endpoint(account, endpoint_id).await?;
        let is_same = |placed: &EndpointState| {
            placed.endpoint.revision == revision && placed.endpoint.status == EndpointStatus::Live
        };
        if !present.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        health::report(&self.context.lanes, endpoint, Health::Disabled, self.scheduler.failing_since()).await?;
        let detail = serde_json::json!({"endpoint": endpoint_id, "outcome": outcome});
        if self.owner.disable_endpoint((account, endpoint_id), revision, &detail, now).await? {
            tracing::warn!(%account, endpoint = %endpoint_id, outcome, "endpoint disabled");
        } else {
            // It was changed after all, and what the log was told a moment ago is not so.
            health::report(&self.context.lanes, endpoint, Health::Well, None).await?;
        }
        Ok(())
    }
}

async fn deliver(
    context: Arc<DeliveryContext>,
    target: Arc<DeliveryTarget>,
    delivery: Delivery,
    events: Vec<EncodedEvent>,
    permit: ConcurrencyPermit,
) -> Ended {
    let _in_flight = GaugeGuard::new(&context.metrics.push_in_flight);
    let attempt = target.send(&context.client, &delivery, &events, context.clock.now()).await;
    Ended { delivery, events, attempt, _slot: permit }
}
