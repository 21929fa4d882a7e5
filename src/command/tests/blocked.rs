//! Blocked accounts wait apart, in order, within bounds, and lose no command.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// A time at which every pause is over.
fn later() -> Instant {
    clock::instant() + Duration::from_mins(1)
}

const NEVER_EXPIRES: Duration = Duration::MAX;

/// A queue with one account after `times` + 1 failed attempts to lock it.
fn given_blocked(times: u32) -> Queue {
    let mut queue = given(of(1, 20));
    let mut batch = queue.take(500, PLENTY);
    for _ in 0..times {
        assert!(queue.put_back(batch, clock::instant(), NEVER_EXPIRES).is_empty());
        batch = queue.take_due(later(), 500, PLENTY);
    }
    queue.put_back(batch, clock::instant(), NEVER_EXPIRES);
    queue
}

#[test]
fn a_lane_skips_blocked_accounts() {
    let mut queue = given_blocked(0);
    assert!(queue.push(command((1, 20))).is_ok());
    assert!(queue.push(command((2, 0))).is_ok());

    assert_eq!(names(&queue.take(500, PLENTY)), [(2, 0)]);
    assert_eq!((queue.len(), queue.blocked()), (21, 1));
}

#[test]
fn a_blocked_account_is_tried_after_a_pause_and_by_one_at_a_time() {
    let mut queue = given_blocked(0);
    assert!(queue.take_due(clock::instant().checked_sub(Duration::from_secs(1)).unwrap(), 500, PLENTY).is_empty());

    assert_eq!(names(&queue.take_due(later(), 5, PLENTY)), of(1, 5).collect::<Vec<_>>());
    assert!(queue.take_due(later(), 500, PLENTY).is_empty());
    assert!(queue.take_starved(500, PLENTY).is_empty());
    assert!(queue.take(500, PLENTY).is_empty());
}

#[test]
fn an_account_whose_lock_is_never_acquired_is_tried_alone() {
    for times in 0..=1 {
        assert!(given_blocked(times).take_starved(500, PLENTY).is_empty());
    }
    let mut queue = given_blocked(2);
    assert_eq!(names(&queue.take_starved(500, PLENTY)), of(1, 20).collect::<Vec<_>>());
}

#[test]
fn an_account_whose_lock_was_acquired_takes_turns_again() {
    let mut queue = given_blocked(0);
    let account = queue.take_due(later(), 5, PLENTY)[0].envelope.account;
    queue.finish([account]);

    assert_eq!(queue.blocked(), 0);
    assert_eq!(names(&queue.take(500, PLENTY)), (5..20).map(|number| (1, number)).collect::<Vec<_>>());
}

#[test]
fn commands_that_waited_too_long_are_removed_and_the_others_stay() {
    let mut queue = given(of(1, 3));
    let mut batch = queue.take(500, PLENTY);
    let now = clock::instant() + Duration::from_secs(5);
    batch[2].arrived = now;

    let expired = queue.put_back(batch, now, Duration::from_secs(5));

    assert_eq!(names(&expired), [(1, 0), (1, 1)]);
    assert_eq!(queue.len(), 1);
    let expired = queue.take_due(later(), 500, PLENTY);
    assert_eq!(queue.put_back(expired, now + Duration::from_secs(5), Duration::from_secs(5)).len(), 1);
    assert_eq!((queue.len(), queue.blocked()), (0, 0), "nothing waits, so nothing is blocked");
    assert!(queue.push(command((1, 9))).is_ok());
    assert_eq!(names(&queue.take(500, PLENTY)), [(1, 9)]);
}

#[test]
fn commands_of_a_blocked_account_that_are_tried_count_against_its_bound() {
    let mut queue = Queue::new(2, 3);
    assert!(queue.push(command((1, 0))).is_ok());
    let batch = queue.take(500, PLENTY);
    assert!(queue.push(command((1, 1))).is_ok());
    queue.put_back(batch, clock::instant(), NEVER_EXPIRES);
    assert_eq!(queue.take_due(later(), 500, PLENTY).len(), 2);

    assert!(queue.push(command((1, 2))).is_err());
    assert!(queue.push(command((2, 0))).is_ok());
    assert!(queue.push(command((3, 0))).is_err(), "all of the lane");
}

#[derive(Debug, Clone)]
enum AtomicStep {
    Push(u8),
    /// The bits say which accounts turn out to be blocked.
    Take(u8),
    Due(u8),
    Starved(u8),
}

fn step() -> impl Strategy<Value = AtomicStep> {
    prop_oneof![
        8 => (0..5_u8).prop_map(AtomicStep::Push),
        2 => any::<u8>().prop_map(AtomicStep::Take),
        2 => any::<u8>().prop_map(AtomicStep::Due),
        1 => any::<u8>().prop_map(AtomicStep::Starved),
    ]
}

proptest! {
    /// Three writers take at random, and of each batch any accounts may turn out to be blocked.
    #[test]
    fn an_accounts_commands_are_executed_once_and_in_order(steps in prop::collection::vec(step(), 0..300)) {
        let mut queue = Queue::new(PLENTY, PLENTY);
        let mut pushed = BTreeMap::<u8, u32>::new();
        let mut executed = BTreeMap::<u8, Vec<u32>>::new();
        let ends = [AtomicStep::Take(0), AtomicStep::Due(0), AtomicStep::Take(0)];
        for step in steps.into_iter().chain(ends) {
            let (batch, blocked) = match step {
                AtomicStep::Push(account) => {
                    let number = pushed.entry(account).or_default();
                    prop_assert!(queue.push(command((account, *number))).is_ok());
                    *number += 1;
                    continue;
                }
                AtomicStep::Take(blocked) => (queue.take(20, PLENTY), blocked),
                AtomicStep::Due(blocked) => (queue.take_due(later(), PLENTY, PLENTY), blocked),
                AtomicStep::Starved(blocked) => (queue.take_starved(20, PLENTY), blocked),
            };
            let batch = if blocked == 0 { batch.into_iter().chain(queue.take(PLENTY, PLENTY)).collect() } else { batch };
            let is_blocked = |pending: &Pending| blocked & (1 << name(pending).0) != 0;
            let (back, done): (Vec<Pending>, Vec<Pending>) = batch.into_iter().partition(is_blocked);
            for pending in &done {
                executed.entry(name(pending).0).or_default().push(name(pending).1);
            }
            prop_assert!(queue.put_back(back, clock::instant(), NEVER_EXPIRES).is_empty());
            queue.finish(done.iter().map(|pending| pending.envelope.account));
        }
        prop_assert_eq!((queue.len(), queue.blocked()), (0, 0));
        for (account, count) in pushed {
            prop_assert_eq!(executed.remove(&account).unwrap_or_default(), (0..count).collect::<Vec<_>>());
        }
    }
}
