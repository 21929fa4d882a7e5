//! The quota: how many calls an account may make in a second and in a calendar month (UTC).
//!
//! A call is charged to the month in PostgreSQL before it is carried out, so that no call beyond the limit succeeds, over
//! any number of replicas. A call that turns out not to count is given back. Calls that arrive during a transaction share
//! the next one, over all accounts; under load a call costs a small part of a transaction. Each replica keeps the burst
//! limit by itself. A reservation also returns the account's revision, so that a changed account costs no statement of
//! its own. A busy account's calls are reserved in advance, at most a block of them; a call from this reserve waits for the
//! account's revision alone (`limiter::gate`).
//!
//! A crash of a replica charges an account at most one block of calls without a response; all others are given back when
//! the replica's lease expires (`lease`). Days and months follow the database's clock; windows are measured by a
//! monotonic one.
//!
//! Knows nothing of HTTP: the caller decides which responses count.

mod burst;
mod demand;
mod gauges;
mod lease;
mod limiter;
mod usage;
mod window;

pub use gauges::QuotaGauges;
pub use limiter::{Call, Checked, Denied, QuotaLimiter, ReservationWriter, RevisionReader};
pub use usage::Usage;
pub use window::{RateLimitStatus, Window};
