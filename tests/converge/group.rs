//! A group: seeds that run at once against the same replicas, each with an account and partners of its own.
//!
//! All of them live through the faults of the group, most of them with requests in flight. Faults end when every seed has
//! executed its steps; then all partners come to rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};

use crate::channels;
use crate::connector::tests::{Failure, Mutation, Outcome, Plan, World};
use crate::fleet::{Account, Fleet};

/// Faults of a group per fault of a seed that runs alone. A seed of 150 steps asks for three.
const FACTOR: u64 = 3;

/// The seeds of a group, and what they have in common.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) seeds: Range<u64>,
    pub(crate) steps: usize,
    pub(crate) mutation: Option<Mutation>,
}

/// The results of seeds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: usize,
    pub(crate) faults: u64,
    pub(crate) failures: BTreeMap<u64, Failure>,
}

impl Group {
    /// Runs all seeds to their end.
    pub(crate) async fn run(&self, fleet: &Arc<Fleet>) -> Tally {
        let mut accounts = Vec::new();
        for seed in self.seeds.clone() {
            accounts.push((seed, fleet.account(self.fault_share()).await));
        }
        let worlds: Vec<(u64, JoinHandle<World<Account>>)> = accounts
            .into_iter()
            .map(|(seed, account)| {
                let plan = Plan { seed, steps: self.steps, mutation: self.mutation };
                let stepped = async move {
                    let mut world = World::new(account, plan);
                    world.run().await;
                    world
                };
                (seed, tokio::spawn(stepped))
            })
            .collect();
        let mut tally = Tally::default();
        let mut stepped = Vec::new();
        for (seed, world) in worlds {
            match world.await {
                Ok(world) => stepped.push((seed, world)),
                Err(error) => drop(tally.failures.insert(seed, panicked(error))),
            }
        }
        let finish = |(seed, world)| (seed, tokio::spawn(finish(Arc::clone(fleet), world)));
        let finishing: Vec<_> = stepped.into_iter().map(finish).collect();
        for (seed, outcome) in finishing {
            match outcome.await.unwrap_or_else(|error| Err(panicked(error))) {
                Ok(Outcome { events, faults }) => {
                    tally.events += events;
                    tally.faults += faults;
                }
                Err(failure) => drop(tally.failures.insert(seed, failure)),
            }
        }
        tally
    }

    /// The arguments that run this group again.
    pub(crate) fn arguments(&self) -> String {
        let Self { seeds: Range { start, end }, steps, .. } = self;
        let seeds = end - start;
        format!("--only partners --from {start} --seeds {seeds} --group {seeds} --steps {steps}")
    }

    fn fault_share(&self) -> u64 {
        (self.seeds.end - self.seeds.start).div_ceil(FACTOR)
    }
}

async fn finish(fleet: Arc<Fleet>, mut world: World<Account>) -> Result<Outcome, Failure> {
    let outcome = world.finish().await?;
    channels::are_equal(&fleet, &world.service).await?;
    Ok(outcome)
}

fn panicked(error: JoinError) -> Failure {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Failure::new("runs to its end", text.unwrap_or("a panic").to_owned())
}
