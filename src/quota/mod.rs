//! The quota: how many calls an account may make in a second and in a calendar month (UTC).
//!
//! A call is taken from the month in PostgreSQL before it is carried out, so that over any number of replicas no call
//! beyond the limit ever succeeds; one that turns out not to count is given back. Calls that come while the database
//! is being asked share the next question, all accounts together: under load a call costs a small part of one. The
//! burst limit is kept by each replica for itself. A crash leaves calls counted that were being carried out, at most.
//! The answer also says which revision the account has, so that a change of it is seen without a question of its own.
//!
//! Knows nothing of HTTP: which answers count is said by the caller.

mod gauges;
mod ledger;
mod usage;
mod window;

pub use gauges::Gauges;
pub use ledger::{Booking, Call, Denied, Ledger, Told};
pub use usage::Usage;
pub use window::{Standing, Window};
