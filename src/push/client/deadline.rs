//! The one end of an attempt.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::failure::AttemptFailure;

/// One point in time for every step of an attempt, so that none of them gets time of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn after(started: Instant, timeout: Duration) -> Self {
        Self { at: started + timeout, timeout }
    }

    /// The work's result, or the failure to be done in time. Then the work is dropped, and its connection with it.
    pub(super) async fn hold<T>(
        &self,
        work: impl Future<Output = Result<T, AttemptFailure>>,
    ) -> Result<T, AttemptFailure> {
        timeout_at(self.at.into(), work).await.unwrap_or_else(|_| Err(AttemptFailure::late(self.timeout)))
    }
}
