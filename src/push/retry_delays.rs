//! The delays between the attempts of a delivery. Pure: the jitter is passed as a number.

use std::time::Duration;

/// The delays before the first attempt, the second, and so on: the example schedule of Standard Webhooks 1.0
/// ("Deliverability and reliability"), a little over three days in all.
const DELAYS: [Duration; 10] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// The share of a delay that jitter adds at most.
const JITTER: f64 = 0.1;

/// The longest pause that a receiver may request; a longer one counts as this.
pub(crate) const RETRY_AFTER_CAP: Duration = Duration::from_hours(10);

/// The delay before the next attempt after `attempts_made` attempts; `None` after the last.
///
/// `jitter01` lies between 0 and 1 and adds up to a tenth, so that deliveries that failed together do not come
/// back together.
#[must_use]
pub(crate) fn delay(attempts_made: u32, jitter01: f64) -> Option<Duration> {
    let planned = DELAYS.get(usize::try_from(attempts_made).ok()?)?;
    Some(planned.mul_f64(1.0 + JITTER * unit(jitter01)))
}

/// The number pulled into 0..=1, where one that is no number is 0: a delay must never panic.
fn unit(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECONDS: [u64; 10] = [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

    #[test]
    fn without_jitter_it_is_the_schedule_of_the_spec() {
        for (attempt, seconds) in (0..).zip(SECONDS) {
            assert_eq!(delay(attempt, 0.0), Some(Duration::from_secs(seconds)), "{attempt}");
        }
        let last: u32 = 10;
        for attempt in [last, last + 1, u32::MAX] {
            assert_eq!(delay(attempt, 0.0), None, "{attempt}");
        }
    }

    #[test]
    fn full_jitter_adds_a_tenth() {
        assert_eq!(delay(1, 1.0), Some(Duration::from_millis(5500)));
        assert_eq!(delay(9, 1.0), Some(Duration::from_mins(24 * 66)));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_tenth(attempt in 0_u32..10, jitter in prop::num::f64::ANY) {
            let plain = delay(attempt, 0.0).expect("on the schedule");
            let jittered = delay(attempt, jitter).expect("on the schedule");
            prop_assert!(plain <= jittered && jittered <= plain.mul_f64(1.1));
        }

        #[test]
        fn the_schedule_never_turns_back(attempt in 0_u32..9, jitter in 0.0..=1.0) {
            prop_assert!(delay(attempt, jitter) < delay(attempt + 1, 0.0));
        }
    }
}
