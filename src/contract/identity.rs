//! The identity of an event without its contents, used to compare a copy outside the log with the log.

use serde::Deserialize;

use super::event::{TYPE_ROOT, parse_kind};
use super::event_id::EventId;
use super::record::parse_uid;
use super::{EncodedEvent, timestamp};
use crate::domain::{AccountId, Entity, EventType, Seq, Timestamp, Uid};

/// Attributes in which any two events differ, even an event that a restore lost and the event that took its position. It holds
/// no contents, so that erasing a person from an event does not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Identity {
    pub account: AccountId,
    pub epoch: i32,
    pub seq: Seq,
    pub entity: Entity,
    pub event_type: EventType,
    pub uid: Uid,
    pub at: Timestamp,
}

impl Identity {
    /// The identity of an event of the log.
    #[must_use]
    pub fn of(event: &EncodedEvent) -> Self {
        let EncodedEvent { account, epoch, seq, entity, event_type, uid, at, .. } = *event;
        Self { account, epoch, seq, entity, event_type, uid, at }
    }

    /// The identity in the attributes of a CloudEvent; `None` where this service cannot have written it.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Attributes<'a> {
            id: &'a str,
            source: &'a str,
            r#type: &'a str,
            subject: &'a str,
            time: &'a str,
            sequence: &'a str,
        }
        let attributes: Attributes<'_> = serde_json::from_slice(body).ok()?;
        let EventId { account, epoch, seq } = attributes.id.parse().ok()?;
        let (entity, event_type) = parse_kind(attributes.r#type.strip_prefix(TYPE_ROOT)?.strip_prefix('.')?)?;
        let is_whole =
            attributes.source == format!("/accounts/{account}") && attributes.sequence == format!("{:020}", seq.0);
        let uid = parse_uid(attributes.subject)?;
        is_whole.then_some(Self {
            account,
            epoch,
            seq,
            entity,
            event_type,
            uid,
            at: timestamp::parse(attributes.time)?,
        })
    }
}
