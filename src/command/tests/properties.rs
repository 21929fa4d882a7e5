//! The queue compared with a simple model of it.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum AtomicStep {
    Push { account: u8, bytes: usize },
    Take { commands: usize, bytes: usize },
}

fn step() -> impl Strategy<Value = AtomicStep> {
    prop_oneof![
        8 => (0..5_u8, 0..100_usize).prop_map(|(account, bytes)| AtomicStep::Push { account, bytes }),
        1 => (1..40_usize, 1..400_usize).prop_map(|(commands, bytes)| AtomicStep::Take { commands, bytes }),
    ]
}

/// The simplest queue with the same guarantees.
struct Model {
    per_account: usize,
    total: usize,
    waiting: BTreeMap<u8, VecDeque<(u32, usize)>>,
    /// For each waiting account, the commands that others had since it began to wait or had its last turn.
    overtaken: BTreeMap<u8, BTreeMap<u8, usize>>,
}

impl Model {
    fn len(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn push(&mut self, (account, number): Name, bytes: usize) -> bool {
        let len = self.len();
        let waiting = self.waiting.entry(account).or_default();
        let fits = len < self.total && waiting.len() < self.per_account;
        if fits {
            waiting.push_back((number, bytes));
        }
        fits
    }

    /// Removes the account's next command and returns its weight. No waiting account may be overtaken for more than a turn.
    fn leaves(&mut self, (account, number): Name) -> usize {
        let next = self.waiting.get_mut(&account).and_then(VecDeque::pop_front);
        let Some((expected, bytes)) = next else { panic!("no command of {account} waits") };
        assert_eq!(number, expected, "out of order");
        self.overtaken.remove(&account);
        let others = self.waiting.iter().filter(|(other, waiting)| **other != account && !waiting.is_empty());
        for (other, _) in others {
            let had = self.overtaken.entry(*other).or_default().entry(account).or_default();
            *had += 1;
            assert!(*had <= TURN, "{account} had {had} while {other} waited");
        }
        bytes
    }
}

proptest! {
    #[test]
    fn a_queue_is_fair_in_order_and_bounded(
        per_account in 1..30_usize,
        total in 1..80_usize,
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let mut queue = Queue::new(per_account, total);
        let mut model = Model { per_account, total, waiting: BTreeMap::new(), overtaken: BTreeMap::new() };
        for (number, step) in (0..).zip(steps) {
            match step {
                AtomicStep::Push { account, bytes } => {
                    let pushed = queue.push(weighing(bytes, (account, number))).is_ok();
                    prop_assert_eq!(pushed, model.push((account, number), bytes));
                }
                AtomicStep::Take { commands, bytes } => {
                    let waited = model.len();
                    let batch = names(&queue.take(commands, bytes));
                    let weights: Vec<usize> = batch.iter().map(|name| model.leaves(*name)).collect();
                    prop_assert!(batch.len() <= commands);
                    let before_last: usize = weights.iter().rev().skip(1).sum();
                    prop_assert!(before_last < bytes, "{weights:?} in a batch of {bytes}");
                    let full = batch.len() == commands || weights.iter().sum::<usize>() >= bytes;
                    prop_assert!(full || batch.len() == waited, "the batch has room for more");
                }
            }
            prop_assert_eq!(queue.len(), model.len());
        }
    }
}
