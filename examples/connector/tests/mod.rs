//! Rules of the machine, its properties, and a simulation of partners that crash, lose responses and repeat themselves.

mod invariants;
mod model;
mod partner;
mod random;
mod rules;

mod simulation;
mod world;

pub(crate) use invariants::Failure;
pub(crate) use partner::{MUTATIONS, Mutation};
pub(crate) use random::Random;
pub(crate) use world::{Delivery, Outcome, Plan, Service, World};
