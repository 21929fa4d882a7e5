//! The limit on deliveries per second: a token bucket that holds the tokens of 0.1 s, and at least one.

use std::time::Duration;

use crate::domain::Timestamp;

/// The generic cell rate algorithm: one timestamp moves on by an interval with each delivery, never lies in the past when
/// a delivery is sent, and may lie ahead by as much as the bucket holds.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    interval: Duration,
    bucket: Duration,
    paid_until: Timestamp,
}

impl Rate {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let interval = Duration::from_secs(1) / per_second;
        Self { interval, bucket: interval * (per_second / 10).saturating_sub(1), paid_until: Timestamp::UNIX_EPOCH }
    }

    /// The earliest time of the next delivery.
    pub(super) fn next_at(&self) -> Timestamp {
        self.paid_until - self.bucket
    }

    /// Limits the effect of a clock that steps back: the next delivery waits no longer than a bucket lasts.
    pub(super) fn hold_to(&mut self, now: Timestamp) {
        self.paid_until = self.paid_until.min(now + self.bucket + self.interval);
    }

    /// Takes the token of one delivery.
    pub(super) fn take(&mut self, now: Timestamp) {
        self.paid_until = self.paid_until.max(now) + self.interval;
    }
}
