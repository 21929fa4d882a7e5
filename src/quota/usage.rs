//! What an account used of a month, by day.

use time::{Date, Duration, Time};

use super::window::day;
use crate::domain::{AccountId, Timestamp};
use crate::store::quota::month;
use crate::store::{Store, StoreError};

/// The calls of a calendar month (UTC).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// In all.
    pub used: u64,
    /// From the first of the month to today.
    pub days: Vec<(Date, u64)>,
    /// When the next month begins.
    pub resets_at: Timestamp,
}

impl Usage {
    /// Of the present month by the database's clock, as it is booked: [`super::QuotaLimiter::look`] books what this replica knows.
    pub async fn read(store: &Store, account: AccountId) -> Result<Self, StoreError> {
        let booked = store.month_use(account).await?;
        Ok(Self::of(booked.now, booked.used, booked.days))
    }

    /// Of the month of a moment; days that are not there have no calls.
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
