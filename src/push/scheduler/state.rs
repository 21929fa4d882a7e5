//! The state machine.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::circuit_breaker::CircuitBreaker;
use super::delivery::{Delivery, DeliveryBuilder, PlannedDelivery, Seed};
use super::pending::{PendingEvent, PendingEvents};
use super::policy::DeliveryPolicy;
use super::rate::Rate;
use super::retry_queue::RetryQueue;
use crate::domain::endpoint::Mode;
use crate::domain::endpoint::{EndpointCursor, EndpointSave, RetryEntry};
use crate::domain::{Seq, Timestamp, Uid};
use crate::push::outcome::AttemptOutcome;
use crate::push::schedule;

/// Attempts in a row that fail before the endpoint itself is held to be failing.
const FAILURES_IN_A_ROW: u32 = 5;

/// With so many events in hand nothing new is read: the cursor stands still instead.
const MAX_HELD: usize = 10_000;

/// An event of the log, as far as a lane must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EventMeta {
    pub seq: Seq,
    pub uid: Uid,
    pub at: Timestamp,
    /// The size of its body.
    pub bytes: usize,
    /// Whether the endpoint asked for it.
    pub wanted: bool,
}

/// What follows from an outcome beyond the lane itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointAction {
    /// Go on.
    GoOn,
    /// The endpoint is gone, or failed for days: it shall be disabled.
    Disable,
}

/// One endpoint's deliveries.
#[derive(Debug, Clone)]
pub struct DeliveryScheduler {
    cursor: EndpointCursor,
    policy: DeliveryPolicy,
    rate: Option<Rate>,
    /// The last event that was offered.
    read: Seq,
    open: PendingEvents,
    retry_queue: RetryQueue,
    /// Parcels in flight by their names, and the keys of their events.
    in_flight: HashMap<Seq, PlannedDelivery>,
    busy: HashSet<Uid>,
    failing: Option<CircuitBreaker>,
    failures_in_a_row: u32,
    /// What failed for the first time since anything was taken.
    unclear: HashSet<Seq>,
    superseded: Vec<Seq>,
    saved: EndpointCursor,
}

impl DeliveryScheduler {
    /// A lane that goes on from where the endpoint stands.
    #[must_use]
    pub fn new(cursor: EndpointCursor, waiting: Vec<RetryEntry>, policy: DeliveryPolicy) -> Self {
        Self {
            policy,
            rate: policy.rate.map(Rate::new),
            read: cursor.seq,
            open: PendingEvents::default(),
            retry_queue: RetryQueue::resume(waiting, policy),
            in_flight: HashMap::new(),
            busy: HashSet::new(),
            failing: CircuitBreaker::resume(&cursor),
            failures_in_a_row: 0,
            unclear: HashSet::new(),
            superseded: Vec::new(),
            saved: cursor.clone(),
            cursor,
        }
    }

    /// The position up to which events were offered.
    #[must_use]
    pub fn read(&self) -> Seq {
        self.read
    }

    /// Whether an event that is not read yet may go in the place of one that is.
    #[must_use]
    pub fn sends_the_newest(&self) -> bool {
        self.policy.is_latest()
    }

    /// Since when the endpoint takes nothing.
    #[must_use]
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing.as_ref().map(|failing| failing.since)
    }

    /// How many more events it can use now.
    #[must_use]
    pub fn room(&self) -> usize {
        let left = MAX_HELD.saturating_sub(self.retry_queue.len() + self.open.len());
        if self.policy.is_latest() {
            // What is not read is not replaced by what follows it.
            return left;
        }
        if self.untried().is_some() {
            return 0;
        }
        // A failing endpoint is read on for until there is something to try it with.
        let open = if self.failing.is_some() { 0 } else { self.open.len() };
        self.policy.read_ahead().saturating_sub(open).min(left)
    }

    /// What lies between what was offered last and here is not for it.
    pub fn pass(&mut self, to: Seq) {
        self.read = self.read.max(to);
        self.advance();
    }

    /// Takes the next events of the log, in order.
    pub fn add_events(&mut self, events: impl IntoIterator<Item = EventMeta>, now: Timestamp) {
        for event in events {
            self.read = event.seq;
            // After a restart the log is read again from the cursor, and what waits above it is known already.
            if event.wanted && !self.retry_queue.knows(event.seq, event.uid) {
                self.take_in(event, now);
            }
        }
        self.retry_queue.were_read(self.read);
        self.advance();
    }

    /// The next parcel to be sent now, which is then in flight.
    pub fn next(&mut self, now: Timestamp) -> Option<Delivery> {
        if let Some(rate) = &mut self.rate {
            rate.hold_to(now);
        }
        if self.in_flight.len() >= self.window(now) || self.rate.as_ref().is_some_and(|rate| rate.next_at() > now) {
            return None;
        }
        let planned = match self.failing {
            Some(_) => self.probe(now),
            None => self.due(now).or_else(|| self.first_open(now)),
        }?;
        if let Some(rate) = &mut self.rate {
            rate.take(now);
        }
        self.busy.extend(&planned.keys);
        planned.items.iter().for_each(|first| self.open.send(*first));
        let delivery = planned.delivery.clone();
        self.in_flight.insert(delivery.name(), planned);
        Some(delivery)
    }

    /// When [`Self::next`] may have something that it has not now; `None` where only an outcome or an offer can tell.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let paid = self.rate.as_ref().map_or(Timestamp::UNIX_EPOCH, Rate::next_at);
        if let Some(failing) = &self.failing {
            let any = !self.open.is_empty() || !self.retry_queue.are_at_rest();
            return (any && self.in_flight.is_empty()).then_some(failing.next_at.max(paid));
        }
        if self.in_flight.len() >= self.policy.window() {
            return None;
        }
        let waiting = self.waiting_fronts().next().map(|front| front.next_at);
        let open = self.free_items().next().map(|(_, item)| item.due);
        // A batch that is not full goes when one of those in flight has ended.
        let open = open.filter(|due| self.first_open(*due).is_some());
        waiting.into_iter().chain(open).min().map(|at| at.max(paid))
    }

    /// Takes in how the attempt of a parcel ended. `chance` is in 0..1 and spreads retries.
    pub fn ended(&mut self, name: Seq, outcome: AttemptOutcome, now: Timestamp, chance: f64) -> EndpointAction {
        let Some(planned) = self.in_flight.remove(&name) else { return EndpointAction::GoOn };
        planned.keys.iter().for_each(|key| {
            self.busy.remove(key);
        });
        match outcome {
            AttemptOutcome::Delivered => {
                planned.items.iter().for_each(|first| {
                    self.open.take(*first);
                });
                planned.delivery.events.iter().for_each(|seq| self.retry_queue.delivered(*seq, self.read));
                self.processed(now);
            }
            AttemptOutcome::Gone => self.stay(&planned),
            AttemptOutcome::Throttled { after } => {
                self.fail(now, Some(after.unwrap_or_default()));
                self.stay(&planned);
            }
            AttemptOutcome::Failed(_) if self.has_had_its_schedule(&planned) => self.retry_later(planned, now, chance),
            AttemptOutcome::Failed(_) => {
                self.failures_in_a_row += 1;
                let in_a_row = self.failures_in_a_row >= FAILURES_IN_A_ROW;
                if self.failing.is_some() || in_a_row || outcome.is_away() || self.policy.is_strict() {
                    self.fail(now, None);
                }
                // A probe that fails says nothing of its event.
                if self.failing.is_some() {
                    self.stay(&planned);
                } else {
                    self.retry_later(planned, now, chance);
                }
            }
        }
        self.advance();
        let failing_too_long = self.failing.as_ref().is_some_and(|failing| failing.is_failing_too_long(now));
        if failing_too_long || outcome == AttemptOutcome::Gone { EndpointAction::Disable } else { EndpointAction::GoOn }
    }

    /// Whether nothing is to be sent, now or later, unless the log grows.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.in_flight.is_empty() && self.retry_queue.are_at_rest()
    }

    /// Where the endpoint stands now, if that is not what was saved.
    pub fn take_save(&mut self) -> Option<EndpointSave> {
        self.cursor.failing_since = self.failing.as_ref().map(|failing| failing.since);
        self.cursor.failures = self.failing.as_ref().map_or(0, |failing| failing.failures);
        self.cursor.next_at = self.failing.as_ref().map(|failing| failing.next_at);
        let changes = self.retry_queue.take_changes();
        if self.cursor == self.saved && changes.is_none() {
            return None;
        }
        self.saved = self.cursor.clone();
        let (retries, settled) = changes.unwrap_or_default();
        Some(EndpointSave { cursor: self.cursor.clone(), retries, settled })
    }

    /// There is no more to read. Where nothing is left that the endpoint could be tried with either, nobody knows any
    /// longer whether it takes anything.
    pub fn rest(&mut self) {
        if self.is_idle() {
            self.failing = None;
            self.failures_in_a_row = 0;
        }
    }

    /// Whether an event has left the way, and goes again by a schedule of its own.
    #[must_use]
    pub fn is_put_off(&self, seq: Seq) -> bool {
        self.retry_queue.holds(seq)
    }

    /// Events that are sent no more since this was last asked: newer ones of their records stand for them.
    pub fn take_superseded(&mut self) -> Vec<Seq> {
        std::mem::take(&mut self.superseded)
    }

    fn window(&self, now: Timestamp) -> usize {
        match &self.failing {
            Some(failing) if failing.next_at > now => 0,
            Some(_) => 1,
            None => self.policy.window(),
        }
    }

    /// An event that the endpoint shall get.
    fn take_in(&mut self, event: EventMeta, now: Timestamp) {
        let EventMeta { seq, uid, bytes, .. } = event;
        let key = self.policy.key(uid, seq);
        // Where every event waits for the one before it, they are in order without being written down.
        let held = if self.policy.is_strict() { None } else { self.retry_queue.holds_back(key) };
        match (held, self.policy.mode) {
            (Some(next_at), Mode::Latest { .. }) => self.wait_together(event, key, next_at),
            (Some(next_at), Mode::Single | Mode::Batch { .. }) => {
                self.retry_queue.put(RetryEntry { next_at, ..RetryEntry::unsent(seq, uid) }, Some(bytes));
            }
            (None, Mode::Latest { debounce }) => {
                let due = event.at.min(now) + debounce;
                self.superseded.extend(self.open.replace(event, key, due));
            }
            (None, Mode::Single | Mode::Batch { .. }) => self.open.add(event, key, Timestamp::UNIX_EPOCH),
        }
    }

    /// A record that waits already: its last event stands for this one too, or this one for it.
    fn wait_together(&mut self, event: EventMeta, key: Uid, next_at: Timestamp) {
        let EventMeta { seq, uid, .. } = event;
        let row = self.retry_queue.row(key);
        let last = row.last().and_then(|last| self.retry_queue.get(*last)).cloned();
        let in_flight = row.len() == 1 && self.busy.contains(&key);
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
        DeliveryBuilder { policy: self.policy, open: &self.open, retry_queue: &self.retry_queue, busy: &self.busy }
    }

    /// A waiting event whose time has come, and those that go with it.
    fn due(&self, now: Timestamp) -> Option<PlannedDelivery> {
        let mut due = self.waiting_fronts().take_while(|front| front.next_at <= now);
        due.find_map(|front| self.builder().pack(Seed::Waiting(front.seq), now))
    }

    /// The front of each row that may go.
    fn waiting_fronts(&self) -> impl Iterator<Item = &RetryEntry> {
        self.retry_queue.heads().filter(|front| match self.retry_queue.batch_of(front) {
            None => !self.busy.contains(&self.retry_queue.key(front)),
            Some(batch) => batch.iter().filter_map(|seq| self.retry_queue.get(*seq)).all(|event| {
                let key = self.retry_queue.key(event);
                let mut before = self.retry_queue.row(key).iter().take_while(|seq| **seq < event.seq);
                !self.busy.contains(&key) && before.all(|seq| batch.contains(seq))
            }),
        })
    }

    fn free_items(&self) -> impl Iterator<Item = (Seq, &PendingEvent)> {
        // Where every event waits for the one before it, what was written down under another order goes first.
        let held = self.policy.is_strict() && !self.retry_queue.are_at_rest();
        self.open.iter().filter(move |(_, item)| !held && !self.busy.contains(&item.key))
    }

    fn first_open(&self, now: Timestamp) -> Option<PlannedDelivery> {
        let (first, _) = self.free_items().next().filter(|(_, item)| item.due <= now)?;
        let planned = self.builder().pack(Seed::Open(first), now)?;
        (planned.full || self.in_flight.is_empty()).then_some(planned)
    }

    /// What a failing endpoint is tried with.
    fn probe(&mut self, now: Timestamp) -> Option<PlannedDelivery> {
        let (seed, fresh) = self.probe_seed()?;
        let planned = self.builder().pack(seed, now)?;
        if let Some(failing) = &mut self.failing {
            let tried = if fresh { &mut failing.tried } else { &mut failing.tried_again };
            *tried = if self.policy.batch().is_some() { planned.delivery.last() } else { seed.seq() };
        }
        Some(planned)
    }

    /// The endpoint may be well and unable to take the very event that it was tried with, so it is tried with one that
    /// it was not tried with yet, where there is any, else with each in turn; and whether it is the former.
    fn probe_seed(&self) -> Option<(Seed, bool)> {
        let failing = self.failing.as_ref()?;
        let waiting = self.waiting_fronts().map(|front| Seed::Waiting(front.seq));
        let mut all = waiting.chain(self.open.heads().map(|(first, _)| Seed::Open(first)));
        if self.policy.is_strict() {
            return all.next().map(|seed| (seed, true));
        }
        if let Some(first) = self.untried() {
            return Some((Seed::Open(first), true));
        }
        all.min_by_key(|seed| (seed.seq() <= failing.tried_again, seed.seq())).map(|seed| (seed, false))
    }

    fn untried(&self) -> Option<Seq> {
        let failing = self.failing.as_ref()?;
        let mut heads = self.open.heads().map(|(first, _)| first);
        if self.policy.is_strict() { heads.next() } else { heads.find(|first| *first > failing.tried) }
    }

    /// The endpoint took something: it is not failing, and what waits need wait no longer if it was. Nor need what failed
    /// again and again while nothing else was sent, so that nobody knows whether the endpoint was away; a first retry
    /// comes soon enough by itself.
    fn processed(&mut self, now: Timestamp) {
        self.failures_in_a_row = 0;
        let unclear = std::mem::take(&mut self.unclear);
        // What was on its way when the endpoint asked for a pause does not end the pause.
        if self.failing.take_if(|failing| !failing.asked_for(now)).is_some() {
            self.retry_queue.pull_forward(now, |_| true);
        } else if self.failing.is_none() && !unclear.is_empty() {
            self.retry_queue.pull_forward(now, |event| event.attempts > 1 && unclear.contains(&event.seq));
        }
    }

    /// Whether a parked event was sent once more, on its owner's wish, and is not to hold up the others.
    fn has_had_its_schedule(&self, planned: &PlannedDelivery) -> bool {
        self.policy.is_strict()
            && planned.items.is_empty()
            && schedule::delay(planned.delivery.attempts + 1, 0.0).is_none()
    }

    fn fail(&mut self, now: Timestamp, after: Option<Duration>) {
        self.failing = Some(CircuitBreaker::again(self.failing.take(), now, after));
    }

    /// A parcel that says nothing of its events stays where it is, and goes again as it was, or as what is newer.
    fn stay(&mut self, planned: &PlannedDelivery) {
        if self.policy.is_latest() {
            self.superseded.extend(planned.items.iter().filter_map(|first| self.open.fold(*first)));
            self.superseded.extend(planned.keys.iter().flat_map(|key| self.retry_queue.fold(*key)));
        } else if self.policy.batch().is_some() {
            planned.items.iter().for_each(|first| self.open.keep(*first, planned.delivery.name()));
            for seq in &planned.delivery.events {
                // So do those that stood behind others of their records.
                let event = self.retry_queue.get(*seq).filter(|event| event.batch.is_none()).cloned();
                if let Some(event) = event {
                    self.retry_queue.put(RetryEntry { batch: Some(planned.delivery.name()), ..event }, None);
                }
            }
        }
    }

    /// A parcel that failed while others pass: its events leave the way, and the open ones of their records with them.
    fn retry_later(&mut self, planned: PlannedDelivery, now: Timestamp, chance: f64) {
        let Delivery { events, attempts, .. } = planned.delivery;
        let attempts = attempts + 1;
        let delay = schedule::delay(attempts, chance);
        let next_at = now + delay.unwrap_or_default();
        let batch = self.policy.batch().and_then(|_| events.first().copied());
        for (first, PendingEvent { uid, seq, bytes, .. }) in
            planned.keys.iter().flat_map(|key| self.open.take_key(*key))
        {
            self.retry_queue.put(RetryEntry { next_at, first, ..RetryEntry::unsent(seq, uid) }, Some(bytes));
        }
        for event in events {
            let Some(event) = self.retry_queue.get(event).cloned() else { continue };
            let event = RetryEntry { attempts, next_at, batch, parked: delay.is_none(), ..event };
            if attempts == 1 {
                self.unclear.insert(event.seq);
            }
            if event.parked { self.retry_queue.park(event) } else { self.retry_queue.put(event, None) }
        }
        if self.policy.is_latest() && delay.is_some() {
            self.superseded.extend(planned.keys.iter().flat_map(|key| self.retry_queue.fold(*key)));
        }
    }

    fn advance(&mut self) {
        self.cursor.seq = match self.open.first() {
            Some(first) => Seq(first.0 - 1),
            None => self.read,
        };
    }
}
