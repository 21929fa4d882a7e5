//! Events that wait for a retry of their own.

use crate::domain::{Seq, Timestamp, Uid};

/// An event that waits for its own retry while later events are delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryEntry {
    /// The event's position in the log.
    pub seq: Seq,
    /// The event's record.
    pub uid: Uid,
    /// Attempts that failed.
    pub attempts: u32,
    /// The earliest time of the next attempt; for a parked event the time at which it was parked.
    pub next_at: Timestamp,
    /// True after the last attempt of the schedule: it is sent again only when the endpoint's owner asks for it.
    pub parked: bool,
    /// The first event of its record that it stands for, most often itself.
    pub first: Seq,
    /// The first event of the batch that it was sent in, which is sent again as it was.
    pub batch: Option<Seq>,
}

impl RetryEntry {
    /// An event that was not sent yet, because an earlier event of its record waits, and that is due at once.
    #[must_use]
    pub fn unsent(seq: Seq, uid: Uid) -> Self {
        Self { seq, uid, attempts: 0, next_at: Timestamp::UNIX_EPOCH, parked: false, first: seq, batch: None }
    }
}

/// A parked event as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Its position in the log.
    pub seq: Seq,
    /// Its record.
    pub uid: Uid,
    /// Its type without the root.
    pub kind: String,
    /// Attempts that failed.
    pub attempts: i32,
    /// The time of the last attempt.
    pub parked_at: Timestamp,
}
