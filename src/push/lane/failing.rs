//! An endpoint that takes nothing: since when, and when it is asked again.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::owner::PushCursor;

/// It is asked again after a twentieth of the time that it has been away, within these bounds: a receiver that was
/// away 20 s is caught up with within a second of its return, and one that was away a day costs 12 probes an hour.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_mins(5);

/// An endpoint that took nothing for so long is disabled.
const HOPELESS: Duration = Duration::from_hours(5 * 24);

/// A failing endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    pub(super) since: Timestamp,
    /// Attempts that failed in that time.
    pub(super) failures: u32,
    /// When one probe may go out.
    pub(super) next_at: Timestamp,
}

impl Failing {
    pub(super) fn resume(place: &PushCursor) -> Option<Self> {
        Some(Self { since: place.failing_since?, failures: place.failures, next_at: place.next_at? })
    }

    /// After one more failure. `after` is how long the endpoint asked to be left alone, which is honoured.
    pub(super) fn again(before: Option<Self>, now: Timestamp, after: Option<Duration>) -> Self {
        let (since, failures, agreed) = match before {
            Some(failing) => (failing.since, failing.failures, failing.next_at),
            None => (now, 0, now),
        };
        let away = Duration::try_from(now - since).unwrap_or_default();
        let pause = (away / 20).clamp(SOONEST, LATEST).max(after.unwrap_or_default());
        // Deliveries that were in flight together fail one after the other; none of them shortens a pause.
        Self { since, failures: failures.saturating_add(1), next_at: (now + pause).max(agreed) }
    }

    pub(super) fn is_hopeless(&self, now: Timestamp) -> bool {
        now - self.since >= HOPELESS
    }
}
