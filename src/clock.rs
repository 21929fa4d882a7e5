//! The only place that reads the time or draws an identifier from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use uuid::Uuid;

use crate::domain::{Timestamp, Uid};

/// Where moments come from: the system, or a test's hand. Cloning shares the hand.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// Microseconds since the Unix epoch, where a test sets them.
    manual: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still until [`Self::set`] moves it.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self { manual: Some(Arc::new(AtomicI64::new(micros(at)))) }
    }

    /// Moves a manual clock; the system's takes no orders.
    pub fn set(&self, at: Timestamp) {
        if let Some(hand) = &self.manual {
            hand.store(micros(at), Ordering::SeqCst);
        }
    }

    /// Now, to the microsecond that PostgreSQL keeps, in UTC.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn now(&self) -> Timestamp {
        let micros = match &self.manual {
            Some(hand) => hand.load(Ordering::SeqCst),
            None => micros(Timestamp::now_utc()),
        };
        Timestamp::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

fn micros(at: Timestamp) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

/// A reading of the monotonic clock, for measuring only.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn instant() -> Instant {
    Instant::now()
}

/// A fresh identifier of a record; their order is the order of their making.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn fresh_uid() -> Uid {
    Uid(Uuid::now_v7())
}
