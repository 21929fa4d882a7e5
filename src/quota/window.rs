//! The two windows that calls are counted in, and what is left of each.

use time::{Date, Time};

use crate::domain::Timestamp;
use crate::store::quota::month;

/// One policy and where the account stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Calls that it allows.
    pub quota: u64,
    /// Its length.
    pub seconds: u64,
    /// Calls that are left.
    pub left: u64,
    /// Seconds until it begins anew.
    pub reset_in: u64,
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RateLimitStatus {
    pub burst: Window,
    /// Nothing where it was not asked for: a second that is full is answered without a look at the month.
    pub month: Option<Window>,
}

impl Window {
    /// The second of a moment.
    pub(super) fn burst(quota: u64, used: u64) -> Self {
        Self { quota, seconds: 1, left: left(quota, used), reset_in: 1 }
    }

    /// The calendar month of a moment. It always has a second left, so that waiting for it is never waiting for nothing.
    pub(super) fn month(quota: u64, used: u64, at: Timestamp) -> Self {
        let first = month(day(at));
        let days = first.month().length(first.year());
        let seconds = u64::from(days) * 86_400;
        let elapsed = (at - first.with_time(Time::MIDNIGHT).assume_utc()).whole_seconds();
        // `elapsed` is counted from the beginning of the same month, so it is positive and less than `seconds`.
        let reset_in = (seconds - elapsed.unsigned_abs()).max(1);
        Self { quota, seconds, left: left(quota, used), reset_in }
    }
}

/// None is left where more than the quota is used: refused calls count in a burst, and a tier's quota may be lowered.
fn left(quota: u64, used: u64) -> u64 {
    quota.saturating_sub(used)
}

/// The day (UTC) of a moment.
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
        assert_eq!(february, Window { quota: 2_000, seconds: 29 * 86_400, left: 1_893, reset_in: 7 * 86_400 + 50_400 });
        // In UTC it is still January.
        assert_eq!(month(day(datetime!(2028-02-01 01:00 +02:00))), time::macros::date!(2028 - 01 - 01));
        assert_eq!(Window::month(80, 81, datetime!(2026-11-30 23:59:59.9 UTC)).reset_in, 1);
    }
}
