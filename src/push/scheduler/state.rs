//! The state machine of one endpoint's deliveries.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::circuit_breaker::CircuitBreaker;
use super::delivery::{Delivery, DeliveryBuilder, PlannedDelivery};
use super::event_meta::EventMeta;
use super::pending::{PendingEvent, PendingEvents};
use super::policy::{DeliveryPolicy, OrderKey};
use super::rate::Rate;
use super::retry_queue::RetryQueue;
use crate::domain::endpoint::Mode;
use crate::domain::endpoint::{EndpointCursor, EndpointSave, RetryEntry};
use crate::domain::{Seq, Timestamp};
use crate::push::outcome::AttemptOutcome;
use crate::push::retry_delays;

/// Consecutive failed attempts after which the endpoint itself counts as failing.
const MAX_CONSECUTIVE_FAILURES: u32 = 5;

/// Requests to slow down in answer to one delivery, with arrivals of others in between, that count as the endpoint's. Each
/// further one counts as a failure of that delivery, so that an event which always gets 503 is parked at last.
const MAX_THROTTLED: u32 = 5;

/// Events, pending or to be retried, at which reading stops: the cursor stays where it is until some are settled.
const MAX_HELD: usize = 10_000;

/// The consequence of an outcome for the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointAction {
    /// Deliver on.
    GoOn,
    /// Disable the endpoint: it answered 410 or has failed for five days.
    Disable,
}

/// A delivery that was asked to slow down.
#[derive(Debug, Clone, Copy)]
struct Throttled {
    /// How often, where other deliveries arrived in between.
    times: u32,
    /// The deliveries that had arrived by then.
    successes: u64,
}

/// Decides which events of one endpoint are sent, and when.
#[derive(Debug, Clone)]
pub(crate) struct DeliveryScheduler {
    cursor: EndpointCursor,
    policy: DeliveryPolicy,
    rate: Option<Rate>,
    /// The position that the log was read to.
    read: Seq,
    pending: PendingEvents,
    retry_queue: RetryQueue,
    /// Deliveries in flight by their ids, and the keys of their events.
    in_flight: HashMap<Seq, PlannedDelivery>,
    busy: HashSet<OrderKey>,
    circuit_breaker: Option<CircuitBreaker>,
    consecutive_failures: u32,
    /// Events whose first attempt failed after the endpoint's last success. Used to tell a failing endpoint from a
    /// failing event.
    first_failures: HashSet<Seq>,
    /// Deliveries whose last outcome was a request to slow down, by their ids.
    throttled: HashMap<Seq, Throttled>,
    /// Deliveries that arrived.
    successes: u64,
    superseded: Vec<Seq>,
    saved: EndpointCursor,
}

impl DeliveryScheduler {
    /// A scheduler that goes on from a cursor and the retry entries that were saved with it.
    #[must_use]
    pub(crate) fn new(cursor: EndpointCursor, retries: Vec<RetryEntry>, policy: DeliveryPolicy) -> Self {
        Self {
            policy,
            rate: policy.rate.map(Rate::new),
            read: cursor.seq,
            pending: PendingEvents::default(),
            retry_queue: RetryQueue::resume(retries, policy),
            in_flight: HashMap::new(),
            busy: HashSet::new(),
            circuit_breaker: CircuitBreaker::resume(&cursor),
            consecutive_failures: 0,
            first_failures: HashSet::new(),
            throttled: HashMap::new(),
            successes: 0,
            superseded: Vec::new(),
            saved: cursor.clone(),
            cursor,
        }
    }

    /// The position that the log was read to.
    #[must_use]
    pub(crate) fn read(&self) -> Seq {
        self.read
    }

    /// True where an event that is not read yet may supersede one that is.
    #[must_use]
    pub(crate) fn coalesces(&self) -> bool {
        self.policy.is_latest()
    }

    /// The time at which the circuit breaker opened; `None` while it is closed.
    #[must_use]
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        self.circuit_breaker.as_ref().map(|breaker| breaker.since)
    }

    /// True while further events are to be read.
    #[must_use]
    pub(crate) fn wants_more(&self) -> bool {
        self.room() > 0
    }

    /// Events that are still to be read; 0 while enough are pending. A page of the log may hold more than that.
    pub(super) fn room(&self) -> usize {
        let left = MAX_HELD.saturating_sub(self.retry_queue.len() + self.pending.len());
        if self.policy.is_latest() {
            // Only events that were read are superseded by later ones.
            return left;
        }
        if self.next_unprobed().is_some() {
            return 0;
        }
        // For a failing endpoint reading goes on until there is an event to probe it with.
        let pending = if self.circuit_breaker.is_some() { 0 } else { self.pending.len() };
        self.policy.read_ahead().saturating_sub(pending).min(left)
    }

    /// Skips the events between the position that was read to and this one.
    pub(crate) fn skip_to(&mut self, to: Seq) {
        self.read = self.read.max(to);
        self.advance();
    }

    /// Adds the next events of the log, in order.
    pub(crate) fn add_events(&mut self, events: impl IntoIterator<Item = EventMeta>, now: Timestamp) {
        for event in events {
            self.read = event.seq;
            // After a restart the log is read again from the cursor, and the retry queue has some of the events above it.
            if event.selected && !self.retry_queue.covers(event.seq, event.uid) {
                self.add_event(event, now);
            }
        }
        self.retry_queue.forget_delivered(self.read);
        self.advance();
    }

    /// Returns the next delivery to send now, which is then in flight.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<Delivery> {
        if let Some(rate) = &mut self.rate {
            rate.hold_to(now);
        }
        if self.in_flight.len() >= self.window(now) || self.rate.as_ref().is_some_and(|rate| rate.next_at() > now) {
            return None;
        }
        let planned = match self.circuit_breaker {
            Some(_) => self.next_probe(now),
            None => self.next_retry(now).or_else(|| self.next_pending(now)),
        }?;
        if let Some(rate) = &mut self.rate {
            rate.take(now);
        }
        self.busy.extend(&planned.keys);
        planned.pending.iter().for_each(|span_start| self.pending.mark_in_flight(*span_start));
        let delivery = planned.delivery.clone();
        self.in_flight.insert(delivery.id(), planned);
        Some(delivery)
    }

    /// The time at which [`Self::next`] may return a delivery that it does not return now; `None` where only an outcome or
    /// more events can change that.
    #[must_use]
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        let paid = self.rate.as_ref().map_or(Timestamp::UNIX_EPOCH, Rate::next_at);
        if let Some(breaker) = &self.circuit_breaker {
            let any = !self.pending.is_empty() || !self.retry_queue.is_idle();
            return (any && self.in_flight.is_empty()).then_some(breaker.next_at.max(paid));
        }
        if self.in_flight.len() >= self.policy.window() {
            return None;
        }
        let retry = self.free_retries().next().map(|entry| entry.next_at);
        let pending = self.free_pending().next().map(|(_, event)| event.due);
        // A batch that could still grow is sent when no delivery is in flight.
        let pending = pending.filter(|due| self.next_pending(*due).is_some());
        retry.into_iter().chain(pending).min().map(|at| at.max(paid))
    }

    /// Applies the outcome of a delivery's attempt. `jitter` is in 0..1 and spreads retries.
    pub(crate) fn ended(&mut self, id: Seq, outcome: AttemptOutcome, now: Timestamp, jitter: f64) -> EndpointAction {
        let Some(planned) = self.in_flight.remove(&id) else { return EndpointAction::GoOn };
        planned.keys.iter().for_each(|key| {
            self.busy.remove(key);
        });
        let is_refused_alone = self.is_refused_alone(id, outcome);
        match outcome {
            AttemptOutcome::Delivered => self.settle(&planned, now),
            AttemptOutcome::Gone => self.hold(&planned),
            AttemptOutcome::Throttled { after } => {
                // Without `Retry-After` the requested pause is zero, so that the breaker's own pause applies. It counts as
                // requested in any case: the success of a delivery in flight does not end it.
                self.trip(now, Some(after.unwrap_or_default()));
                if is_refused_alone { self.reschedule(planned, now, jitter) } else { self.hold(&planned) }
            }
            AttemptOutcome::Failed(_) if self.is_last_strict_retry(&planned) => self.reschedule(planned, now, jitter),
            AttemptOutcome::Failed(_) => {
                self.consecutive_failures += 1;
                let too_many = self.consecutive_failures >= MAX_CONSECUTIVE_FAILURES;
                if self.circuit_breaker.is_some() || too_many || outcome.is_unreachable() || self.policy.is_strict() {
                    self.trip(now, None);
                }
                // The failure of a probe is the endpoint's and not its event's.
                if self.circuit_breaker.is_some() {
                    self.hold(&planned);
                } else {
                    self.reschedule(planned, now, jitter);
                }
            }
        }
        self.advance();
        let failing_too_long = self.circuit_breaker.as_ref().is_some_and(|breaker| breaker.is_failing_too_long(now));
        if failing_too_long || outcome == AttemptOutcome::Gone { EndpointAction::Disable } else { EndpointAction::GoOn }
    }

    /// True when nothing will be sent, now or later, unless the log grows.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty() && self.in_flight.is_empty() && self.retry_queue.is_idle()
    }

    /// Returns the cursor and the changed retry entries; `None` where nothing changed since the last call.
    pub(crate) fn take_save(&mut self) -> Option<EndpointSave> {
        let breaker = self.circuit_breaker.as_ref();
        self.cursor.failing_since = breaker.map(|breaker| breaker.since);
        self.cursor.failures = breaker.map_or(0, |breaker| breaker.failures);
        self.cursor.next_at = breaker.map(|breaker| breaker.next_at);
        let changes = self.retry_queue.take_changes();
        if self.cursor == self.saved && changes.is_none() {
            return None;
        }
        self.saved = self.cursor.clone();
        // Where only the cursor changed, both lists are empty.
        let (retries, settled) = changes.unwrap_or_default();
        Some(EndpointSave { cursor: self.cursor.clone(), retries, settled })
    }

    /// Notes that the end of the log is reached. A failing endpoint for which no event is left to probe it with is no longer
    /// known to fail.
    pub(crate) fn reached_end(&mut self) {
        if self.is_idle() {
            self.circuit_breaker = None;
            self.consecutive_failures = 0;
        }
    }

    /// The first retries that are due now and wait for no other delivery, at most `limit`.
    pub(crate) fn due_retries(&self, now: Timestamp, limit: usize) -> Vec<Seq> {
        let due = self.free_retries().take_while(|entry| entry.next_at <= now);
        due.take(limit).map(|entry| entry.seq).collect()
    }

    /// True for an event that was rescheduled: it has a retry entry.
    #[must_use]
    pub(crate) fn is_rescheduled(&self, seq: Seq) -> bool {
        self.retry_queue.contains(seq)
    }

    /// Returns the events that were superseded since the last call: newer ones of their records stand for them.
    pub(crate) fn take_superseded(&mut self) -> Vec<Seq> {
        for seq in &self.superseded {
            self.throttled.remove(seq);
        }
        std::mem::take(&mut self.superseded)
    }

    fn window(&self, now: Timestamp) -> usize {
        match &self.circuit_breaker {
            Some(breaker) if breaker.next_at > now => 0,
            Some(_) => 1,
            None => self.policy.window(),
        }
    }

    /// Adds an event that the endpoint's filters select.
    fn add_event(&mut self, event: EventMeta, now: Timestamp) {
        let EventMeta { seq, uid, bytes, .. } = event;
        let key = self.policy.key(uid, seq);
        // In strict order one pending event waits for another, without retry entries.
        let blocked = if self.policy.is_strict() { None } else { self.retry_queue.blocked_until(key) };
        match (blocked, self.policy.mode) {
            (Some(next_at), Mode::Latest { .. }) => self.coalesce_retry(event, key, next_at),
            (Some(next_at), Mode::Single | Mode::Batch { .. }) => {
                self.retry_queue.put(RetryEntry { next_at, ..RetryEntry::unsent(seq, uid) }, Some(bytes));
            }
            (None, Mode::Latest { debounce }) => {
                let due = event.at.min(now) + debounce;
                self.superseded.extend(self.pending.add_newest(event, key, due));
            }
            (None, Mode::Single | Mode::Batch { .. }) => self.pending.add(event, key, Timestamp::UNIX_EPOCH),
        }
    }

    /// Adds an event of a record that has retry entries: the last entry stands for this event too, or this event for it.
    fn coalesce_retry(&mut self, event: EventMeta, key: OrderKey, next_at: Timestamp) {
        let EventMeta { seq, uid, .. } = event;
        let queue = self.retry_queue.queue(key);
        let last = queue.last().and_then(|last| self.retry_queue.get(*last)).cloned();
        let in_flight = queue.len() == 1 && self.busy.contains(&key);
        match last.filter(|_| !in_flight) {
            Some(last) => {
                self.retry_queue.settle(last.seq);
                self.superseded.push(last.seq.min(seq));
                let (first, newest) = (last.first.min(seq), last.seq.max(seq));
                self.retry_queue.put(RetryEntry { seq: newest, first, next_at, ..last }, None);
            }
            None => self.retry_queue.put(RetryEntry { next_at, ..RetryEntry::unsent(seq, uid) }, None),
        }
    }

    fn builder(&self) -> DeliveryBuilder<'_> {
        DeliveryBuilder {
            policy: self.policy,
            pending: &self.pending,
            retry_queue: &self.retry_queue,
            busy: &self.busy,
        }
    }

    /// Returns the delivery of a retry that is due.
    fn next_retry(&self, now: Timestamp) -> Option<PlannedDelivery> {
        let mut due = self.free_retries().take_while(|entry| entry.next_at <= now);
        due.find_map(|entry| self.builder().plan_retry(entry.seq, now))
    }

    /// The first entry of each retry queue, where neither it nor the rest of its batch waits for another delivery.
    fn free_retries(&self) -> impl Iterator<Item = &RetryEntry> {
        self.retry_queue.heads().filter(|head| match self.retry_queue.batch_of(head) {
            None => !self.busy.contains(&self.retry_queue.key(head)),
            Some(batch) => batch.iter().filter_map(|seq| self.retry_queue.get(*seq)).all(|entry| {
                let key = self.retry_queue.key(entry);
                let mut before = self.retry_queue.queue(key).iter().take_while(|seq| **seq < entry.seq);
                !self.busy.contains(&key) && before.all(|seq| batch.contains(seq))
            }),
        })
    }

    fn free_pending(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        // In strict order the retry entries that another order left are sent first.
        let blocked = self.policy.is_strict() && !self.retry_queue.is_idle();
        self.pending.iter().filter(move |(_, event)| !blocked && !self.busy.contains(&event.key))
    }

    /// Returns the delivery of the first pending event that is due.
    fn next_pending(&self, now: Timestamp) -> Option<PlannedDelivery> {
        let (span_start, _) = self.free_pending().next().filter(|(_, event)| event.due <= now)?;
        let planned = self.builder().plan_pending(span_start)?;
        (planned.ready || self.in_flight.is_empty()).then_some(planned)
    }

    /// Returns the delivery that a failing endpoint is probed with.
    ///
    /// The endpoint may work and be unable to accept the very event of the last probe. So a probe takes an event that no
    /// probe had yet, or where there is none each event in turn.
    fn next_probe(&mut self, now: Timestamp) -> Option<PlannedDelivery> {
        if !self.policy.is_strict()
            && let Some(unprobed) = self.next_unprobed()
        {
            let planned = self.builder().plan_pending(unprobed)?;
            let position = self.probe_position(&planned);
            self.circuit_breaker.as_mut()?.probed_to = position;
            return Some(planned);
        }
        let planned = self.repeated_probe(now)?;
        let position = self.probe_position(&planned);
        self.circuit_breaker.as_mut()?.last_repeated = position;
        Some(planned)
    }

    /// Returns a delivery of the next event in turn after the last one that was probed again; in strict order, of the first
    /// event.
    fn repeated_probe(&self, now: Timestamp) -> Option<PlannedDelivery> {
        let last_repeated = self.circuit_breaker.as_ref()?.last_repeated;
        let retries = self.free_retries().map(|entry| (entry.seq, true));
        let mut heads = retries.chain(self.pending.heads().map(|(span_start, _)| (span_start, false)));
        let head = if self.policy.is_strict() {
            heads.next()
        } else {
            heads.min_by_key(|(seq, _)| (*seq <= last_repeated, *seq))
        };
        let (seq, is_retry) = head?;
        if is_retry { self.builder().plan_retry(seq, now) } else { self.builder().plan_pending(seq) }
    }

    /// The position up to which events were part of a probe.
    fn probe_position(&self, planned: &PlannedDelivery) -> Seq {
        if self.policy.batch().is_some() { planned.delivery.last() } else { planned.anchor }
    }

    /// The first pending event that no probe of the failing endpoint has had; in strict order, the first pending event.
    fn next_unprobed(&self) -> Option<Seq> {
        let breaker = self.circuit_breaker.as_ref()?;
        let mut heads = self.pending.heads().map(|(span_start, _)| span_start);
        if self.policy.is_strict() { heads.next() } else { heads.find(|span_start| *span_start > breaker.probed_to) }
    }

    /// Notes whether a delivery was asked to slow down. Returns true where that failure is its own and not the endpoint's:
    /// it happened [`MAX_THROTTLED`] times, and each time other deliveries arrived in between.
    fn is_refused_alone(&mut self, id: Seq, outcome: AttemptOutcome) -> bool {
        let AttemptOutcome::Throttled { .. } = outcome else {
            self.throttled.remove(&id);
            return false;
        };
        let successes = self.successes;
        let throttled = self.throttled.entry(id).or_insert(Throttled { times: 0, successes });
        if throttled.times > 0 && throttled.successes == successes {
            return false;
        }
        throttled.successes = successes;
        throttled.times = throttled.times.saturating_add(1);
        throttled.times > MAX_THROTTLED
    }

    /// Settles a delivery that arrived.
    fn settle(&mut self, planned: &PlannedDelivery, now: Timestamp) {
        for span_start in &planned.pending {
            self.pending.take(*span_start);
        }
        for seq in &planned.delivery.events {
            self.retry_queue.delivered(*seq, self.read);
        }
        self.successes += 1;
        self.reset_failures(now);
    }

    /// Ends the endpoint's failure after a success. The events are due now that failed only while nothing arrived, because
    /// the endpoint may have been unreachable, and with them those that were never sent. An event that failed while others
    /// arrived keeps its schedule. If the endpoint was not known to be failing, a first retry is due soon anyway.
    fn reset_failures(&mut self, now: Timestamp) {
        self.consecutive_failures = 0;
        let first_failures = std::mem::take(&mut self.first_failures);
        // The success of a delivery that was in flight when the endpoint asked for a pause does not end the pause.
        if self.circuit_breaker.take_if(|breaker| !breaker.is_pause_requested(now)).is_some() {
            self.retry_queue.pull_forward(now, |entry| entry.attempts == 0 || first_failures.contains(&entry.seq));
        } else if self.circuit_breaker.is_none() && !first_failures.is_empty() {
            self.retry_queue.pull_forward(now, |entry| entry.attempts > 1 && first_failures.contains(&entry.seq));
        }
    }

    /// True in strict order for a retry entry without a further attempt on its schedule: a parked event that its owner sends
    /// once more, or an entry that another order left. Its failure parks it, and blocks no other event.
    fn is_last_strict_retry(&self, planned: &PlannedDelivery) -> bool {
        self.policy.is_strict()
            && planned.pending.is_empty()
            && retry_delays::delay(planned.delivery.attempts + 1, 0.0).is_none()
    }

    fn trip(&mut self, now: Timestamp, requested_pause: Option<Duration>) {
        self.circuit_breaker = Some(CircuitBreaker::trip(self.circuit_breaker.take(), now, requested_pause));
    }

    /// Holds the events of a delivery whose failure is the endpoint's: they stay pending or in the retry queue without a
    /// further attempt counted, and are sent again unchanged or superseded by newer ones.
    fn hold(&mut self, planned: &PlannedDelivery) {
        if self.policy.is_latest() {
            self.superseded.extend(planned.pending.iter().filter_map(|span_start| self.pending.coalesce(*span_start)));
            self.superseded.extend(planned.keys.iter().flat_map(|key| self.retry_queue.coalesce(*key)));
        } else if self.policy.batch().is_some() {
            let batch = planned.delivery.id();
            planned.pending.iter().for_each(|span_start| self.pending.set_batch(*span_start, batch));
            for seq in &planned.delivery.events {
                // Retry entries of the batch stay in it, too.
                let entry = self.retry_queue.get(*seq).filter(|entry| entry.batch.is_none()).cloned();
                if let Some(entry) = entry {
                    self.retry_queue.put(RetryEntry { batch: Some(batch), ..entry }, None);
                }
            }
        }
    }

    /// Reschedules the events of a delivery whose failure is its own, and moves later pending events of their records to
    /// the retry queue with them.
    fn reschedule(&mut self, planned: PlannedDelivery, now: Timestamp, jitter: f64) {
        let Delivery { events, attempts, .. } = planned.delivery;
        let attempts = attempts + 1;
        let delay = retry_delays::delay(attempts, jitter);
        // After the last attempt the entries are parked, with the time of parking.
        let next_at = delay.map_or(now, |delay| now + delay);
        let batch = self.policy.batch().and_then(|_| events.first().copied());
        for (span_start, PendingEvent { uid, seq, bytes, .. }) in
            planned.keys.iter().flat_map(|key| self.pending.take_key(*key))
        {
            self.retry_queue
                .put(RetryEntry { next_at, first: span_start, ..RetryEntry::unsent(seq, uid) }, Some(bytes));
        }
        for seq in events {
            let Some(entry) = self.retry_queue.get(seq).cloned() else { continue };
            let entry = RetryEntry { attempts, next_at, batch, parked: delay.is_none(), ..entry };
            if attempts == 1 {
                self.first_failures.insert(seq);
            }
            if entry.parked { self.retry_queue.park(entry) } else { self.retry_queue.put(entry, None) }
        }
        if self.policy.is_latest() && delay.is_some() {
            self.superseded.extend(planned.keys.iter().flat_map(|key| self.retry_queue.coalesce(*key)));
        }
    }

    fn advance(&mut self) {
        self.cursor.seq = match self.pending.lowest() {
            Some(lowest) => Seq(lowest.0 - 1),
            None => self.read,
        };
    }
}
