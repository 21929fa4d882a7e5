//! Partners on the recipe against the model of the service.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::model::{Broken, Model};
use super::partner::{MUTATIONS, Mutation};
use super::world::{Plan, World};
use super::{Failure, Outcome};

const POLICIES: [(&str, &str); 2] = [("home_phone", "existing_wins"), ("shop_phone", "reject")];

/// The runs within which a broken rule must show.
const MAX_SEEDS: u64 = 200;

/// Runs a future that never waits.
fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the model never waits"),
    }
}

fn simulate(seed: u64, mutation: Option<Mutation>, broken: Option<Broken>) -> Result<Outcome, Failure> {
    let plan = Plan { seed, steps: 250, mutation };
    run(async {
        let mut world = World::new(Model::new(broken, &POLICIES), plan);
        world.run().await;
        world.finish().await
    })
}

#[test]
fn partners_on_the_recipe_converge_whatever_fails() {
    for seed in 0..60 {
        let outcome = simulate(seed, None, None);
        assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
}

/// True when a run with one of the first seeds breaks the invariant.
fn breaks(invariant: &str, mutation: Option<Mutation>, broken: Option<Broken>) -> bool {
    let mut failures = (0..MAX_SEEDS).filter_map(|seed| simulate(seed, mutation, broken).err());
    failures.any(|failure| failure.invariant == invariant)
}

#[test]
fn a_partner_that_breaks_a_rule_of_the_recipe_breaks_an_invariant() {
    for (mutation, invariant) in MUTATIONS {
        assert!(breaks(invariant, Some(mutation), None), "{mutation:?} does not break {invariant:?}");
    }
}

#[test]
fn a_service_that_breaks_a_rule_breaks_an_invariant() {
    let rules = [
        (Broken::NoOpSuppression, "quiescence"),
        (Broken::FieldBase, "conflicts are real"),
        (Broken::CommitOrder, "partners equal the service"),
        (Broken::ConflictLog, "no silent loss"),
        (Broken::Idempotency, "one effect"),
        (Broken::DeleteBase, "no silent loss"),
        (Broken::References, "no duplicates"),
    ];
    for (rule, invariant) in rules {
        assert!(breaks(invariant, None, Some(rule)), "{rule:?} does not break {invariant:?}");
    }
}
