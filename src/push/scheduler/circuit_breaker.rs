//! The state of an endpoint that accepts nothing: since when its breaker is open, and when it is probed next.

use std::time::Duration;

use crate::domain::endpoint::EndpointCursor;
use crate::domain::{Seq, Timestamp};

/// Bounds of the pause between two probes, which is a twentieth of the time since the breaker opened. A receiver that was
/// unreachable for 20 s is caught up with within a second of its return, and one that was unreachable for a day costs 12
/// probes an hour.
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// An endpoint that accepted nothing for this long is disabled.
const FAILING_TOO_LONG: Duration = Duration::from_hours(5 * 24);

/// The open breaker of a failing endpoint: only probes are sent, one at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CircuitBreaker {
    /// The time of the failure that opened the breaker.
    pub(super) since: Timestamp,
    /// Failed attempts since then, that one included.
    pub(super) failures: u32,
    /// The earliest time of the next probe.
    pub(super) next_at: Timestamp,
    /// The end of the pause that the endpoint requested.
    pause_until: Option<Timestamp>,
    /// The position up to which every pending event has been part of a probe.
    pub(super) probed_to: Seq,
    /// The last event that was probed again. Events that were probed before take turns (round robin): the next probe takes
    /// the first of them after this position, and after the last of them begins again.
    pub(super) last_repeated: Seq,
}

impl CircuitBreaker {
    /// The breaker that was saved with a cursor; `None` where the endpoint was not failing.
    pub(super) fn resume(cursor: &EndpointCursor) -> Option<Self> {
        Some(Self { failures: cursor.failures, next_at: cursor.next_at?, ..Self::new(cursor.failing_since?) })
    }

    fn new(since: Timestamp) -> Self {
        Self { since, failures: 0, next_at: since, pause_until: None, probed_to: Seq::ZERO, last_repeated: Seq::ZERO }
    }

    /// Returns the breaker after one more failure. The next probe waits at least for the requested pause, which the success
    /// of a delivery in flight does not end.
    pub(super) fn trip(before: Option<Self>, now: Timestamp, requested_pause: Option<Duration>) -> Self {
        let before = before.unwrap_or_else(|| Self::new(now));
        // A clock that steps back makes the time negative, which counts as none.
        let failing_for = Duration::try_from(now - before.since).unwrap_or_default();
        let pause = (failing_for / 20).clamp(MIN_PAUSE, MAX_PAUSE);
        let pause = requested_pause.map_or(pause, |requested| pause.max(requested));
        // Deliveries that were in flight together fail one after the other; none of them shortens a pause.
        let next_at = (now + pause).max(before.next_at);
        Self {
            // A count for people; at its end it stays there.
            failures: before.failures.saturating_add(1),
            next_at,
            pause_until: requested_pause.map(|_| next_at).max(before.pause_until),
            ..before
        }
    }

    /// True while the endpoint has requested that nothing is sent.
    pub(super) fn is_pause_requested(&self, now: Timestamp) -> bool {
        self.pause_until.is_some_and(|until| until > now)
    }

    pub(super) fn is_failing_too_long(&self, now: Timestamp) -> bool {
        now - self.since >= FAILING_TOO_LONG
    }
}
