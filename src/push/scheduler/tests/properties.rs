//! Whatever a receiver does and whenever a process dies: nothing is lost, and a record's events keep their order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Events that are read at once: fewer than the log has, so that a scheduler is filled in pieces.
const READ: usize = 5;

/// No log of these tests takes so many attempts to be delivered.
const ENDLESS: usize = 10_000;

/// One step of a random run.
#[derive(Debug, Clone)]
enum Step {
    /// The log grows.
    Log(String),
    /// Time passes.
    Wait(Duration),
    /// Time passes until the scheduler has something to do.
    WaitForIt,
    /// Everything goes out that may.
    Send,
    /// One of the attempts in flight ends.
    End(Index, AttemptOutcome),
    /// The scheduler's save is written.
    Save,
    /// The process dies; what was in flight arrived, or did not.
    Crash(Fate),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrived,
    Lost,
}

/// An endpoint's scheduler between a log that is never lost and a receiver that remembers.
#[derive(Debug)]
struct World {
    scheduler: DeliveryScheduler,
    policy: DeliveryPolicy,
    log: Vec<EventMeta>,
    now: Timestamp,
    table: Table,
    in_flight: Vec<Delivery>,
    /// Events that the receiver has: the event itself, or a newer state that stands for it.
    delivered: BTreeSet<Seq>,
    /// How often.
    times: BTreeMap<Seq, u32>,
    /// Events that were ever parked: from then on they are outside their record's order.
    parked: BTreeSet<Seq>,
    /// The batch that each event was sent in by this process.
    batches: BTreeMap<Seq, Vec<Seq>>,
    /// Whether a process died, or was stopped.
    died: bool,
}

impl World {
    fn new(policy: DeliveryPolicy) -> Self {
        Self::resumed(Table::new(), policy)
    }

    /// Event 1 waits, of a record that the receiver refused so often already.
    fn with_one_waiting(attempts: u32, policy: DeliveryPolicy) -> Self {
        let mut table = Table::new();
        table.cursor.seq = Seq(1);
        let event = RetryEntry { attempts, next_at: BEGIN, ..RetryEntry::unsent(Seq(1), uid('a')) };
        table.waiting.insert(event.seq, event);
        let mut world = Self::resumed(table, policy);
        world.log("a");
        world
    }

    fn resumed(table: Table, policy: DeliveryPolicy) -> Self {
        Self {
            scheduler: table.scheduler(policy),
            policy,
            log: Vec::new(),
            now: BEGIN,
            table,
            in_flight: Vec::new(),
            delivered: BTreeSet::new(),
            times: BTreeMap::new(),
            parked: BTreeSet::new(),
            batches: BTreeMap::new(),
            died: false,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Log(more) => self.log(&more),
            Step::Wait(time) => self.now += time,
            Step::WaitForIt => self.now = self.scheduler.next_at().unwrap_or(self.now).max(self.now),
            Step::Send => self.send(),
            Step::End(index, outcome) => {
                if !self.in_flight.is_empty() {
                    let delivery = index.get(&self.in_flight).clone();
                    self.end(&delivery, outcome);
                }
            }
            Step::Save => self.save(),
            Step::Crash(fate) => self.crash(fate),
        }
        self.fill();
        self.check();
    }

    fn log(&mut self, more: &str) {
        for letter in more.chars() {
            let seq = self.log.last().map_or(Seq::ZERO, |last| last.seq).next();
            self.log.push(event(seq.0, letter, self.now));
        }
    }

    fn fill(&mut self) {
        fill(&mut self.scheduler, &self.log, self.now);
    }

    fn send(&mut self) {
        let failing = self.peek().cursor.failing_since.is_some();
        while let Some(delivery) = self.scheduler.next(self.now) {
            assert!(!failing || self.in_flight.is_empty(), "a failing endpoint gets one probe at a time");
            self.check_delivery(&delivery);
            self.check_order(&delivery);
            self.in_flight.push(delivery);
            let window = if self.policy.order == DeliveryOrder::Strict { 1 } else { self.policy.window };
            assert!(self.in_flight.len() <= window, "more than the window is in flight");
        }
        let next_at = self.scheduler.next_at();
        assert!(next_at.is_none_or(|at| at > self.now), "it names a moment that has come, and has nothing to send");
        let stuck = self.in_flight.is_empty() && !self.scheduler.is_idle() && next_at.is_none();
        assert!(!stuck, "nothing is in flight, something is to be sent, and no moment is named");
    }

    /// The events that a delivery brings, or stands for.
    fn covers(&self, delivery: &Delivery) -> Vec<EventMeta> {
        let events = delivery.events.iter().map(|seq| self.event(*seq));
        let Some(after) = delivery.after else { return events.collect() };
        let newest = self.event(delivery.events[0]);
        let stands_for = |event: &&EventMeta| event.selected && event.uid == newest.uid && event.seq > after;
        self.log.iter().filter(stands_for).filter(|event| event.seq <= newest.seq).copied().collect()
    }

    fn check_delivery(&mut self, delivery: &Delivery) {
        assert!(delivery.events.is_sorted(), "{delivery:?}");
        let covered = self.covers(delivery);
        assert!(covered.iter().all(|event| event.selected), "{delivery:?} has what was not asked for");
        match self.policy.mode {
            Mode::Single => assert_eq!((delivery.events.len(), delivery.after), (1, None)),
            Mode::Batch { max } => {
                assert!(delivery.events.len() <= max, "{delivery:?}");
                for seq in &delivery.events {
                    let before = self.batches.insert(*seq, delivery.events.clone());
                    assert!(before.is_none_or(|before| before == delivery.events), "a batch goes again as it was");
                }
            }
            Mode::Latest { .. } => {
                let (first, through) = (delivery.after.unwrap().next(), delivery.events[0]);
                assert_eq!(covered[0].seq, first, "it stands for nothing before the first that waits");
                let of_it = |event: &&EventMeta| {
                    event.selected && event.uid == covered[0].uid && event.seq <= self.scheduler.read()
                };
                let newest = self.log.iter().rfind(of_it).unwrap().seq;
                let old = self.policy.order != DeliveryOrder::Strict
                    && newest != through
                    && !self.delivered.contains(&newest);
                assert!(!old, "{delivery:?} goes out though {newest} is the newest");
            }
        }
    }

    /// Nothing goes out before what it must wait for, or beside it.
    fn check_order(&self, delivery: &Delivery) {
        let covered = self.covers(delivery);
        let latest = matches!(self.policy.mode, Mode::Latest { .. });
        let waits_for = |event: &EventMeta, other: &EventMeta| match self.policy.order {
            DeliveryOrder::Strict => !latest || other.uid == event.uid,
            DeliveryOrder::None if !latest => false,
            DeliveryOrder::Record | DeliveryOrder::None => other.uid == event.uid,
        };
        for event in &covered {
            let beside = self.in_flight.iter().flat_map(|delivery| self.covers(delivery));
            let beside: Vec<Seq> = beside.filter(|other| waits_for(event, other)).map(|other| other.seq).collect();
            assert!(beside.is_empty(), "{} goes out beside {beside:?}", event.seq);
            let earlier =
                self.log.iter().filter(|other| other.selected && other.seq < event.seq && waits_for(event, other));
            let settled = |seq: &Seq| self.delivered.contains(seq) || self.parked.contains(seq);
            let skipped: Vec<Seq> = earlier
                .filter(|other| !covered.contains(other))
                .map(|other| other.seq)
                .filter(|seq| !settled(seq))
                .collect();
            assert!(skipped.is_empty(), "{} goes out before {skipped:?}", event.seq);
        }
    }

    fn end(&mut self, delivery: &Delivery, outcome: AttemptOutcome) {
        self.in_flight.retain(|other| other != delivery);
        if outcome == AttemptOutcome::Delivered {
            self.arrived(delivery);
        }
        let action = self.scheduler.ended(delivery.id(), outcome, self.now, 0.0);
        let parked: Vec<RetryEntry> = self.peek().waiting.into_values().filter(|event| event.parked).collect();
        let seqs = self.log.iter().map(|event| event.seq);
        let parked: Vec<Seq> = seqs.filter(|seq| self.stands_for(&parked, *seq)).collect();
        self.parked.extend(parked);
        if action == EndpointAction::Disable {
            // It is saved as it stops; somebody enables it later.
            self.save();
            self.crash(Fate::Arrived);
        }
    }

    fn arrived(&mut self, delivery: &Delivery) {
        for event in self.covers(delivery) {
            self.delivered.insert(event.seq);
            *self.times.entry(event.seq).or_default() += 1;
        }
    }

    fn save(&mut self) {
        if let Some(save) = self.scheduler.take_save() {
            self.table.apply(save);
        }
        assert!(self.scheduler.take_save().is_none(), "nothing changed since");
    }

    /// Returns what a save would write, without writing it.
    fn peek(&self) -> Table {
        let mut table = self.table.clone();
        if let Some(save) = self.scheduler.clone().take_save() {
            table.apply(save);
        }
        table
    }

    fn crash(&mut self, fate: Fate) {
        for delivery in std::mem::take(&mut self.in_flight) {
            if fate == Fate::Arrived {
                self.arrived(&delivery);
            }
        }
        self.batches.clear();
        self.died = true;
        self.scheduler = self.table.scheduler(self.policy);
        self.fill();
    }

    /// Every event that was read is settled, has a retry entry, or is above the cursor.
    fn check(&self) {
        for table in [&self.table, &self.peek()] {
            let waiting: Vec<RetryEntry> = table.waiting.values().cloned().collect();
            let below = self.log.iter().filter(|event| event.seq <= table.cursor.seq && event.selected);
            let lost: Vec<Seq> = below
                .map(|event| event.seq)
                .filter(|seq| !self.delivered.contains(seq) && !self.stands_for(&waiting, *seq))
                .collect();
            assert!(lost.is_empty(), "the cursor stands at {} and {lost:?} are not settled", table.cursor.seq);
        }
    }

    /// Whether an event is one of these, or one of them stands for it.
    fn stands_for(&self, waiting: &[RetryEntry], seq: Seq) -> bool {
        let event = self.event(seq);
        waiting.iter().any(|other| other.uid == event.uid && (other.first..=other.seq).contains(&seq))
    }

    /// Goes on until `done`, with a receiver that answers as `receiver` says.
    fn skip_processed(&mut self, receiver: impl Fn(EventMeta) -> AttemptOutcome, done: impl Fn(&Self) -> bool) {
        for _ in 0..ENDLESS {
            self.fill();
            self.send();
            self.check();
            if done(self) {
                return;
            }
            match self.in_flight.first().cloned() {
                Some(delivery) => {
                    let mut outcomes = delivery.events.iter().map(|seq| receiver(self.event(*seq)));
                    let outcome = outcomes.find(|outcome| *outcome != AttemptOutcome::Delivered);
                    self.end(&delivery, outcome.unwrap_or(AttemptOutcome::Delivered));
                }
                None => self.now = self.scheduler.next_at().expect("it is not done").max(self.now),
            }
        }
        panic!("it never ends");
    }

    /// Every event with its attempts, as they go out to a receiver that is well.
    fn sent_when_all_is_well(&self) -> BTreeSet<(Seq, u32)> {
        let (mut scheduler, mut now, mut sent) = (self.scheduler.clone(), self.now, BTreeSet::new());
        while !scheduler.is_idle() {
            while let Some(delivery) = scheduler.next(now) {
                sent.insert((delivery.id(), delivery.attempts));
                scheduler.ended(delivery.id(), AttemptOutcome::Delivered, now, 0.0);
                fill(&mut scheduler, &self.log, now);
            }
            now = scheduler.next_at().map_or(now, |at| at.max(now));
        }
        sent
    }

    fn is_through(&self) -> bool {
        let end = self.log.last().map_or(Seq::ZERO, |last| last.seq);
        self.scheduler.is_idle() && self.scheduler.read() == end
    }

    fn event(&self, seq: Seq) -> EventMeta {
        let at = usize::try_from(seq.0 - 1).unwrap();
        self.log[at]
    }
}

/// Reads as the worker does.
fn fill(scheduler: &mut DeliveryScheduler, log: &[EventMeta], now: Timestamp) {
    while scheduler.room() > 0 {
        let read = scheduler.read();
        let more: Vec<EventMeta> = log.iter().copied().filter(|event| event.seq > read).take(READ).collect();
        if more.is_empty() {
            return;
        }
        scheduler.add_events(more, now);
    }
}

/// Four records and what was not asked for.
fn log() -> impl Strategy<Value = String> {
    "[abcd.]{1,12}"
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    prop_oneof![
        20 => Just(AttemptOutcome::Delivered),
        20 => Just(FAILED),
        4 => Just(THROTTLED),
        2 => (1..100_000_u32).prop_map(|seconds| throttled_for(seconds * SECOND)),
        1 => Just(AttemptOutcome::Gone),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => log().prop_map(Step::Log),
        1 => (0..200_000_u32).prop_map(|seconds| Step::Wait(seconds * SECOND)),
        6 => Just(Step::WaitForIt),
        10 => Just(Step::Send),
        14 => (any::<Index>(), outcome()).prop_map(|(index, outcome)| Step::End(index, outcome)),
        4 => Just(Step::Save),
        1 => Just(Step::Crash(Fate::Arrived)),
        1 => Just(Step::Crash(Fate::Lost)),
    ]
}

/// A world in which these things happened. Of record `a` the receiver takes only what it gets alone.
fn after(mut world: World, steps: Vec<Step>) -> World {
    for step in steps {
        if let Step::End(index, AttemptOutcome::Delivered) = &step
            && world.in_flight.len() > 1
            && index.get(&world.in_flight).events.iter().any(|seq| world.event(*seq).uid == uid('a'))
        {
            world.take(Step::End(*index, FAILED));
        } else {
            world.take(step);
        }
    }
    world
}

/// Every mode in every order, with and without a limit to the rate.
fn policy() -> impl Strategy<Value = DeliveryPolicy> {
    let mode = prop_oneof![
        2 => Just(Mode::Single),
        2 => (1..5_usize).prop_map(|max| Mode::Batch { max }),
        2 => prop::sample::select(vec![0, 60]).prop_map(|seconds| Mode::Latest { debounce: seconds * SECOND }),
    ];
    let order = prop::sample::select(&DeliveryOrder::ALL[..]);
    let rate = prop_oneof![3 => Just(None), 1 => prop::sample::select(vec![1, 50]).prop_map(Some)];
    (mode, order, 1..6_usize, rate).prop_map(|(mode, order, window, rate)| DeliveryPolicy { mode, order, window, rate })
}

proptest! {
    #[test]
    fn every_selected_event_is_delivered_or_parked_in_its_order(
        policy in policy(),
        attempts in 1..10_u32,
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut world = after(World::with_one_waiting(attempts, policy), steps);

        world.skip_processed(|_| AttemptOutcome::Delivered, World::is_through);
        world.save();
        world.check();

        prop_assert_eq!(world.table.cursor.seq, world.scheduler.read(), "the cursor is at the end of the log");
        prop_assert!(world.table.waiting.values().all(|event| event.parked), "something waits yet");
        for event in world.log.iter().filter(|event| event.selected) {
            let delivered = world.delivered.contains(&event.seq);
            prop_assert!(delivered || world.parked.contains(&event.seq), "{} is lost", event.seq);
        }
    }

    #[test]
    fn a_scheduler_that_is_resumed_goes_on_as_the_one_before(
        window in 1..6_usize,
        attempts in 1..10_u32,
        steps in prop::collection::vec(step(), 0..250),
        last in outcome(),
    ) {
        let mut world = after(World::with_one_waiting(attempts, singly(window)), steps);
        while let Some(delivery) = world.in_flight.first().cloned() {
            world.end(&delivery, last);
        }
        world.fill();
        world.save();
        let (next_at, sent) = (world.scheduler.next_at(), world.sent_when_all_is_well());

        world.crash(Fate::Lost);

        prop_assert_eq!(world.scheduler.next_at(), next_at);
        let resumed = world.sent_when_all_is_well();
        prop_assert!(sent.is_subset(&resumed), "{sent:?} would have gone out, {resumed:?} goes out");
        // Events that were delivered above the cursor are delivered again.
        let known = |seq: &Seq| world.delivered.contains(seq) || sent.iter().any(|(other, _)| other == seq);
        let strange: Vec<_> = resumed.iter().filter(|(seq, _)| !known(seq)).collect();
        prop_assert!(strange.is_empty(), "{strange:?} would not have gone out");
    }

    /// Of the records in `refused` the receiver takes nothing, not even when it is well again.
    #[test]
    fn records_that_cannot_be_taken_hold_up_no_other(
        window in 1..6_usize,
        mode in prop::sample::select(vec![Mode::Single, Mode::Latest { debounce: Duration::ZERO }]),
        log in "[abcdefgh]{1,60}",
        refused in prop::collection::btree_set(prop::char::range('a', 'h'), 0..7),
        away_for in 0..40_usize,
    ) {
        let mut world = World::new(DeliveryPolicy { mode, ..singly(window) });
        let refused: Vec<Uid> = refused.into_iter().map(uid).collect();
        let takes = |event: EventMeta| !refused.contains(&event.uid);
        world.log(&log);
        for _ in 0..away_for {
            world.take(Step::WaitForIt);
            world.take(Step::Send);
            if let Some(delivery) = world.in_flight.first().cloned() {
                world.end(&delivery, FAILED);
            }
        }

        let answer = |event: EventMeta| if takes(event) { AttemptOutcome::Delivered } else { FAILED };
        world.skip_processed(answer, |world| {
            world.log.iter().all(|event| !takes(*event) || world.delivered.contains(&event.seq))
        });
    }

    /// While no process dies, the newest states that are delivered stand for each event once: for all, and for none
    /// twice.
    #[test]
    fn what_latest_says_that_it_stands_for_is_each_event_once(
        window in 1..6_usize,
        debounce in prop::sample::select(vec![0, 60]),
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mode = Mode::Latest { debounce: debounce * SECOND };
        let ends = |step: &Step| !matches!(step, Step::Crash(_) | Step::End(_, AttemptOutcome::Gone));
        let world = World::new(DeliveryPolicy { mode, ..singly(window) });
        let mut world = after(world, steps.into_iter().filter(ends).collect());

        world.skip_processed(|_| AttemptOutcome::Delivered, World::is_through);

        // One that failed for five days is stopped as it stands.
        prop_assume!(!world.died);
        for event in world.log.iter().filter(|event| event.selected && !world.parked.contains(&event.seq)) {
            prop_assert_eq!(world.times.get(&event.seq), Some(&1), "{}", event.seq);
        }
    }
}
