//! Push endpoints: settings and their limits, signing secrets, the cursor in the account's log, the retry queue's
//! entries, and the commands that move a cursor.
//!
//! Everything here is a value or a pure function. This module knows nothing of deliveries, storage, JSON or HTTP.

mod change;
mod command;
mod cursor;
mod header;
mod health;
mod retry;
pub(crate) mod secret;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use uuid::Uuid;

pub(crate) use change::{Change, HeaderChange, SettingsChange};
pub(crate) use command::{CursorCommand, CursorUpdate, QueuedCursorCommand, apply};
pub(crate) use cursor::{EndpointCursor, EndpointSave, SeqRange, is_processed, pending_events, skip_processed};
pub(crate) use header::{Header, HeaderValue, MAX_HEADER_VALUE, header_name, header_value, is_reserved_header};
pub(crate) use health::{Health, ReportHealth};
pub(crate) use retry::{ParkedEvent, RetryEntry};
pub(crate) use secret::StoredSecret;
pub(crate) use settings::{DeliveryOrder, Mode, ModeKind, Settings, Signature};

use super::text_enum::text_enum;
use super::{AccountId, Timestamp};

text_enum! {
    /// Whether events are delivered to an endpoint.
    pub enum EndpointStatus {
        /// They are.
        Live = "live",
        /// They are not, until the endpoint's owner resumes it.
        Paused = "paused",
        /// They are not, until the endpoint's owner resumes it, because it answered 410 or failed for five days.
        Disabled = "disabled",
    }
}

/// A push endpoint. `Debug` shows neither its secrets nor the values of its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The account whose events it receives.
    pub account: AccountId,
    /// Its id, which is also the subject of the events about its health.
    pub endpoint_id: Uuid,
    /// Choices of its owner.
    pub settings: Settings,
    /// The scheme by which the present secret signs.
    pub signature: Signature,
    /// The present secret, then the previous ones that still sign.
    pub secrets: Vec<StoredSecret>,
    /// Whether events are delivered to it.
    pub status: EndpointStatus,
    /// The health that the log recorded last.
    pub reported: Health,
    /// Changes with every change of this row.
    pub revision: i64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An endpoint with its position in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointState {
    /// Settings, status and secrets.
    pub endpoint: Endpoint,
    /// The cursor.
    pub cursor: EndpointCursor,
    /// Ranges above the cursor that were processed before it went back, in order and apart.
    pub processed: Vec<SeqRange>,
    /// True while cursor commands are queued that were not applied yet.
    pub has_commands: bool,
    /// The name of the account's brand, which deliveries tell as their user agent.
    pub brand: Option<String>,
}

impl Endpoint {
    /// Pauses a live endpoint; returns false for one that is paused or disabled already, which stays so.
    pub fn pause(&mut self) -> bool {
        let is_live = self.status == EndpointStatus::Live;
        if is_live {
            self.status = EndpointStatus::Paused;
        }
        is_live
    }

    /// Makes it live again. The failures of its cursor are reset by [`CursorCommand::Resume`].
    pub fn resume(&mut self) {
        self.status = EndpointStatus::Live;
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// An endpoint with this stored secret.
    pub(crate) fn endpoint(secret: Vec<u8>) -> Endpoint {
        Endpoint {
            account: AccountId(Uuid::from_u128(1)),
            endpoint_id: Uuid::from_u128(2),
            settings: Settings { url: "https://example.org/".to_owned(), ..Settings::defaults(32) },
            signature: Signature::Hmac,
            secrets: vec![StoredSecret::current(secret)],
            status: EndpointStatus::Live,
            reported: Health::Well,
            revision: 0,
            created_at: Timestamp::UNIX_EPOCH,
        }
    }
}
