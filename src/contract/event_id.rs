//! The id of an event: unique in all time, even where a log was restored and its positions are given out again.

use std::fmt;
use std::str::FromStr;

use super::record::parse_uid;
use crate::domain::{AccountId, FIRST_EPOCH, Seq, Uid};

/// `<public id>:<seq>` in an account's first epoch, `<public id>:<epoch>:<seq>` in every later one. An event of a
/// timeline that was lost with a restore so never has the id of one that took its position.
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

/// The text is no event's id.
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
        // Each id has one form: no zeros in front, no first epoch that is written out.
        if id.seq > Seq::ZERO && id.epoch >= FIRST_EPOCH && id.to_string() == text { Ok(id) } else { Err(NotAnEventId) }
    }
}
