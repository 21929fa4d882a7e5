//! Deliveries per second: a token bucket that holds a tenth of a second's tokens, and one at least.

use std::time::Duration;

use crate::domain::Timestamp;

/// Kept as the one moment from which everything follows (the "generic cell rate algorithm"): it moves by one interval
/// with each delivery and never lies in the past, and so far as a bucket lasts it may lie ahead.
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

    /// When the next delivery may go out.
    pub(super) fn next_at(&self) -> Timestamp {
        self.paid_until - self.bucket
    }

    /// A clock that steps back leaves nothing paid for longer than a bucket lasts.
    pub(super) fn hold_to(&mut self, now: Timestamp) {
        self.paid_until = self.paid_until.min(now + self.bucket + self.interval);
    }

    /// One goes out.
    pub(super) fn take(&mut self, now: Timestamp) {
        self.paid_until = self.paid_until.max(now) + self.interval;
    }
}
