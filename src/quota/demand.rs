//! How often an account calls: a replica keeps no more calls in advance than it needs.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(1);

/// An account that calls less often keeps no calls in advance, because giving them back would cost more statements than
/// they save.
const MIN_CALLS: u64 = 4;

/// The calls of one account in the current second and in the one before. Measured by a monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Demand {
    began: Option<Instant>,
    calls: u64,
    before: u64,
}

impl Demand {
    /// Counts a call.
    pub(super) fn count(&mut self, now: Instant) {
        self.advance(now);
        self.calls += 1;
    }

    /// The calls to keep in advance: those of a second, at most a block; none near the limit or for a rare caller.
    pub(super) fn spare(&mut self, block: u64, now: Instant) -> u64 {
        let calls = self.per_second(now);
        if block > 1 && calls >= MIN_CALLS { calls.min(block) } else { 0 }
    }

    /// Whether this many calls will be taken within 40 ms.
    pub(super) fn takes_soon(&mut self, calls: u64, now: Instant) -> bool {
        calls * 25 < self.per_second(now)
    }

    fn per_second(&mut self, now: Instant) -> u64 {
        self.advance(now);
        self.calls.max(self.before)
    }

    fn advance(&mut self, now: Instant) {
        let age = self.began.map(|began| now.saturating_duration_since(began));
        if age.is_some_and(|age| age < WINDOW) {
            return;
        }
        self.before = if age.is_some_and(|age| age < 2 * WINDOW) { self.calls } else { 0 };
        self.calls = 0;
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_kept_in_advance_for_a_busy_account_alone() {
        let (mut demand, began) = (Demand::default(), crate::clock::instant());
        let at = |millis| began + Duration::from_millis(millis);
        let mut spare = Vec::new();
        for millis in 0..6 {
            demand.count(at(millis));
            spare.push(demand.spare(64, at(millis)));
        }
        assert_eq!(spare, [0, 0, 0, 4, 5, 6]);
        assert_eq!([1, 2, 5].map(|block| demand.spare(block, at(6))), [0, 2, 5], "at most a block, and none of one");
        assert_eq!([0, 1].map(|calls| demand.takes_soon(calls, at(6))), [true, false], "six a second");
        assert_eq!(demand.spare(64, at(1_500)), 6, "the second before counts too");
        assert_eq!(demand.spare(64, at(2_500)), 0);
        demand.count(at(9_000));
        assert_eq!(demand.spare(64, at(9_000)), 0, "after a pause it begins anew");
    }
}
