//! Whatever a receiver does and whenever a process dies: nothing is lost, and a record's events keep their order.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Events that are read at once: fewer than the log has, so that a lane is filled in pieces.
const READ: usize = 5;

/// No log of these tests takes so many attempts to be delivered.
const ENDLESS: usize = 10_000;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The log grows.
    Log(String),
    /// Time passes.
    Wait(Duration),
    /// Time passes until the lane has something to do.
    WaitForIt,
    /// Everything goes out that may.
    Send,
    /// One of the attempts in flight ends.
    End(Index, Outcome),
    /// The lane's place is written.
    Save,
    /// The process dies; what was in flight arrived, or did not.
    Crash(Fate),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrived,
    Lost,
}

/// An endpoint's lane between a log that is never lost and a receiver that remembers.
#[derive(Debug)]
struct World {
    lane: Lane,
    window: usize,
    log: Vec<Offer>,
    now: Timestamp,
    table: Table,
    in_flight: Vec<Seq>,
    /// What the receiver has.
    delivered: BTreeSet<Seq>,
    /// What was ever parked: from then on it has no place in its record's order.
    parked: BTreeSet<Seq>,
}

impl World {
    fn new(window: usize) -> Self {
        Self::resumed(Table::new(), window)
    }

    /// Event 1 waits, of a record that the receiver refused so often already.
    fn with_one_waiting(attempts: u32, window: usize) -> Self {
        let mut table = Table::new();
        table.cursor.seq = Seq(1);
        let event = Waiting { seq: Seq(1), uid: uid('a'), attempts, next_at: BEGIN, parked: false };
        table.waiting.insert(event.seq, event);
        let mut world = Self::resumed(table, window);
        world.log("a");
        world
    }

    fn resumed(table: Table, window: usize) -> Self {
        let lane = table.lane(window);
        let (log, in_flight) = (Vec::new(), Vec::new());
        Self { lane, window, log, now: BEGIN, table, in_flight, delivered: BTreeSet::new(), parked: BTreeSet::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Log(more) => self.log(&more),
            Step::Wait(time) => self.now += time,
            Step::WaitForIt => self.now = self.lane.next_at().unwrap_or(self.now).max(self.now),
            Step::Send => self.send(),
            Step::End(index, outcome) => {
                if !self.in_flight.is_empty() {
                    let seq = *index.get(&self.in_flight);
                    self.end(seq, outcome);
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
            self.log.push(Offer { seq, uid: uid(letter), wanted: letter != '.' });
        }
    }

    fn fill(&mut self) {
        fill(&mut self.lane, &self.log);
    }

    fn send(&mut self) {
        let failing = self.peek().cursor.failing_since.is_some();
        while let Some((seq, _)) = self.lane.next(self.now) {
            assert!(!failing || self.in_flight.is_empty(), "a failing endpoint gets one probe at a time");
            let event = self.event(seq);
            assert!(event.wanted, "{seq} was not asked for");
            let same = |other: &Seq| self.event(*other).uid == event.uid;
            assert!(!self.in_flight.iter().any(same), "{seq} goes out beside another of its record");
            self.in_flight.push(seq);
            assert!(self.in_flight.len() <= self.window, "more than the window is in flight");
            self.check_order(event);
        }
        let next_at = self.lane.next_at();
        assert!(next_at.is_none_or(|at| at > self.now), "it names a moment that has come, and has nothing to send");
        let stuck = self.in_flight.is_empty() && !self.lane.is_idle() && next_at.is_none();
        assert!(!stuck, "nothing is in flight, something is to be sent, and no moment is named");
    }

    fn check_order(&self, event: Offer) {
        let earlier = self.log.iter().filter(|other| other.uid == event.uid && other.seq < event.seq);
        let skipped: Vec<Seq> = earlier
            .map(|other| other.seq)
            .filter(|seq| !self.delivered.contains(seq) && !self.parked.contains(seq))
            .collect();
        assert!(skipped.is_empty(), "{} goes out before {skipped:?} of the same record", event.seq);
    }

    fn end(&mut self, seq: Seq, outcome: Outcome) {
        self.in_flight.retain(|other| *other != seq);
        if outcome == Outcome::Delivered {
            self.delivered.insert(seq);
        }
        let verdict = self.lane.ended(seq, outcome, self.now, 0.0);
        let parked = self.peek().waiting.into_values().filter(|event| event.parked).map(|event| event.seq);
        self.parked.extend(parked);
        if verdict == Verdict::Disable {
            // It is saved as it stops; somebody enables it later.
            self.save();
            self.crash(Fate::Arrived);
        }
    }

    fn save(&mut self) {
        if let Some(save) = self.lane.take_save() {
            self.table.apply(save);
        }
        assert!(self.lane.take_save().is_none(), "nothing changed since");
    }

    /// What a save would write, without writing it.
    fn peek(&self) -> Table {
        let mut table = self.table.clone();
        if let Some(save) = self.lane.clone().take_save() {
            table.apply(save);
        }
        table
    }

    fn crash(&mut self, fate: Fate) {
        let in_flight = std::mem::take(&mut self.in_flight);
        if fate == Fate::Arrived {
            self.delivered.extend(in_flight);
        }
        self.lane = self.table.lane(self.window);
        self.fill();
    }

    /// What was read is settled, waits, or lies above the cursor.
    fn check(&self) {
        for table in [&self.table, &self.peek()] {
            let below = self.log.iter().filter(|event| event.seq <= table.cursor.seq && event.wanted);
            let lost: Vec<Seq> = below
                .map(|event| event.seq)
                .filter(|seq| !self.delivered.contains(seq) && !table.waiting.contains_key(seq))
                .collect();
            assert!(lost.is_empty(), "the cursor stands at {} and {lost:?} are not settled", table.cursor.seq);
        }
    }

    /// Goes on until `done`, with a receiver that answers as `receiver` says.
    fn go_on(&mut self, receiver: impl Fn(Offer) -> Outcome, done: impl Fn(&Self) -> bool) {
        for _ in 0..ENDLESS {
            self.fill();
            self.send();
            self.check();
            if done(self) {
                return;
            }
            match self.in_flight.first().copied() {
                Some(seq) => self.end(seq, receiver(self.event(seq))),
                None => self.now = self.lane.next_at().expect("it is not done").max(self.now),
            }
        }
        panic!("it never ends");
    }

    /// Every event with its attempts, as they go out to a receiver that is well.
    fn sent_when_all_is_well(&self) -> BTreeSet<(Seq, u32)> {
        let (mut lane, mut now, mut sent) = (self.lane.clone(), self.now, BTreeSet::new());
        while !lane.is_idle() {
            while let Some((seq, attempts)) = lane.next(now) {
                sent.insert((seq, attempts));
                lane.ended(seq, Outcome::Delivered, now, 0.0);
                fill(&mut lane, &self.log);
            }
            now = lane.next_at().map_or(now, |at| at.max(now));
        }
        sent
    }

    fn is_through(&self) -> bool {
        let end = self.log.last().map_or(Seq::ZERO, |last| last.seq);
        self.lane.is_idle() && self.lane.read() == end
    }

    fn event(&self, seq: Seq) -> Offer {
        let at = usize::try_from(seq.0 - 1).unwrap();
        self.log[at]
    }
}

/// As the runner does it.
fn fill(lane: &mut Lane, log: &[Offer]) {
    while lane.room() > 0 {
        let read = lane.read();
        let more: Vec<Offer> = log.iter().copied().filter(|offer| offer.seq > read).take(READ).collect();
        if more.is_empty() {
            return;
        }
        lane.offer(more);
    }
}

/// Four records and what was not asked for.
fn log() -> impl Strategy<Value = String> {
    "[abcd.]{1,12}"
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        20 => Just(Outcome::Delivered),
        20 => Just(FAILED),
        4 => Just(THROTTLED),
        2 => (1..100_000_u32).prop_map(|seconds| throttled_for(seconds * SECOND)),
        1 => Just(Outcome::Gone),
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
        if let Step::End(index, Outcome::Delivered) = &step
            && world.in_flight.len() > 1
            && world.event(*index.get(&world.in_flight)).uid == uid('a')
        {
            world.take(Step::End(*index, FAILED));
        } else {
            world.take(step);
        }
    }
    world
}

proptest! {
    #[test]
    fn every_wanted_event_is_delivered_or_parked_in_the_order_of_its_record(
        window in 1..6_usize,
        attempts in 1..10_u32,
        steps in prop::collection::vec(step(), 0..250),
    ) {
        let mut world = after(World::with_one_waiting(attempts, window), steps);

        world.go_on(|_| Outcome::Delivered, World::is_through);
        world.save();
        world.check();

        prop_assert_eq!(world.table.cursor.seq, world.lane.read(), "the cursor is at the end of the log");
        for event in world.log.iter().filter(|event| event.wanted) {
            let waiting = world.table.waiting.get(&event.seq);
            prop_assert!(waiting.is_none_or(|waiting| waiting.parked), "{} still waits", event.seq);
            prop_assert!(world.delivered.contains(&event.seq) || waiting.is_some(), "{} is lost", event.seq);
        }
    }

    #[test]
    fn a_lane_that_is_resumed_goes_on_as_the_one_before(
        window in 1..6_usize,
        attempts in 1..10_u32,
        steps in prop::collection::vec(step(), 0..250),
        last in outcome(),
    ) {
        let mut world = after(World::with_one_waiting(attempts, window), steps);
        while let Some(seq) = world.in_flight.first().copied() {
            world.end(seq, last);
        }
        world.fill();
        world.save();
        let (next_at, sent) = (world.lane.next_at(), world.sent_when_all_is_well());

        world.crash(Fate::Lost);

        prop_assert_eq!(world.lane.next_at(), next_at);
        let resumed = world.sent_when_all_is_well();
        prop_assert!(sent.is_subset(&resumed), "{sent:?} would have gone out, {resumed:?} goes out");
        // What was delivered above the cursor is delivered again.
        let known = |seq: &Seq| world.delivered.contains(seq) || sent.iter().any(|(other, _)| other == seq);
        let strange: Vec<_> = resumed.iter().filter(|(seq, _)| !known(seq)).collect();
        prop_assert!(strange.is_empty(), "{strange:?} would not have gone out");
    }

    /// Of the records in `refused` the receiver takes nothing, not even when it is well again.
    #[test]
    fn records_that_cannot_be_taken_hold_up_no_other(
        window in 1..6_usize,
        log in "[abcdefgh]{1,60}",
        refused in prop::collection::btree_set(prop::char::range('a', 'h'), 0..7),
        away_for in 0..40_usize,
    ) {
        let mut world = World::new(window);
        let refused: Vec<Uid> = refused.into_iter().map(uid).collect();
        let takes = |event: Offer| !refused.contains(&event.uid);
        world.log(&log);
        for _ in 0..away_for {
            world.take(Step::WaitForIt);
            world.take(Step::Send);
            if let Some(seq) = world.in_flight.first().copied() {
                world.end(seq, FAILED);
            }
        }

        let answer = |event: Offer| if takes(event) { Outcome::Delivered } else { FAILED };
        world.go_on(answer, |world| {
            world.log.iter().all(|event| !takes(*event) || world.delivered.contains(&event.seq))
        });
    }
}
