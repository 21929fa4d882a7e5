//! The position of an endpoint in its account's log.
//!
//! An endpoint has processed everything up to its cursor and some ranges above it, which it had processed before the
//! cursor went back for a replay that ends before them. So a replay of a range moves the cursor like any other replay,
//! and the events after the range are not sent twice.

use uuid::Uuid;

use super::RetryEntry;
use crate::domain::{AccountId, Seq, Timestamp};

/// A range of the log: excludes `after`, includes `through`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeqRange {
    /// The position before the first event.
    pub after: Seq,
    /// The last event.
    pub through: Seq,
}

/// The position of an endpoint, and since when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointCursor {
    /// The account whose log it reads.
    pub account: AccountId,
    /// The endpoint's id.
    pub endpoint: Uuid,
    /// Everything up to here is delivered, filtered out, or in the retry queue.
    pub seq: Seq,
    /// The time of the failure that opened the circuit breaker; `None` while it is closed.
    pub failing_since: Option<Timestamp>,
    /// Failures since the last success.
    pub failures: u32,
    /// No attempt before this time, while the endpoint is failing or throttled.
    pub next_at: Option<Timestamp>,
}

/// Changes of one endpoint's cursor and retry queue, to be written together.
#[derive(Debug, Clone)]
pub struct EndpointSave {
    /// The cursor.
    pub cursor: EndpointCursor,
    /// New or changed retry entries.
    pub retries: Vec<RetryEntry>,
    /// Retry entries that ended.
    pub settled: Vec<Seq>,
}

impl SeqRange {
    /// The events after a position, up to and with another.
    #[must_use]
    pub fn new(after: Seq, through: Seq) -> Self {
        Self { after, through }
    }

    /// True for an event of the range.
    #[must_use]
    pub fn contains(&self, seq: Seq) -> bool {
        self.after < seq && seq <= self.through
    }
}

impl EndpointCursor {
    /// Forgets all failures, so that the next attempt may start at once.
    pub fn reset_failures(&mut self) {
        (self.failing_since, self.failures, self.next_at) = (None, 0, None);
    }
}

/// Returns the position to read on from: the end of the processed range that a position is in, else the position.
#[must_use]
pub(crate) fn skip_processed(processed: &[SeqRange], at: Seq) -> Seq {
    let range = processed.iter().find(|range| (range.after..range.through).contains(&at));
    range.map_or(at, |range| range.through)
}

/// Returns the number of events after a cursor, up to and with `end`, that are in no processed range.
#[must_use]
pub(crate) fn pending_events(cursor: Seq, processed: &[SeqRange], end: Seq) -> u64 {
    let length = |range: &SeqRange| (range.through.0.min(end.0) - range.after.0.max(cursor.0)).max(0);
    let ahead = length(&SeqRange::new(cursor, end));
    let done: i64 = processed.iter().map(length).sum();
    ahead.saturating_sub(done).max(0).unsigned_abs()
}

/// True for an event of a processed range.
#[must_use]
pub(crate) fn is_processed(processed: &[SeqRange], seq: Seq) -> bool {
    processed.iter().any(|range| range.contains(seq))
}

/// Returns the ranges without the events of another.
pub(super) fn subtract(ranges: &[SeqRange], removed: SeqRange) -> Vec<SeqRange> {
    let pieces = ranges.iter().flat_map(|range| {
        let below = SeqRange { through: range.through.min(removed.after), ..*range };
        let above = SeqRange { after: range.after.max(removed.through), ..*range };
        [below, above]
    });
    pieces.filter(|range| range.after < range.through).collect()
}

/// Returns the same ranges in order, with those that touch joined.
pub(super) fn join(mut ranges: Vec<SeqRange>) -> Vec<SeqRange> {
    ranges.sort_unstable();
    let mut joined: Vec<SeqRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut().filter(|last| last.through >= range.after) {
            Some(last) => last.through = last.through.max(range.through),
            None => joined.push(range),
        }
    }
    joined
}
