//! The least rate at which a peer must read or send.
//!
//! The rate is measured only while the service waits for the peer, so an idle connection is never too slow. It knows
//! nothing of sockets and takes the time as a value.

use std::time::{Duration, Instant};

/// The least number of bytes that a peer must move in each window of waiting.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Pace {
    window: Duration,
    least: u64,
    /// The time that was waited in this window, without the current wait.
    waited: Duration,
    since: Option<Instant>,
    moved: u64,
}

/// A peer that is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum TooSlow {
    /// No byte moved in a whole window.
    Stalled,
    /// Fewer bytes moved in a window than the least number.
    Trickled,
}

impl Pace {
    /// At least `bytes_per_second`, averaged over each window.
    pub(in crate::http) fn new(window: Duration, bytes_per_second: u64) -> Self {
        let least = bytes_per_second.saturating_mul(window.as_secs());
        Self { window, least, waited: Duration::ZERO, since: None, moved: 0 }
    }

    /// The service waits for the peer. Returns the time at which to check again, at the latest.
    pub(in crate::http) fn wait(&mut self, now: Instant) -> Result<Instant, TooSlow> {
        let since = *self.since.get_or_insert(now);
        let left = self.window.saturating_sub(self.waited + now.saturating_duration_since(since));
        if !left.is_zero() {
            return Ok(now + left);
        }
        match self.moved {
            0 => Err(TooSlow::Stalled),
            moved if moved < self.least => Err(TooSlow::Trickled),
            _ => {
                (self.waited, self.since, self.moved) = (Duration::ZERO, Some(now), 0);
                Ok(now + self.window)
            }
        }
    }

    /// The peer read or sent some bytes.
    pub(in crate::http) fn moved(&mut self, bytes: usize) {
        if self.since.is_some() {
            // A sum that large is above every least rate, so saturation does not matter.
            self.moved = self.moved.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    }

    /// The wait is over: all bytes have moved. The window continues with the next wait, so that many short waits are
    /// measured like a long one.
    pub(in crate::http) fn rest(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now().saturating_duration_since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const WINDOW: Duration = Duration::from_secs(30);

    /// Waits at these seconds, with the bytes that moved just before each, and returns how the last wait ended.
    fn waits(steps: &[(u64, usize)]) -> Result<(), TooSlow> {
        let (mut pace, start) = (Pace::new(WINDOW, 100), clock::instant());
        for (second, moved) in steps {
            pace.moved(*moved);
            pace.wait(start + Duration::from_secs(*second))?;
        }
        Ok(())
    }

    #[test]
    fn a_peer_that_takes_nothing_is_given_one_window() {
        assert_eq!(waits(&[(0, 0), (29, 0)]), Ok(()));
        assert_eq!(waits(&[(0, 0), (30, 0)]), Err(TooSlow::Stalled));
    }

    #[test]
    fn a_peer_that_trickles_is_not_told_from_a_fast_one_by_its_progress_but_by_its_sum() {
        let drip: Vec<(u64, usize)> = (0..=30).map(|second| (second, 1)).collect();
        assert_eq!(waits(&drip), Err(TooSlow::Trickled));
        let slow: Vec<(u64, usize)> = (0..=300).map(|second| (second, 101)).collect();
        assert_eq!(waits(&slow), Ok(()), "a slow link that goes on");
        assert_eq!(waits(&[(0, 0), (1, 3_000), (30, 0), (60, 0)]), Err(TooSlow::Stalled), "a good start is not enough");
    }

    #[test]
    fn a_peer_that_is_not_waited_for_is_never_too_slow() {
        let (mut pace, start) = (Pace::new(WINDOW, 100), clock::instant());
        assert!(pace.wait(start).is_ok());
        pace.rest(|| start + Duration::from_secs(1));
        let much_later = start + Duration::from_hours(1);
        assert_eq!(pace.wait(much_later), Ok(much_later + Duration::from_secs(29)));
    }

    #[test]
    fn many_short_waits_are_measured_like_a_long_one() {
        let (mut pace, start) = (Pace::new(WINDOW, 100), clock::instant());
        let at = |second: u64| start + Duration::from_secs(second);
        let waits = (0..40).map(|wait| {
            pace.wait(at(2 * wait))?;
            pace.moved(99);
            pace.rest(|| at(2 * wait + 1));
            Ok(wait)
        });
        assert_eq!(waits.last(), Some(Err(TooSlow::Trickled)));
    }
}
