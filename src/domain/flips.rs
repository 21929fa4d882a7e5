//! Fields that are changed by one origin after the other: two systems that write their own value again and again.

use std::collections::BTreeMap;

use time::Duration;

use super::{Field, Seq, Timestamp};

/// The flips within [`WINDOW`] that make a loop.
pub(crate) const LOOP: usize = 6;

/// The time within which flips belong together.
const WINDOW: Duration = Duration::MINUTE;

/// A change of a field by another origin than the one that changed it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flip {
    /// The position of the change.
    pub seq: Seq,
    /// To the second.
    pub at: Timestamp,
}

/// The latest flips of each field, at most [`LOOP`]: those of the last minute, and those that made a loop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flips(pub(crate) BTreeMap<Field, Vec<Flip>>);

impl Flips {
    /// Adds a flip. `updated_at` is the time of the record's last change before it: a field whose record rested for a minute
    /// is not flipping.
    pub(super) fn add(&mut self, field: Field, flip: Flip, updated_at: Timestamp) {
        if flip.at - updated_at > WINDOW {
            self.0.remove(&field);
            return;
        }
        let flips = self.0.entry(field).or_default();
        flips.retain(|earlier| flip.at - earlier.at <= WINDOW);
        flips.push(flip);
        let surplus = flips.len().saturating_sub(LOOP);
        flips.drain(..surplus);
    }

    /// Drops flips that are older than a minute. Those of a loop stay until somebody flips the field again.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0.retain(|_, flips| {
            if flips.len() < LOOP {
                flips.retain(|flip| now - flip.at <= WINDOW);
            }
            !flips.is_empty()
        });
    }

    /// Whether a field's flips after a position make a loop.
    pub(super) fn is_loop(&self, field: Field, after: Seq) -> bool {
        self.0.get(&field).is_some_and(|flips| flips.iter().filter(|flip| flip.seq > after).count() >= LOOP)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
