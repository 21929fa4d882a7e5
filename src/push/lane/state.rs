//! The state machine.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::exceptions::Exceptions;
use super::failing::Failing;
use crate::domain::{Seq, Timestamp, Uid};
use crate::push::outcome::Outcome;
use crate::push::schedule;
use crate::store::owner::{PushCursor, PushSave, Waiting};

/// Attempts in a row that fail before the endpoint itself is held to be failing.
const FAILURES_IN_A_ROW: u32 = 5;

/// With so many waiting events nothing new is read: the cursor stands still instead.
const MOST_WAITING: usize = 10_000;

/// An event of the log, as far as a lane must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Offer {
    pub seq: Seq,
    pub uid: Uid,
    /// Whether the endpoint asked for it.
    pub wanted: bool,
}

/// What follows from an outcome beyond the lane itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    GoOn,
    /// The endpoint is gone, or failed for days: it shall be disabled.
    Disable,
}

/// One endpoint's deliveries.
#[derive(Debug, Clone)]
pub struct Lane {
    place: PushCursor,
    window: usize,
    /// The last event that was offered.
    read: Seq,
    /// Unsettled events above the cursor that do not wait.
    open: BTreeMap<Seq, Uid>,
    exceptions: Exceptions,
    /// Events in flight and their records.
    in_flight: HashMap<Seq, Uid>,
    busy: HashSet<Uid>,
    failing: Option<Failing>,
    failures_in_a_row: u32,
    saved: PushCursor,
}

impl Lane {
    /// A lane that goes on from where the endpoint stands.
    #[must_use]
    pub fn new(place: PushCursor, waiting: Vec<Waiting>, window: usize) -> Self {
        Self {
            window,
            read: place.seq,
            open: BTreeMap::new(),
            exceptions: Exceptions::resume(waiting),
            in_flight: HashMap::new(),
            busy: HashSet::new(),
            failing: Failing::resume(&place),
            failures_in_a_row: 0,
            saved: place.clone(),
            place,
        }
    }

    /// The position up to which events were offered.
    #[must_use]
    pub fn read(&self) -> Seq {
        self.read
    }

    /// How many more events it can use now.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.untried().is_some() || self.exceptions.len() + self.open.len() >= MOST_WAITING {
            return 0;
        }
        // A failing endpoint is read on for until there is something to try it with.
        let open = if self.failing.is_some() { 0 } else { self.open.len() };
        (self.window * 4).saturating_sub(open)
    }

    /// Takes the next events of the log, in order.
    pub fn offer(&mut self, offers: impl IntoIterator<Item = Offer>) {
        for Offer { seq, uid, wanted } in offers {
            self.read = seq;
            // After a restart the log is read again from the cursor, and what waits above it is known already.
            if !wanted || self.exceptions.knows(seq) {
                continue;
            }
            match self.exceptions.holds_back(uid) {
                Some(next_at) => self.exceptions.put(Waiting { seq, uid, attempts: 0, next_at, parked: false }),
                None => {
                    self.open.insert(seq, uid);
                }
            }
        }
        self.advance();
    }

    /// The next event to be sent now, which is then in flight; and how many attempts it has had.
    pub fn next(&mut self, now: Timestamp) -> Option<(Seq, u32)> {
        let window = match &self.failing {
            Some(failing) if failing.next_at > now => return None,
            Some(_) => 1,
            None => self.window,
        };
        if self.in_flight.len() >= window {
            return None;
        }
        let (seq, uid, attempts) = match self.failing {
            Some(_) => self.probe(),
            None => self.due(now).or_else(|| self.first_open()),
        }?;
        self.in_flight.insert(seq, uid);
        self.busy.insert(uid);
        Some((seq, attempts))
    }

    /// When [`Self::next`] may have something that it has not now; `None` where only an outcome or an offer can tell.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        if let Some(failing) = &self.failing {
            let any = !self.open.is_empty() || !self.exceptions.are_at_rest();
            return (any && self.in_flight.is_empty()).then_some(failing.next_at);
        }
        if self.in_flight.len() >= self.window {
            return None;
        }
        self.exceptions.fronts().filter(|front| !self.busy.contains(&front.uid)).map(|front| front.next_at).min()
    }

    /// Takes in how an attempt ended. `chance` is in 0..1 and spreads retries.
    pub fn ended(&mut self, seq: Seq, outcome: Outcome, now: Timestamp, chance: f64) -> Verdict {
        let Some(uid) = self.in_flight.remove(&seq) else { return Verdict::GoOn };
        self.busy.remove(&uid);
        match outcome {
            Outcome::Delivered => {
                self.open.remove(&seq);
                self.exceptions.settle(seq);
                self.passed(now);
            }
            Outcome::Gone => {}
            Outcome::Throttled { after } => self.fail(now, after),
            Outcome::Failed(_) => {
                self.failures_in_a_row += 1;
                if self.failing.is_some() || self.failures_in_a_row >= FAILURES_IN_A_ROW {
                    self.fail(now, None);
                }
                // A probe that fails says nothing of its event.
                if self.failing.is_none() {
                    self.retry_later(seq, uid, now, chance);
                }
            }
        }
        self.advance();
        let hopeless = self.failing.as_ref().is_some_and(|failing| failing.is_hopeless(now));
        if hopeless || outcome == Outcome::Gone { Verdict::Disable } else { Verdict::GoOn }
    }

    /// Whether nothing is to be sent, now or later, unless the log grows.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.open.is_empty() && self.in_flight.is_empty() && self.exceptions.are_at_rest()
    }

    /// Where the endpoint stands now, if that is not what was saved.
    pub fn take_save(&mut self) -> Option<PushSave> {
        self.place.failing_since = self.failing.as_ref().map(|failing| failing.since);
        self.place.failures = self.failing.as_ref().map_or(0, |failing| failing.failures);
        self.place.next_at = self.failing.as_ref().map(|failing| failing.next_at);
        let changes = self.exceptions.take_changes();
        if self.place == self.saved && changes.is_none() {
            return None;
        }
        self.saved = self.place.clone();
        let (waiting, settled) = changes.unwrap_or_default();
        Some(PushSave { cursor: self.place.clone(), waiting, settled })
    }

    /// A waiting event whose time has come.
    fn due(&self, now: Timestamp) -> Option<(Seq, Uid, u32)> {
        let due = |front: &&Waiting| !self.busy.contains(&front.uid) && front.next_at <= now;
        let first = self.exceptions.fronts().filter(due).min_by_key(|front| (front.next_at, front.seq))?;
        Some((first.seq, first.uid, first.attempts))
    }

    fn first_open(&self) -> Option<(Seq, Uid, u32)> {
        let free = |(seq, uid): &(&Seq, &Uid)| !self.in_flight.contains_key(*seq) && !self.busy.contains(*uid);
        self.open.iter().find(free).map(|(seq, uid)| (*seq, *uid, 0))
    }

    /// What a failing endpoint is tried with. It may be well and unable to take the very event that it was tried with,
    /// so that is one that it was not tried with yet, where there is any, else each in turn.
    fn probe(&mut self) -> Option<(Seq, Uid, u32)> {
        let fresh = self.untried();
        let all =
            self.open_fronts().chain(self.exceptions.fronts().map(|front| (front.seq, front.uid, front.attempts)));
        let failing = self.failing.as_ref()?;
        let probe = fresh.or_else(|| all.min_by_key(|(seq, ..)| (*seq <= failing.tried_again, *seq)))?;
        if let Some(failing) = &mut self.failing {
            let tried = if fresh.is_some() { &mut failing.tried } else { &mut failing.tried_again };
            *tried = probe.0;
        }
        Some(probe)
    }

    fn untried(&self) -> Option<(Seq, Uid, u32)> {
        let failing = self.failing.as_ref()?;
        self.open_fronts().find(|(seq, ..)| *seq > failing.tried)
    }

    /// The first open event of each record, in the order of the log.
    fn open_fronts(&self) -> impl Iterator<Item = (Seq, Uid, u32)> {
        let mut records = HashSet::new();
        self.open.iter().filter(move |(_, uid)| records.insert(**uid)).map(|(seq, uid)| (*seq, *uid, 0))
    }

    /// The endpoint took something: it is not failing, and what waits need wait no longer if it was.
    fn passed(&mut self, now: Timestamp) {
        self.failures_in_a_row = 0;
        // What was on its way when the endpoint asked for a pause does not end the pause.
        if self.failing.take_if(|failing| !failing.asked_for(now)).is_some() {
            self.exceptions.pull_forward(now);
        }
    }

    fn fail(&mut self, now: Timestamp, after: Option<std::time::Duration>) {
        self.failing = Some(Failing::again(self.failing.take(), now, after));
    }

    /// An event that failed while others pass: it leaves the way, and its record's open events with it.
    fn retry_later(&mut self, seq: Seq, uid: Uid, now: Timestamp, chance: f64) {
        let attempts = self.exceptions.attempts(seq) + 1;
        self.open.remove(&seq);
        let Some(delay) = schedule::delay(attempts, chance, None) else {
            self.exceptions.put(Waiting { seq, uid, attempts, next_at: now, parked: true });
            return;
        };
        let next_at = now + delay;
        self.exceptions.put(Waiting { seq, uid, attempts, next_at, parked: false });
        for seq in self.open.extract_if(.., |_, other| *other == uid).map(|(seq, _)| seq) {
            self.exceptions.put(Waiting { seq, uid, attempts: 0, next_at, parked: false });
        }
    }

    fn advance(&mut self) {
        self.place.seq = match self.open.first_key_value() {
            Some((first, _)) => Seq(first.0 - 1),
            None => self.read,
        };
    }
}
