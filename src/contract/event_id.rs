//! The id of an event. It stays unique when a log is restored and its positions are assigned again.

use std::fmt;
use std::str::FromStr;

use super::record::parse_uid;
use crate::domain::{AccountId, FIRST_EPOCH, Seq, Uid};

/// `<public id>:<seq>` in an account's first epoch, `<public id>:<epoch>:<seq>` in later ones. An event that a restore lost and
/// the event that takes its position have different ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EventId {
    pub account: AccountId,
    pub epoch: i32,
    pub seq: Seq,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, epoch, seq } = self;
        if *epoch == FIRST_EPOCH { write!(f, "{account}:{seq}") } else { write!(f, "{account}:{epoch}:{seq}") }
    }
}

/// The text is not the id of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an event")]
pub struct NotAnEventId;

impl FromStr for EventId {
    type Err = NotAnEventId;

    fn from_str(text: &str) -> Result<Self, NotAnEventId> {
        let (account, rest) = text.split_once(':').ok_or(NotAnEventId)?;
        let (epoch, seq) = match rest.split_once(':') {
            Some((epoch, seq)) => (epoch.parse().map_err(|_| NotAnEventId)?, seq),
            None => (FIRST_EPOCH, rest),
        };
        let Uid(account) = parse_uid(account).ok_or(NotAnEventId)?;
        let id = Self { account: AccountId(account), epoch, seq: Seq(seq.parse().map_err(|_| NotAnEventId)?) };
        // Each id has one form: no leading zeros, and the first epoch is left out.
        if id.seq > Seq::ZERO && id.epoch >= FIRST_EPOCH && id.to_string() == text { Ok(id) } else { Err(NotAnEventId) }
    }
}
