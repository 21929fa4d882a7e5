//! Decides from an account's messages in the stream how publishing goes on. Pure.
//!
//! The stream may contain anything: it may have lost messages, other clients may have published to it, and a restore of
//! the database may have ended the timeline that its messages belong to. A message therefore counts only where the log
//! has that very event, and the messages only where no gap is among them that the retention does not explain.

use std::collections::{BTreeSet, HashMap};

use crate::broker::{StoredMessage, Survey};
use crate::contract::Identity;
use crate::domain::{AccountId, Seq};
use crate::store::relay::{Logged, RelayStatus};

/// How publishing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishDecision {
    /// It continues after the last event that is published.
    Continue {
        /// The last event that is published.
        published: Seq,
        /// The stream sequence of the account's last message; zero where the account has none.
        expected_last: u64,
        /// Whether some of the account's messages are not in the log.
        has_foreign: bool,
    },
    /// The account's messages are removed and published again, because some are missing.
    Refill(Gap),
    /// It stops, because the log lacks events that were published.
    Stop {
        /// The last event that is known to be published, of a timeline that the log does not have.
        published: Seq,
    },
}

/// The messages that the stream lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// All of them.
    Everything,
    /// Messages before the first one that the retention would have kept.
    Beginning,
    /// Messages between the first and the last.
    Middle,
}

impl Gap {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Beginning => "beginning",
            Self::Middle => "middle",
        }
    }
}

/// The positions whose events [`decide`] needs from the log.
pub(super) fn seqs_to_check(status: &RelayStatus, survey: &Survey, removed: &BTreeSet<Seq>) -> Vec<Seq> {
    let seq = |stored: &Option<StoredMessage>| stored.as_ref().and_then(|stored| Some(stored.identity?.seq));
    let (first, last) = (seq(&survey.first), seq(&survey.last));
    let before = first.map(|first| before(first, removed));
    let mut seqs: Vec<Seq> = [Some(status.cursor), first, before, last].into_iter().flatten().collect();
    seqs.retain(|seq| *seq > Seq::ZERO);
    seqs.sort_unstable();
    seqs.dedup();
    seqs
}

/// The last position before another one whose message was not removed on purpose.
fn before(seq: Seq, removed: &BTreeSet<Seq>) -> Seq {
    let mut before = Seq(seq.0 - 1);
    while removed.contains(&before) {
        before = Seq(before.0 - 1);
    }
    before
}

/// Compares the stream with the log. Messages of the events `removed` may be missing: an erasure removed them.
pub(super) fn decide(
    account: AccountId,
    status: &RelayStatus,
    survey: &Survey,
    log: &HashMap<Seq, Logged>,
    removed: &BTreeSet<Seq>,
) -> PublishDecision {
    let RelayStatus { head, cursor, .. } = *status;
    if cursor > head {
        return PublishDecision::Stop { published: cursor };
    }
    let is_retained = |seq: Seq| log.get(&seq).is_some_and(|logged| logged.is_retained);
    let Some(last) = &survey.last else {
        // The messages are gone: by their age, or else the stream lost them.
        let is_lost = is_retained(cursor);
        let after_cursor = PublishDecision::Continue { published: cursor, expected_last: 0, has_foreign: false };
        return if is_lost { PublishDecision::Refill(Gap::Everything) } else { after_cursor };
    };
    let continue_after =
        |published, has_foreign| PublishDecision::Continue { published, expected_last: last.sequence, has_foreign };
    let logged = |stored: &StoredMessage| Some(stored.identity?).filter(|identity| is_logged(account, identity, log));
    let first = survey.first.as_ref().and_then(|first| first.identity).filter(|first| first.account == account);
    let Some(end) = logged(last) else {
        return match (last.identity.filter(|last| last.account == account), first) {
            // No message between is missing. They were not forged one by one, but published by a service that had these
            // events in its log.
            (Some(end), Some(first)) if survey.messages >= least(first.seq, end.seq, removed) => {
                PublishDecision::Stop { published: end.seq }
            }
            _ => continue_after(cursor, true),
        };
    };
    let Some(first) = survey.first.as_ref().and_then(logged) else {
        return continue_after(cursor.max(end.seq), true);
    };
    if is_retained(before(first.seq, removed)) {
        return PublishDecision::Refill(Gap::Beginning);
    }
    match survey.messages {
        messages if messages < least(first.seq, end.seq, removed) => PublishDecision::Refill(Gap::Middle),
        // Some messages are copies of earlier events; a copy at the end is not the end.
        messages if messages > count_through(first.seq, end.seq) => continue_after(cursor.max(end.seq), true),
        // Where this is before the cursor, the stream lost its end, as after a power cut; the events are published again.
        _ => continue_after(end.seq, false),
    }
}

/// The position before the first message, where that is an event of the log.
pub(super) fn before_first(account: AccountId, survey: &Survey, log: &HashMap<Seq, Logged>) -> Option<Seq> {
    let first = survey.first.as_ref()?.identity.filter(|first| is_logged(account, first, log))?;
    Some(Seq(first.seq.0 - 1))
}

/// Whether the log has this very event.
pub(super) fn is_logged(account: AccountId, identity: &Identity, log: &HashMap<Seq, Logged>) -> bool {
    identity.account == account && log.get(&identity.seq).is_some_and(|logged| logged.identity == *identity)
}

fn count_through(first: Seq, last: Seq) -> u64 {
    last.next().since(first)
}

/// The number of messages that must be there in any case.
fn least(first: Seq, last: Seq, removed: &BTreeSet<Seq>) -> u64 {
    let gaps = if first <= last { removed.range(first..=last).count() as u64 } else { 0 };
    count_through(first, last).saturating_sub(gaps)
}
