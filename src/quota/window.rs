//! The two windows that calls are counted in, and the calls that remain in each.

use time::{Date, Time};

use crate::domain::Timestamp;
use crate::store::quota::month;

/// One limit of an account and how much of it remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Calls that the window allows.
    pub limit: u64,
    /// The length of the window in seconds.
    pub seconds: u64,
    /// Calls that remain.
    pub remaining: u64,
    /// Seconds until the next window begins.
    pub reset_in: u64,
}

/// An account's limits and how much of them remains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RateLimitStatus {
    /// `None` where the burst limit is off.
    pub burst: Option<Window>,
    pub month: Window,
}

impl Window {
    /// The current second.
    pub(super) fn burst(limit: u64, used: u64) -> Self {
        Self { limit, seconds: 1, remaining: remaining(limit, used), reset_in: 1 }
    }

    /// The calendar month (UTC) of `at`. At least a second of it is left, so that a client that waits for its end does wait.
    pub(super) fn month(limit: u64, used: u64, at: Timestamp) -> Self {
        let first = month(day(at));
        let days = first.month().length(first.year());
        let seconds = u64::from(days) * 86_400;
        let elapsed = (at - first.with_time(Time::MIDNIGHT).assume_utc()).whole_seconds();
        // `elapsed` is counted from the beginning of the same month, so it is positive and less than `seconds`.
        let reset_in = (seconds - elapsed.unsigned_abs()).max(1);
        Self { limit, seconds, remaining: remaining(limit, used), reset_in }
    }
}

/// More than the limit may be used, because refused calls count in a burst and an account's tier may be lowered; then none
/// remain.
fn remaining(limit: u64, used: u64) -> u64 {
    limit.saturating_sub(used)
}

/// The day (UTC) of a timestamp.
pub(super) fn day(at: Timestamp) -> Date {
    at.to_offset(time::UtcOffset::UTC).date()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_month_is_as_long_as_the_calendar_says_and_ends_at_midnight_utc() {
        let february = Window::month(2_000, 107, datetime!(2028-02-22 12:00 +02:00));
        assert_eq!(
            february,
            Window { limit: 2_000, seconds: 29 * 86_400, remaining: 1_893, reset_in: 7 * 86_400 + 50_400 }
        );
        // In UTC it is still January.
        assert_eq!(month(day(datetime!(2028-02-01 01:00 +02:00))), time::macros::date!(2028 - 01 - 01));
        assert_eq!(Window::month(80, 81, datetime!(2026-11-30 23:59:59.9 UTC)).reset_in, 1);
    }
}
