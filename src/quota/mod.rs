//! The quota: how many calls an account may make in a second and in a calendar month (UTC).
//!
//! A call is taken from the month in PostgreSQL before it is carried out, so that over any number of replicas no call
//! beyond the limit ever succeeds; one that turns out not to count is given back. Calls that come while the database
//! is being asked share the next question, all accounts together: under load a call costs a small part of one. The
//! burst limit is kept by each replica for itself. The answer also says which revision the account has, so that a change
//! of it is seen without a question of its own.
//!
//! A replica that is killed loses no calls but a block: those that it had not answered are given back when its lease
//! expires (`lease`). Days and months are those of the database's clock; windows here are measured by a monotonic one.
//!
//! Knows nothing of HTTP: which answers count is said by the caller.

mod accounts;
mod burst;
mod call;
mod gauges;
mod lease;
mod limiter;
mod usage;
mod window;

pub use call::Call;
pub use gauges::Gauges;
pub use limiter::{Checked, Denied, QuotaLimiter, ReservationWriter};
pub use usage::Usage;
pub use window::{RateLimitStatus, Window};
