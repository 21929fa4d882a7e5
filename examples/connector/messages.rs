//! The messages of the service that the machine reads and writes, as they stand in its JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The values of a record, by field.
pub type Values = BTreeMap<String, Value>;

/// A page of `GET /changes`.
#[derive(Debug, Clone, Deserialize)]
pub struct Page {
    /// The events, in the order of the log.
    #[serde(rename = "data")]
    pub events: Vec<Event>,
    /// The range that the page covers.
    pub meta: PageMeta,
}

/// The range of a page. Filters leave holes in the events, never in the range.
#[derive(Debug, Clone, Deserialize)]
pub struct PageMeta {
    /// The opaque position after the page.
    pub cursor: String,
    /// The position before the page, as a number.
    pub from_seq: u64,
    /// The position after the page, as a number.
    pub through_seq: u64,
    /// True when there are more events now.
    pub has_more: bool,
}

/// A CloudEvent of the account's log.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Such as `crm.contact.updated`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The origin of the key that made the change.
    #[serde(default)]
    pub origin: Option<String>,
    /// The change.
    pub data: EventData,
}

/// The change that an event reports.
#[derive(Debug, Clone, Deserialize)]
pub struct EventData {
    /// The event's number.
    pub seq: u64,
    /// The whole record after the event.
    pub record: Value,
}

/// A page of a list such as `GET /contacts`.
#[derive(Debug, Clone)]
pub struct ListPage {
    /// The records.
    pub records: Vec<Value>,
    /// The feed cursor at which the page was read.
    pub as_of: String,
    /// True when no page follows.
    pub is_last: bool,
}

/// One operation of `POST /sync/batch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// Identifies the operation for ever: the service executes an operation of one id once.
    pub op_id: String,
    /// `upsert`, `update`, `delete`, `restore` or `merge`.
    pub op: String,
    /// The kind of the record.
    pub entity: String,
    /// The record, by the service's identifier.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub uid: Option<String>,
    /// The record, by the other system's identifier. The service adds the origin of the calling key.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<Reference>,
    /// Fields that find an existing record where the reference does not.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty", default)]
    pub match_on: Vec<String>,
    /// The position that the changed fields are based on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<u64>,
    /// New values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub set: Values,
    /// Fields that are cleared.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unset: Vec<String>,
    /// The record that continues after a merge.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub into: Option<String>,
    /// The records that a merge takes in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub from: Vec<String>,
}

/// The identifier that a record has in another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The identifier.
    pub id: String,
}

/// The result of one operation.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct OpResult {
    /// The operation's id.
    pub op_id: Option<String>,
    /// The status that the operation would have as a request of its own.
    pub status: u16,
    /// The position of the operation's event, or of the record's last one where nothing changed.
    #[serde(default)]
    pub seq: Option<u64>,
    /// The record's identifier.
    #[serde(default)]
    pub uid: Option<String>,
    /// The whole record after the operation, unless it is deleted.
    #[serde(default)]
    pub record: Option<Value>,
    /// Fields that the policy of the account did not apply.
    #[serde(default)]
    pub rejected: Vec<String>,
    /// The reason of a failure.
    #[serde(default)]
    pub problem: Option<Value>,
}

/// The result of reading one record by its uid, for records that a list did not have.
#[derive(Debug, Clone)]
pub enum Lookup {
    /// 200: the record.
    Live(Value),
    /// 410: it was deleted.
    Gone,
    /// 404: the service knows no such record, because its log was restored from an older backup.
    Unknown,
}

/// A record of the service as the machine reads it.
#[derive(Debug, Clone)]
pub(super) struct Snapshot<'a> {
    pub(super) uid: &'a str,
    pub(super) version: u64,
    pub(super) is_deleted: bool,
    record: &'a Map<String, Value>,
}

impl<'a> Snapshot<'a> {
    /// Returns `None` for a value that is no record.
    pub(super) fn read(record: &'a Value) -> Option<Self> {
        let record = record.as_object()?;
        Some(Self {
            uid: record.get("uid")?.as_str()?,
            version: record.get("version")?.as_u64()?,
            is_deleted: record.get("deleted").and_then(Value::as_bool).unwrap_or(false),
            record,
        })
    }

    /// The value of a field; an absent one is `null`.
    pub(super) fn value(&self, field: &str) -> &'a Value {
        self.record.get(field).unwrap_or(&Value::Null)
    }

    /// The identifiers that the record has in the system of this origin.
    pub(super) fn own_references(&self, origin: &str) -> Vec<&'a str> {
        let references = self.record.get("refs").and_then(Value::as_array).into_iter().flatten();
        let own = references.filter(|reference| reference["source"] == origin);
        own.filter_map(|reference| reference["id"].as_str()).collect()
    }
}
