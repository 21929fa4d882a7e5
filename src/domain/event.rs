//! Events: `decide` returns new events, and each becomes an event at its position in the log.

use std::sync::Arc;

use super::{EventType, FieldChange, Record, Seq, Timestamp};

/// An event at its position in the account's log. It holds the changes and the whole record after them, so that a reader
/// needs no other event to understand it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Event {
    /// The epoch of the log when the event was appended: [`FIRST_EPOCH`](super::FIRST_EPOCH) in a log that was never restored.
    pub epoch: i32,
    pub seq: Seq,
    pub at: Timestamp,
    pub event_type: EventType,
    /// The version of the record before this event; `None` where this event created the record.
    pub previous_version: Option<Seq>,
    pub changed: Vec<FieldChange>,
    pub record: Record,
    /// The origin of the API key that wrote the event. A partner recognises its own writes by it.
    pub origin: Arc<str>,
    /// W3C Trace Context of the request.
    pub traceparent: Option<String>,
    /// The operation that caused the event, by its sender's id.
    pub causation: Option<String>,
    /// The request that had the operation, by its sender's id.
    pub correlation: Option<String>,
}
