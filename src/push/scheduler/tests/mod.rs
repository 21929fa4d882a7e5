//! Drives a scheduler by hand: a log in letters, a clock that the test sets, and the table that saves are written to.
//!
//! A log is a line of text. A letter is an event of the record of that name, a dot one that the endpoint did not ask
//! for; the first is event 1.

mod failing;
mod modes;
mod order;
mod properties;
mod recovery;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use super::{Delivery, DeliveryPolicy, DeliveryScheduler, EndpointAction, EventMeta};
use crate::domain::endpoint::{DeliveryOrder, Mode};
use crate::domain::endpoint::{EndpointCursor, EndpointSave, RetryEntry};
use crate::domain::{AccountId, Seq, Timestamp, Uid};
use crate::push::outcome::{AttemptOutcome, Reason};

const FAILED: AttemptOutcome = AttemptOutcome::Failed(Reason::Status);
const THROTTLED: AttemptOutcome = AttemptOutcome::Throttled { after: None };

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// When a test begins.
const BEGIN: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

/// The receiver requests a pause.
fn throttled_for(after: Duration) -> AttemptOutcome {
    AttemptOutcome::Throttled { after: Some(after) }
}

/// One endpoint's row of `push_endpoint_cursor` and its rows of `push_retry`.
#[derive(Debug, Clone)]
struct Table {
    cursor: EndpointCursor,
    waiting: BTreeMap<Seq, RetryEntry>,
}

impl Table {
    /// An endpoint that begins at the start of the log.
    fn new() -> Self {
        let (account, endpoint) = (AccountId(Uuid::nil()), Uuid::nil());
        let cursor =
            EndpointCursor { account, endpoint, seq: Seq::ZERO, failing_since: None, failures: 0, next_at: None };
        Self { cursor, waiting: BTreeMap::new() }
    }

    /// Writes as `push_endpoint_cursor.save` does: an event that ended, was offered again and waits again is one that waits.
    fn apply(&mut self, save: EndpointSave) {
        let EndpointSave { cursor, retries, settled } = save;
        assert!(cursor.seq >= self.cursor.seq, "a cursor never goes back by itself");
        self.cursor = cursor;
        for seq in settled {
            self.waiting.remove(&seq);
        }
        self.waiting.extend(retries.into_iter().map(|event| (event.seq, event)));
    }

    /// The scheduler that the next process makes of it.
    fn scheduler(&self, policy: DeliveryPolicy) -> DeliveryScheduler {
        DeliveryScheduler::new(self.cursor.clone(), self.waiting.values().cloned().collect(), policy)
    }
}

/// A scheduler at work.
#[derive(Debug, Clone)]
struct Driven {
    scheduler: DeliveryScheduler,
    policy: DeliveryPolicy,
    log: Vec<EventMeta>,
    now: Timestamp,
    table: Table,
}

/// A scheduler that has read this log.
fn given(window: usize, log: &str) -> Driven {
    given_rules(singly(window), log)
}

/// The same with another policy.
fn given_rules(policy: DeliveryPolicy, log: &str) -> Driven {
    let table = Table::new();
    let mut driven = Driven { scheduler: table.scheduler(policy), policy, log: Vec::new(), now: BEGIN, table };
    driven.log(log);
    driven
}

impl Driven {
    /// The log grows.
    fn log(&mut self, more: &str) -> &mut Self {
        for letter in more.chars() {
            self.log.push(event(self.end() + 1, letter, self.now));
        }
        self.add_events();
        self
    }

    /// Time passes.
    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    /// The scheduler sends exactly these events now, in this order.
    #[track_caller]
    fn sends<const N: usize>(&mut self, expected: [i64; N]) -> &mut Self {
        assert_eq!(self.send(), expected, "sent {} after the beginning", self.now - BEGIN);
        self
    }

    /// The one event that a failing endpoint is sent, as soon as it may be.
    #[track_caller]
    fn probe(&mut self) -> i64 {
        self.now = self.scheduler.next_at().expect("a probe is due some time").max(self.now);
        let sent = self.send();
        assert_eq!(sent.len(), 1, "one at a time: {sent:?}");
        sent[0]
    }

    /// An attempt ends, and the endpoint goes on.
    #[track_caller]
    fn ends(&mut self, seq: i64, outcome: AttemptOutcome) -> &mut Self {
        assert_eq!(self.action(seq, outcome), EndpointAction::GoOn);
        self
    }

    /// Several attempts end in the same way, one after the other.
    #[track_caller]
    fn all_end<const N: usize>(&mut self, seqs: [i64; N], outcome: AttemptOutcome) -> &mut Self {
        for seq in seqs {
            self.ends(seq, outcome);
        }
        self
    }

    fn action(&mut self, seq: i64, outcome: AttemptOutcome) -> EndpointAction {
        self.scheduler.ended(Seq(seq), outcome, self.now, 0.0)
    }

    /// The saved cursor is at this position.
    #[track_caller]
    fn stands_at(&mut self, seq: i64) -> &mut Self {
        assert_eq!(self.saved().cursor.seq, Seq(seq));
        self
    }

    /// Exactly these retry entries are saved: each with its attempts and the time until its next one.
    #[track_caller]
    fn waits<const N: usize>(&mut self, expected: [(i64, u32, Duration); N]) -> &mut Self {
        let now = self.now;
        let waiting = self.saved().waiting.values().filter(|event| !event.parked);
        let waits: Vec<_> = waiting
            .map(|event| (event.seq.0, event.attempts, Duration::try_from(event.next_at - now).unwrap_or_default()))
            .collect();
        assert_eq!(waits, expected);
        self
    }

    /// Exactly these events are saved as parked.
    #[track_caller]
    fn parks<const N: usize>(&mut self, expected: [i64; N]) -> &mut Self {
        let parked = self.saved().waiting.values().filter(|event| event.parked);
        assert_eq!(parked.map(|event| event.seq.0).collect::<Vec<_>>(), expected);
        self
    }

    /// The process ends, and the next one goes on from what was saved.
    fn restarts(&mut self) -> &mut Self {
        self.scheduler = self.table.scheduler(self.policy);
        self.add_events();
        self
    }

    fn saved(&mut self) -> &Table {
        if let Some(save) = self.scheduler.take_save() {
            self.table.apply(save);
        }
        &self.table
    }

    fn send(&mut self) -> Vec<i64> {
        let sent = self.send_deliveries().into_iter();
        sent.map(
            |delivery| if let [seq] = delivery.events[..] { seq.0 } else { panic!("one event each: {delivery:?}") },
        )
        .collect()
    }

    fn send_deliveries(&mut self) -> Vec<Delivery> {
        std::iter::from_fn(|| self.scheduler.next(self.now)).collect()
    }

    /// Adds the events that were not read yet.
    fn add_events(&mut self) {
        let read = self.scheduler.read();
        self.scheduler.add_events(self.log.iter().copied().filter(|event| event.seq > read), self.now);
    }

    fn end(&self) -> i64 {
        i64::try_from(self.log.len()).unwrap()
    }
}

/// One event each, those of a record in order.
fn singly(window: usize) -> DeliveryPolicy {
    DeliveryPolicy { mode: Mode::Single, order: DeliveryOrder::Record, window, rate: None }
}

fn event(seq: i64, letter: char, at: Timestamp) -> EventMeta {
    EventMeta { seq: Seq(seq), uid: uid(letter), at, bytes: 1_000, selected: letter != '.' }
}

fn uid(letter: char) -> Uid {
    Uid(Uuid::from_u128(u128::from(u32::from(letter))))
}
