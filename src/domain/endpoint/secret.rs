//! Stored signing secrets of an endpoint, and their rotation.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::domain::Timestamp;

/// Secrets that sign at once, the present one included; a rotation drops the oldest beyond that.
pub(crate) const MAX_SECRETS: usize = 4;

/// Seconds for which the previous secrets may go on signing after a rotation; a value outside is refused.
pub(crate) const OVERLAP_S: RangeInclusive<u64> = 0..=7 * 24 * 3_600;

/// The time for which the previous secrets go on signing where a rotation names none.
pub(crate) const DEFAULT_OVERLAP: Duration = Duration::from_hours(24);

/// A signing secret as it is stored. `Debug` shows when it ends and no byte of it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// The sealed secret, or its text where it was stored before secrets had to be sealed.
    pub bytes: Vec<u8>,
    /// When it stops signing; `None` for the present one.
    pub expires_at: Option<Timestamp>,
}

impl StoredSecret {
    /// The secret that signs until the next rotation.
    #[must_use]
    pub fn current(bytes: Vec<u8>) -> Self {
        Self { bytes, expires_at: None }
    }
}

impl fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredSecret").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Returns the secrets after a rotation, the new one first. The previous ones go on signing for `overlap`, and none of
/// them longer than it would have without this rotation.
#[must_use]
pub(crate) fn rotate(
    existing: Vec<StoredSecret>,
    new: Vec<u8>,
    overlap: Duration,
    now: Timestamp,
) -> Vec<StoredSecret> {
    let overlap_ends = now + overlap;
    let previous = existing.into_iter().filter_map(|secret| {
        let expires_at = secret.expires_at.map_or(overlap_ends, |expires_at| expires_at.min(overlap_ends));
        (expires_at > now).then_some(StoredSecret { expires_at: Some(expires_at), ..secret })
    });
    std::iter::once(StoredSecret::current(new)).chain(previous).take(MAX_SECRETS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn previous_secrets_sign_for_the_overlap_and_never_longer_than_before() {
        let first = rotate(vec![StoredSecret::current(vec![1])], vec![2], HOUR, NOW);
        assert_eq!(
            first,
            [StoredSecret::current(vec![2]), StoredSecret { bytes: vec![1], expires_at: Some(NOW + HOUR) },]
        );
        let second = rotate(first, vec![3], HOUR * 24, NOW + HOUR / 2);
        assert_eq!(
            second,
            [
                StoredSecret::current(vec![3]),
                StoredSecret { bytes: vec![2], expires_at: Some(NOW + HOUR / 2 + HOUR * 24) },
                StoredSecret { bytes: vec![1], expires_at: Some(NOW + HOUR) },
            ]
        );
        assert_eq!(rotate(second, vec![4], Duration::ZERO, NOW + HOUR * 2), [StoredSecret::current(vec![4])]);
    }

    #[test]
    fn the_oldest_secrets_beyond_the_limit_are_dropped() {
        let mut secrets = vec![StoredSecret::current(vec![0])];
        for byte in 1..=10 {
            secrets = rotate(secrets, vec![byte], HOUR, NOW);
        }
        assert_eq!(secrets.iter().map(|secret| secret.bytes[0]).collect::<Vec<_>>(), [10, 9, 8, 7]);
    }
}
