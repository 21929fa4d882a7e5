//! The worker of one endpoint: reads the log, sends deliveries and applies their outcomes until nothing is left to send.
//!
//! A worker is a loop of three steps: it does everything that can be done now, waits for one of the reasons to go on
//! ([`Wake`]), and handles it. It knows nothing of shards: the supervisor passes the lease, and stops it.

mod attempt;
mod failed;
mod outcomes;
mod permits;
mod reading;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::attempt::{Ended, deliver};
use self::failed::FailedDeliveries;
use self::permits::Permits;
use super::DeliveryContext;
use super::event_cache::EventCache;
use super::scheduler::{DeliveryPolicy, DeliveryScheduler};
use super::target::DeliveryTarget;
use crate::clock;
use crate::contract::delivery::DeliveryMessage;
use crate::domain::endpoint::{EndpointState, Health, SeqRange};
use crate::metrics::GaugeGuard;
use crate::shard::ShardLease;
use crate::store::owner::ShardOwner;

/// A worker without work ends after this time, so that a steady trickle of events does not start one per event.
const LINGER: Duration = Duration::from_secs(5);

/// The time that deliveries in flight have to end when the worker is stopped. Those that take longer are sent again by
/// the next worker, which does not wait for a receiver that hangs.
const GRACE: Duration = Duration::from_secs(2);

/// One endpoint's deliveries, while there are any.
pub(super) struct EndpointWorker {
    context: Arc<DeliveryContext>,
    owner: Arc<ShardOwner>,
    /// Held as long as the endpoint is worked on.
    lease: ShardLease,
    target: Arc<DeliveryTarget>,
    scheduler: DeliveryScheduler,
    /// The health that the log recorded last.
    reported: Health,
    /// Ranges of the log that are not sent again.
    processed: Vec<SeqRange>,
    /// Bodies of events that the scheduler has and that are not in flight.
    events: EventCache,
    failed: FailedDeliveries,
    in_flight: FuturesUnordered<BoxFuture<'static, Ended>>,
    permits: Permits,
    /// Deliveries that ended since the cursor was handed to the flusher.
    unsaved: usize,
    /// True while the log may have more events than were read.
    unread: bool,
    /// When a read of the log last returned no event.
    empty_read_at: Option<Instant>,
    /// When there was last something to send or in flight.
    active_at: Instant,
    woken: Arc<Notify>,
    stop: CancellationToken,
    _counted: GaugeGuard,
}

/// A reason to go on.
enum Wake {
    /// A delivery's attempt ended.
    Ended(Box<Ended>),
    /// More of the log can be read at once.
    Unread,
    /// The log may have grown.
    LogGrew,
    /// A permit is granted.
    Permit,
    /// A delivery is due.
    Due,
    /// The worker is to stop.
    Stop,
    /// Nothing was there to send for [`LINGER`].
    Idle,
}

impl EndpointWorker {
    /// A worker that goes on from the endpoint's cursor.
    pub(super) async fn new(
        context: Arc<DeliveryContext>,
        owner: Arc<ShardOwner>,
        lease: ShardLease,
        state: EndpointState,
        woken: Arc<Notify>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let EndpointState { endpoint, cursor, processed, brand, .. } = state;
        let retries = context.store.retry_entries(endpoint.account, endpoint.endpoint_id).await?;
        let reported = endpoint.reported;
        let scheduler = DeliveryScheduler::new(cursor, retries, DeliveryPolicy::of(&endpoint.settings));
        let target = Arc::new(DeliveryTarget::of(endpoint, brand, &context)?);
        Ok(Self {
            permits: Permits::new(Arc::clone(&context.limiter)),
            _counted: GaugeGuard::new(&context.metrics.push_runners),
            context,
            owner,
            lease,
            target,
            scheduler,
            reported,
            processed,
            events: EventCache::default(),
            failed: FailedDeliveries::default(),
            in_flight: FuturesUnordered::new(),
            unsaved: 0,
            unread: true,
            empty_read_at: None,
            active_at: clock::instant(),
            woken,
            stop,
        })
    }

    /// Delivers until there was nothing to do for a while, or until the worker is stopped.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        while !self.stop.is_cancelled() {
            let started = self.read_and_start().await;
            // An error must not lose the outcomes that were applied before it: their deliveries would be repeated.
            self.save();
            let wake = self.wait(started?).await;
            if matches!(wake, Wake::Idle) {
                return Ok(());
            }
            self.handle(wake).await;
        }
        self.drain().await;
        Ok(())
    }

    /// Reads the next page of the log and starts deliveries. Returns true where no permit was free for a further one.
    async fn read_and_start(&mut self) -> anyhow::Result<bool> {
        self.read().await?;
        self.start_deliveries().await
    }

    /// Starts every delivery that may be sent now. Returns true where it ended because no permit was free.
    async fn start_deliveries(&mut self) -> anyhow::Result<bool> {
        // In mode `latest` an event that is not read yet may supersede one that is pending.
        while !(self.scheduler.coalesces() && self.can_read()) {
            let Some(permit) = self.permits.take(self.in_flight.len()) else { return Ok(true) };
            let Some(delivery) = self.scheduler.next(self.context.clock.now()) else { break };
            let events = self.events_of(&delivery).await?;
            let mode = self.target.endpoint.settings.mode;
            let message = DeliveryMessage::of(mode, &events, delivery.after);
            let message = message.ok_or_else(|| anyhow::anyhow!("a delivery has no event with a body"))?;
            let (context, target) = (Arc::clone(&self.context), Arc::clone(&self.target));
            self.in_flight.push(deliver(context, target, delivery, events, message, permit).boxed());
        }
        Ok(false)
    }

    /// Hands the cursor and changed retry entries to the flusher.
    fn save(&mut self) {
        if let Some(save) = self.scheduler.take_save() {
            let deliveries = std::mem::take(&mut self.unsaved);
            self.context.flusher.put(save, deliveries, &self.owner, &self.lease);
        }
    }

    /// Waits for the next reason to go on.
    async fn wait(&mut self, starved: bool) -> Wake {
        // An endpoint with deliveries in flight gets its next permit from one of those.
        if starved && self.in_flight.is_empty() && !self.scheduler.is_idle() {
            self.permits.request();
        } else {
            self.permits.cancel_request();
        }
        let unread = self.can_read();
        let timer = self.timer(starved);
        tokio::select! {
            Some(ended) = self.in_flight.next() => Wake::Ended(Box::new(ended)),
            () = std::future::ready(()), if unread => Wake::Unread,
            () = self.woken.notified() => Wake::LogGrew,
            () = self.permits.wait() => Wake::Permit,
            wake = after(timer) => wake,
            () = self.stop.cancelled() => Wake::Stop,
        }
    }

    /// The wake that time brings: the next delivery is due, or the worker has been idle for long enough.
    fn timer(&mut self, starved: bool) -> Option<(Duration, Wake)> {
        if !self.in_flight.is_empty() || !self.scheduler.is_idle() {
            self.active_at = clock::instant();
            let due = self.scheduler.next_at().filter(|_| !starved)?;
            // A time in the past is due at once.
            let delay = Duration::try_from(due - self.context.clock.now()).unwrap_or_default();
            return Some((delay, Wake::Due));
        }
        (!self.can_read()).then(|| (LINGER.saturating_sub(self.active_at.elapsed()), Wake::Idle))
    }

    async fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Ended(ended) => self.apply_ended(*ended).await,
            Wake::LogGrew => self.unread = true,
            // The next round of the loop reads, sends, or stops.
            Wake::Unread | Wake::Permit | Wake::Due | Wake::Stop | Wake::Idle => {}
        }
    }

    /// Applies an attempt and all others that ended at the same time.
    async fn apply_ended(&mut self, ended: Ended) {
        self.apply_outcome(ended).await;
        while let Some(Some(ended)) = self.in_flight.next().now_or_never() {
            self.apply_outcome(ended).await;
        }
    }

    /// Waits up to [`GRACE`] for deliveries in flight, and saves their outcomes.
    async fn drain(&mut self) {
        self.permits.release();
        let grace_over = tokio::time::sleep(GRACE);
        tokio::pin!(grace_over);
        loop {
            self.save();
            tokio::select! {
                ended = self.in_flight.next() => match ended {
                    Some(ended) => self.apply_ended(ended).await,
                    None => return,
                },
                () = &mut grace_over => return,
            }
        }
    }
}

/// Waits for a timer; forever without one.
async fn after(timer: Option<(Duration, Wake)>) -> Wake {
    match timer {
        Some((delay, wake)) => {
            tokio::time::sleep(delay).await;
            wake
        }
        None => std::future::pending().await,
    }
}
