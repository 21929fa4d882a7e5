//! An endpoint that takes nothing: since when, and when it is asked again.

use std::time::Duration;

use crate::domain::endpoint::EndpointCursor;
use crate::domain::{Seq, Timestamp};

/// It is asked again after a twentieth of the time that it has been away, within these bounds: a receiver that was
/// away 20 s is caught up with within a second of its return, and one that was away a day costs 12 probes an hour.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_mins(5);

/// An endpoint that took nothing for so long is disabled.
const FAILING_TOO_LONG: Duration = Duration::from_hours(5 * 24);

/// A failing endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CircuitBreaker {
    pub(super) since: Timestamp,
    /// Attempts that failed in that time.
    pub(super) failures: u32,
    /// When one probe may go out.
    pub(super) next_at: Timestamp,
    /// Until when the endpoint asked to be left alone.
    asked_until: Option<Timestamp>,
    /// Open events up to here were probes.
    pub(super) tried: Seq,
    /// The last probe that was one before.
    pub(super) tried_again: Seq,
}

impl CircuitBreaker {
    pub(super) fn resume(cursor: &EndpointCursor) -> Option<Self> {
        Some(Self { failures: cursor.failures, next_at: cursor.next_at?, ..Self::new(cursor.failing_since?) })
    }

    fn new(since: Timestamp) -> Self {
        Self { since, failures: 0, next_at: since, asked_until: None, tried: Seq::ZERO, tried_again: Seq::ZERO }
    }

    /// After one more failure. `after` is for how long at least the endpoint asked to be left alone, which is honoured
    /// whatever succeeds meanwhile.
    pub(super) fn again(before: Option<Self>, now: Timestamp, after: Option<Duration>) -> Self {
        let before = before.unwrap_or_else(|| Self::new(now));
        let away = Duration::try_from(now - before.since).unwrap_or_default();
        let pause = (away / 20).clamp(SOONEST, LATEST).max(after.unwrap_or_default());
        // Deliveries that were in flight together fail one after the other; none of them shortens a pause.
        let next_at = (now + pause).max(before.next_at);
        Self {
            failures: before.failures.saturating_add(1),
            next_at,
            asked_until: after.map(|_| next_at).max(before.asked_until),
            ..before
        }
    }

    /// Whether the endpoint asked to be left alone at this moment.
    pub(super) fn asked_for(&self, now: Timestamp) -> bool {
        self.asked_until.is_some_and(|until| until > now)
    }

    pub(super) fn is_failing_too_long(&self, now: Timestamp) -> bool {
        now - self.since >= FAILING_TOO_LONG
    }
}
