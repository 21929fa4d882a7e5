//! An account's use of a month, by day.

use time::{Date, Duration, Time};

use super::window::day;
use crate::domain::{AccountId, Timestamp};
use crate::store::quota::month;
use crate::store::{Store, StoreError};

/// The calls of a calendar month (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The sum of all days.
    pub used: u64,
    /// From the first of the month to today.
    pub days: Vec<(Date, u64)>,
    /// When the next month begins.
    pub resets_at: Timestamp,
}

impl Usage {
    /// The current month by the database's clock, as far as it is reserved; [`super::QuotaLimiter::status`] first reserves
    /// all calls that this replica knows of.
    pub async fn read(store: &Store, account: AccountId) -> Result<Self, StoreError> {
        let month = store.month_use(account).await?;
        Ok(Self::of(month.now, month.used, month.days))
    }

    /// The month of `at`; days beyond the list have no calls.
    #[must_use]
    pub fn of(at: Timestamp, used: u64, days: Vec<u64>) -> Self {
        let (today, first) = (day(at), month(day(at)));
        let calls = days.into_iter().chain(std::iter::repeat(0));
        let dates = std::iter::successors(Some(first), |date| date.next_day()).take_while(|date| *date <= today);
        let length = i64::from(first.month().length(first.year()));
        let resets_at = first.with_time(Time::MIDNIGHT).assume_utc() + Duration::days(length);
        Self { used, days: dates.zip(calls).collect(), resets_at }
    }
}
