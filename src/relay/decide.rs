//! What an account's messages in the stream say about how far it is published. Pure.
//!
//! Anything may stand in the stream: what was lost and made anew, what somebody else published, what belongs to a
//! timeline of the log that a restore ended. So a message counts only where the log has that very event, and the
//! stream's messages only where nothing is missing among them that the retention would have kept.

use std::collections::HashMap;

use crate::broker::{StoredMessage, Survey};
use crate::contract::Identity;
use crate::domain::{AccountId, Seq};
use crate::store::relay::{Logged, RelayStatus};

/// How publishing goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishDecision {
    /// Behind an event, and behind the message at a stream sequence; zero, where the account has none.
    GoOn {
        /// Everything up to here is published.
        published: Seq,
        /// The account's last message.
        behind: u64,
        /// There are messages among the account's that the log does not explain.
        is_foreign: bool,
    },
    /// The account's messages are taken out and published again, since some are missing.
    Refill(Lack),
    /// Not at all: the log lacks events that were published.
    Stop {
        /// How far the other timeline went, as far as is known.
        published: Seq,
    },
}

/// The messages that the stream lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// All of it.
    Everything,
    /// What lies before the first message and is too young for the retention to have removed it.
    Beginning,
    /// Messages between the first and the last.
    Middle,
}

impl Lack {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Beginning => "beginning",
            Self::Middle => "middle",
        }
    }
}

/// The positions of the log that [`judge`] asks about.
pub(super) fn asked(standing: &RelayStatus, survey: &Survey) -> Vec<Seq> {
    let seq = |stored: &Option<StoredMessage>| stored.as_ref().and_then(|stored| Some(stored.identity?.seq));
    let (first, last) = (seq(&survey.first), seq(&survey.last));
    let before = first.map(|first| Seq(first.0 - 1));
    let mut asked: Vec<Seq> = [Some(standing.cursor), first, before, last].into_iter().flatten().collect();
    asked.retain(|seq| *seq > Seq::ZERO);
    asked.sort_unstable();
    asked.dedup();
    asked
}

/// Compares the stream with the log.
pub(super) fn judge(
    account: AccountId,
    standing: &RelayStatus,
    survey: &Survey,
    log: &HashMap<Seq, Logged>,
) -> PublishDecision {
    let RelayStatus { head, cursor, .. } = *standing;
    if cursor > head {
        return PublishDecision::Stop { published: cursor };
    }
    let is_retained = |seq: Seq| log.get(&seq).is_some_and(|logged| logged.is_retained);
    let Some(last) = &survey.last else {
        // What was published is gone: by its age, or else by no doing of ours.
        let is_lost = is_retained(cursor);
        let all = PublishDecision::GoOn { published: cursor, behind: 0, is_foreign: false };
        return if is_lost { PublishDecision::Refill(Lack::Everything) } else { all };
    };
    let go_on = |published, is_foreign| PublishDecision::GoOn { published, behind: last.sequence, is_foreign };
    let logged = |stored: &StoredMessage| Some(stored.identity?).filter(|identity| is_logged(account, identity, log));
    let first = survey.first.as_ref().and_then(|first| first.identity).filter(|first| first.account == account);
    let Some(end) = logged(last) else {
        return match (last.identity.filter(|last| last.account == account), first) {
            // Everything between is there: so many messages were not forged one by one, but published by a service that
            // had these events in its log.
            (Some(end), Some(first)) if survey.messages >= through(first.seq, end.seq) => {
                PublishDecision::Stop { published: end.seq }
            }
            _ => go_on(cursor, true),
        };
    };
    let Some(first) = survey.first.as_ref().and_then(logged) else {
        return go_on(cursor.max(end.seq), true);
    };
    let expected = through(first.seq, end.seq);
    if is_retained(Seq(first.seq.0 - 1)) {
        return PublishDecision::Refill(Lack::Beginning);
    }
    match survey.messages {
        messages if messages < expected => PublishDecision::Refill(Lack::Middle),
        // A copy of an earlier event at the end is not the end.
        messages if messages > expected => go_on(cursor.max(end.seq), true),
        // Behind the cursor: the stream lost its end, as after a power cut, and gets it again.
        _ => go_on(end.seq, false),
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

fn through(first: Seq, last: Seq) -> u64 {
    last.next().since(first)
}
