//! Verifies and rebuilds the read models: everything that is derived from the accounts' logs.
//!
//! `verify` walks the log of each account and compares every read model with it. `run` rebuilds them: the rows are computed
//! from the log into tables beside the live ones, which catch up with the log in rounds while the service writes, and are
//! swapped in one transaction.
//!
//! Guarantees: verifying changes nothing, and reports no difference that a write of the service explains. A rebuild that
//! fails or is killed leaves the live read models as they were; one that meets a damaged log changes nothing.
//! Does not know: how the tables are laid out, or how a result is shown.

mod catch_up;
mod difference;
mod error;
mod load;
pub(crate) mod log;
mod progress;
mod run;
#[cfg(test)]
mod tests;
mod verify;
mod workers;

pub(crate) use difference::Difference;
pub(crate) use log::Damage;
pub(crate) use progress::RunProgress;
pub(crate) use run::{discard, rebuild};
pub(crate) use verify::{AccountReport, Finding, verify};
