//! Calls in the current second, by account.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::AccountId;

const WINDOW: Duration = Duration::from_secs(1);

/// Counts calls in windows of one second. A monotonic clock measures them, because a wall clock that steps back would
/// keep a window open for as long as it stepped.
#[derive(Default)]
pub(super) struct Burst {
    began: Option<Instant>,
    calls: HashMap<AccountId, u64>,
}

impl Burst {
    /// Counts a call in the account's second; returns the number of calls in it.
    pub(super) fn call(&mut self, account: AccountId, now: Instant) -> u64 {
        // A call whose account had to be looked up may be older than the window; it counts in the window.
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            self.began = Some(now);
            self.calls.clear();
        }
        let calls = self.calls.entry(account).or_default();
        *calls += 1;
        *calls
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock;

    #[test]
    fn a_second_counts_its_own_calls_by_account() {
        let (mut burst, began) = (Burst::default(), clock::instant());
        let [ann, bob] = [1, 2].map(|number| AccountId(Uuid::from_u128(number)));
        let at = |millis| began + Duration::from_millis(millis);
        assert_eq!([at(0), at(999)].map(|at| burst.call(ann, at)), [1, 2]);
        assert_eq!(burst.call(bob, at(500)), 1);
        assert_eq!(burst.call(ann, at(1_000)), 1, "a second later it begins anew");
        assert_eq!(burst.call(ann, at(900)), 2, "a late one counts with the present second");
    }
}
