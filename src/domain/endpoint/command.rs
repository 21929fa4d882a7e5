//! Commands that move an endpoint's cursor, and the pure function that applies them.
//!
//! The replica that owns the endpoint's shard applies them, because it alone writes cursors; until then they are queued.
//! Pausing is no cursor command: it changes the endpoint's status and leaves the cursor where it is.

use uuid::Uuid;

use super::cursor::{join, subtract};
use super::{EndpointCursor, EndpointState, RetryEntry, SeqRange};
use crate::domain::{Seq, Timestamp};

/// A change of an endpoint's cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorCommand {
    /// Sends events again.
    Replay {
        /// The position before the first one.
        after: Seq,
        /// The last one; `None` goes on to the end of the log.
        through: Option<Seq>,
    },
    /// Sends no event up to here any more.
    Skip {
        /// The last one that is not sent.
        through: Seq,
    },
    /// Sends a parked event once more.
    Retry {
        /// The event.
        seq: Seq,
    },
    /// Forgets all failures of the endpoint.
    Resume,
}

/// A command that waits to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuedCursorCommand {
    /// The endpoint whose cursor it moves.
    pub endpoint: Uuid,
    /// Its id, which orders the commands of an endpoint.
    pub command_id: Uuid,
    /// The change.
    pub command: CursorCommand,
}

/// The result of commands, to be written together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorUpdate {
    /// The cursor after all of them.
    pub cursor: EndpointCursor,
    /// Ranges above the cursor that were processed already.
    pub processed: Vec<SeqRange>,
    /// Retry entries that end.
    pub dropped: Vec<Seq>,
    /// Retry entries that are no longer parked.
    pub retried: Vec<RetryEntry>,
    /// The commands, which leave the queue with it.
    pub commands: Vec<Uuid>,
}

/// Applies commands in their order. `retries` are the endpoint's retry entries.
#[must_use]
pub(crate) fn apply(
    state: &EndpointState,
    retries: &[RetryEntry],
    commands: &[QueuedCursorCommand],
    now: Timestamp,
) -> CursorUpdate {
    let mut progress = Progress::of(state, retries);
    for queued in commands {
        progress.apply(queued.command, now);
    }
    progress.close(commands)
}

/// The state of an endpoint between two commands.
struct Progress {
    cursor: EndpointCursor,
    processed: Vec<SeqRange>,
    /// Retry entries, and whether a command changed them.
    retries: Vec<(RetryEntry, bool)>,
    dropped: Vec<Seq>,
}

impl Progress {
    fn of(state: &EndpointState, retries: &[RetryEntry]) -> Self {
        Self {
            cursor: state.cursor.clone(),
            processed: state.processed.clone(),
            retries: retries.iter().map(|entry| (entry.clone(), false)).collect(),
            dropped: Vec::new(),
        }
    }

    fn apply(&mut self, command: CursorCommand, now: Timestamp) {
        match command {
            CursorCommand::Replay { after, through } => self.replay(after, through),
            CursorCommand::Skip { through } => {
                self.cursor.seq = self.cursor.seq.max(through);
                self.cursor.reset_failures();
                self.drop_retries(SeqRange::new(Seq::ZERO, through));
            }
            CursorCommand::Retry { seq } => self.retry(seq, now),
            CursorCommand::Resume => self.cursor.reset_failures(),
        }
    }

    fn replay(&mut self, after: Seq, through: Option<Seq>) {
        let through = through.unwrap_or(Seq(i64::MAX));
        let requested = SeqRange::new(after, through);
        // A retry entry that stands for earlier events of its record brings them along.
        let entries = self.retries.iter().map(|(entry, _)| entry).filter(|entry| requested.contains(entry.seq));
        let after = entries.map(|entry| Seq(entry.first.0 - 1)).fold(after, Seq::min);
        let replayed = SeqRange::new(after, through);
        if after < self.cursor.seq {
            self.processed.push(SeqRange::new(after, self.cursor.seq));
            self.cursor.seq = after;
        }
        self.processed = subtract(&self.processed, replayed);
        self.drop_retries(replayed);
    }

    fn retry(&mut self, seq: Seq, now: Timestamp) {
        for (entry, changed) in self.retries.iter_mut().filter(|(entry, _)| entry.parked && entry.seq == seq) {
            (entry.parked, entry.next_at, *changed) = (false, now, true);
        }
    }

    fn drop_retries(&mut self, range: SeqRange) {
        let dropped = self.retries.extract_if(.., |(entry, _)| range.contains(entry.seq));
        self.dropped.extend(dropped.map(|(entry, _)| entry.seq));
    }

    fn close(mut self, commands: &[QueuedCursorCommand]) -> CursorUpdate {
        let cursor = &mut self.cursor;
        self.processed.retain(|range| range.through > cursor.seq);
        let mut processed = join(self.processed);
        // A range that touches the cursor is below it.
        while let Some(range) = processed.first().filter(|range| range.after <= cursor.seq).copied() {
            cursor.seq = range.through;
            processed.remove(0);
        }
        CursorUpdate {
            cursor: self.cursor,
            processed,
            dropped: self.dropped,
            retried: self.retries.into_iter().filter(|(_, changed)| *changed).map(|(entry, _)| entry).collect(),
            commands: commands.iter().map(|queued| queued.command_id).collect(),
        }
    }
}
