//! A lane's queue: its turns, order and bounds.

mod blocked;
mod defect;
mod properties;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::queue::Queue;
use super::{CommandEnvelope, Pending};
use crate::clock;
use crate::domain::{AccountId, Command, Delete, Entity, Target, Uid};

/// The most commands of one account in a row.
const TURN: usize = 8;

const PLENTY: usize = usize::MAX;

/// Command number `number` of account `account`.
type Name = (u8, u32);

fn command(name: Name) -> Pending {
    weighing(1, name)
}

fn weighing(bytes: usize, (account, number): Name) -> Pending {
    let target = Target::Uid(Uid(Uuid::from_u128(u128::from(number))));
    let envelope = CommandEnvelope {
        bytes,
        ..CommandEnvelope::new(
            AccountId(Uuid::from_u128(u128::from(account))),
            number.to_string().into(),
            Command::Delete(Delete { entity: Entity::Contact, target, if_match: None }),
        )
    };
    let (reply, _unreceived) = oneshot::channel();
    Pending { envelope, arrived: clock::instant(), reply }
}

fn name(pending: &Pending) -> Name {
    let account = u8::try_from(pending.envelope.account.0.as_u128()).unwrap();
    (account, pending.envelope.origin.parse().unwrap())
}

fn names(batch: &[Pending]) -> Vec<Name> {
    batch.iter().map(name).collect()
}

/// A queue with these commands.
fn given(waiting: impl IntoIterator<Item = Name>) -> Queue {
    let mut queue = Queue::new(PLENTY, PLENTY);
    for name in waiting {
        assert!(queue.push(command(name)).is_ok());
    }
    queue
}

fn of(account: u8, count: u32) -> impl Iterator<Item = Name> {
    (0..count).map(move |number| (account, number))
}

#[test]
fn an_importer_delays_the_first_command_of_another_by_one_turn() {
    let mut queue = given(of(1, 1_000).chain(of(2, 1)));

    let batch = names(&queue.take(500, PLENTY));

    assert_eq!(batch.iter().position(|name| *name == (2, 0)), Some(TURN));
    assert_eq!(batch.len(), 500, "and has the rest of the batch");
}

#[test]
fn each_of_many_importers_delays_another_by_one_turn() {
    let importers = (1..=5).flat_map(|account| of(account, 1_000));
    let mut queue = given(importers.chain(of(9, 1)));

    assert_eq!(names(&queue.take(500, PLENTY)).iter().position(|name| *name == (9, 0)), Some(5 * TURN));
}

#[test]
fn who_came_while_a_batch_was_executed_is_in_the_next() {
    let mut queue = given(of(1, 1_000));
    queue.take(500, PLENTY);
    assert!(queue.push(command((2, 0))).is_ok());

    assert!(names(&queue.take(500, PLENTY)).contains(&(2, 0)));
}

#[test]
fn batches_smaller_than_a_turn_are_shared_too() {
    let mut queue = given(of(1, 100).chain(of(2, 100)).chain(of(3, 1)));

    let batches = [queue.take(3, PLENTY), queue.take(3, PLENTY), queue.take(3, PLENTY)];

    assert_eq!(batches.map(|batch| names(&batch)[0]), [(1, 0), (2, 0), (3, 0)]);
}

#[test]
fn an_accounts_commands_keep_their_order() {
    let mut queue = given((0..50).flat_map(|number| [(1, number), (2, number)]));
    let mut taken = Vec::new();
    while queue.len() > 0 {
        taken.extend(names(&queue.take(7, PLENTY)));
    }

    for account in [1, 2] {
        let own: Vec<Name> = taken.iter().copied().filter(|name| name.0 == account).collect();
        assert_eq!(own, of(account, 50).collect::<Vec<_>>());
    }
}

#[test]
fn an_account_that_reaches_its_bound_leaves_room_for_others() {
    let mut queue = Queue::new(2, 10);
    for name in of(1, 2) {
        assert!(queue.push(command(name)).is_ok());
    }

    assert!(queue.push(command((1, 2))).is_err());
    assert!(queue.push(command((2, 0))).is_ok());
    assert_eq!(queue.len(), 3);
}

#[test]
fn all_accounts_together_may_fill_the_lane_and_no_more() {
    let mut queue = Queue::new(2, 3);
    for name in [(1, 0), (2, 0), (3, 0)] {
        assert!(queue.push(command(name)).is_ok());
    }

    assert!(queue.push(command((4, 0))).is_err());
    assert!(queue.push(command((1, 1))).is_err());
    queue.take(1, PLENTY);
    assert!(queue.push(command((4, 0))).is_ok());
    assert_eq!(names(&queue.take(9, PLENTY)), [(2, 0), (3, 0), (4, 0)]);
}

#[test]
fn a_batch_is_closed_by_the_command_that_reaches_its_weight() {
    let mut queue = Queue::new(PLENTY, PLENTY);
    for number in 0..5 {
        assert!(queue.push(weighing(40, (1, number))).is_ok());
    }

    assert_eq!(queue.take(PLENTY, 100).len(), 3, "80 are less than 100");
    assert_eq!(queue.take(PLENTY, 40).len(), 1);
}

#[test]
fn a_command_that_weighs_more_than_a_batch_goes_alone() {
    let mut queue = Queue::new(PLENTY, PLENTY);
    for number in 0..2 {
        assert!(queue.push(weighing(500, (1, number))).is_ok());
    }

    assert_eq!(names(&queue.take(10, 100)), [(1, 0)]);
    assert_eq!(names(&queue.take(10, 100)), [(1, 1)]);
}

#[test]
fn without_waiting_commands_a_batch_is_empty() {
    let mut queue = given([]);
    assert_eq!((queue.len(), queue.take(500, PLENTY).len()), (0, 0));
    assert!(queue.push(command((1, 0))).is_ok());
    queue.take(500, PLENTY);
    assert_eq!((queue.len(), queue.take(500, PLENTY).len()), (0, 0));
}
