//! The only module that reads the time or makes identifiers from it.
//!
//! Every replica compares stored times, so all of them use one clock: the database's. A [`Clock`] is set to the database's
//! clock from time to time, and continues by this machine's monotonic clock. The system clock is used only before the
//! database's was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::domain::{Timestamp, Uid};

/// The source of timestamps: the database's clock, or a clock that a test sets. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// Microseconds since the Unix epoch, where a test sets them.
    Manual(Arc<AtomicI64>),
    Followed(Arc<Followed>),
}

/// A clock that follows another one.
#[derive(Debug)]
struct Followed {
    began: Instant,
    /// The followed clock's reading at `began`, in microseconds since the Unix epoch.
    origin: AtomicI64,
    /// The time by which a test makes the system clock wrong.
    wrong_by: time::Duration,
}

impl Clock {
    /// The system clock, until [`Self::follow`] sets it to the database's.
    #[must_use]
    pub fn system() -> Self {
        Self::system_that_is_wrong_by(time::Duration::ZERO)
    }

    /// A system clock that is ahead by this time, for tests.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn system_that_is_wrong_by(ahead: time::Duration) -> Self {
        let origin = AtomicI64::new(micros(Timestamp::now_utc() + ahead));
        Self(Source::Followed(Arc::new(Followed { began: instant(), origin, wrong_by: ahead })))
    }

    /// A clock that stands still until [`Self::set`] moves it, and follows no other.
    #[must_use]
    pub fn manual(at: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(micros(at)))))
    }

    /// Sets a manual clock; has no effect on others.
    pub fn set(&self, at: Timestamp) {
        if let Source::Manual(hand) = &self.0 {
            hand.store(micros(at), Ordering::SeqCst);
        }
    }

    /// Now, to the microsecond that PostgreSQL keeps, in UTC.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a wrong time would be stored")]
    pub fn now(&self) -> Timestamp {
        let micros = match &self.0 {
            Source::Manual(hand) => hand.load(Ordering::SeqCst),
            Source::Followed(followed) => followed.origin.load(Ordering::SeqCst) + followed.since(instant()),
        };
        Timestamp::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
            .expect("a clock is set to timestamps, and no process runs until the year 9999")
    }

    /// How far the system clock is ahead of this one, which follows the database's; zero for a manual clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn system_ahead(&self) -> time::Duration {
        match &self.0 {
            Source::Manual(_) => time::Duration::ZERO,
            Source::Followed(followed) => Timestamp::now_utc() + followed.wrong_by - self.now(),
        }
    }

    /// Follows the database's clock, which showed `shown` at some moment between `sent_at` and now. Nothing changes where this
    /// clock may have shown the same; otherwise it moves to the middle of the possible times. Returns how far it was ahead.
    pub fn follow(&self, shown: Timestamp, sent_at: Instant) -> time::Duration {
        let Source::Followed(followed) = &self.0 else { return time::Duration::ZERO };
        let (shown, sent_at, answered) = (micros(shown), followed.since(sent_at), followed.since(instant()));
        let (earliest, latest) = (shown - answered, shown - sent_at);
        let origin = followed.origin.load(Ordering::SeqCst);
        if (earliest..=latest).contains(&origin) {
            return time::Duration::ZERO;
        }
        let middle = earliest + (latest - earliest) / 2;
        followed.origin.store(middle, Ordering::SeqCst);
        time::Duration::microseconds(origin - middle)
    }
}

impl Followed {
    /// Microseconds since `began`; negative before it.
    #[expect(clippy::expect_used, reason = "a wrong time would be stored")]
    fn since(&self, timestamp: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).expect("less than 292,000 years");
        match timestamp.checked_duration_since(self.began) {
            Some(after) => micros(after),
            None => -micros(self.began.duration_since(timestamp)),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[expect(clippy::expect_used, reason = "a wrong time would be stored")]
fn micros(at: Timestamp) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000).expect("timestamps end with the year 9999")
}

/// A reading of the monotonic clock, for measuring only.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn instant() -> Instant {
    Instant::now()
}

/// A fresh identifier of a record. Later identifiers sort after earlier ones.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn fresh_uid() -> Uid {
    Uid(Uuid::now_v7())
}

/// A random UUID (version 4), for what is not stored. Costs neither a system call nor a lock, unlike [`fresh_uid`].
#[must_use]
pub(crate) fn random_uuid() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, instant};

    /// All readings of one test are closer together than this.
    const SLACK: time::Duration = time::Duration::minutes(1);

    #[test]
    fn a_clock_that_is_wrong_shows_what_it_is_told() {
        let right = Clock::system();
        for wrong_by in [time::Duration::hours(25), time::Duration::hours(-25), time::Duration::days(9_000)] {
            let clock = Clock::system_that_is_wrong_by(wrong_by);
            assert!(((clock.now() - right.now()) - wrong_by).abs() < SLACK);

            let sent_at = instant();
            let ahead = clock.follow(right.now(), sent_at);

            assert!((ahead - wrong_by).abs() < SLACK, "{ahead}");
            assert!((clock.now() - right.now()).abs() < SLACK, "{}", clock.now());
            assert!((clock.system_ahead() - wrong_by).abs() < SLACK, "{}", clock.system_ahead());
        }
    }

    #[test]
    fn a_clock_that_agrees_with_what_it_is_told_is_not_moved() {
        let clock = Clock::system();
        // The answer took a minute, and may be from any moment in it.
        let sent_at = instant().checked_sub(Duration::from_mins(1)).unwrap();
        for shown in [time::Duration::seconds(-59), time::Duration::seconds(-1)] {
            assert_eq!(clock.follow(clock.now() + shown, sent_at), time::Duration::ZERO);
        }
        assert_ne!(clock.follow(clock.now() + time::Duration::seconds(61), sent_at), time::Duration::ZERO);
    }

    #[test]
    fn clones_follow_together_and_a_manual_clock_follows_nothing() {
        let clock = Clock::system_that_is_wrong_by(time::Duration::hours(1));
        let other = clock.clone();
        clock.follow(Clock::system().now(), instant());
        assert!((other.now() - Clock::system().now()).abs() < SLACK);

        let manual = Clock::manual(other.now());
        let before = manual.now();
        manual.follow(before + time::Duration::hours(1), instant());
        assert_eq!(manual.now(), before);
    }
}
