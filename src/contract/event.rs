//! Events as CloudEvents 1.0 in structured JSON mode: the bytes that the log stores and every channel sends.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value as Json};

use super::event_id::EventId;
use super::record::{self, Corrupt, FieldValueJson, RecordJson};
use super::timestamp::{self, Micros};
use crate::domain::{AccountId, Entity, Event, EventType, FieldChange, Record, Seq, Timestamp, Uid};

/// The root of every event type. It names no brand, because the product is a white label.
pub const TYPE_ROOT: &str = "crm";

/// The media type of [`EncodedEvent::body`].
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The bytes of a body in which its event's id ends.
const ID_WITHIN: usize = 128;

/// The bytes of most records, and of an event's text besides its record and its changes.
const RECORD_BYTES: usize = 2 << 10;
const ENVELOPE_BYTES: usize = 1 << 10;

/// The end of an [`Envelope`]: its `data` and itself.
const CLOSING: &str = "}}";

/// An event that has no JSON. Nothing of it may be appended: a log keeps whole events only.
#[derive(Debug, thiserror::Error)]
#[error("encoding event {seq} of account {account} failed")]
pub struct EncodeError {
    account: AccountId,
    seq: Seq,
    source: serde_json::Error,
}

/// An encoded event with the attributes that readers need to route it without parsing. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EncodedEvent {
    pub account: AccountId,
    /// The epoch of the log in which the event was appended.
    pub epoch: i32,
    pub seq: Seq,
    pub entity: Entity,
    pub event_type: EventType,
    pub uid: Uid,
    pub at: Timestamp,
    pub origin: Arc<str>,
    /// The structured CloudEvent, UTF-8.
    pub body: Bytes,
}

impl EncodedEvent {
    /// Encodes an event of an account. Returns it with the text of its record, which the read model stores too.
    pub fn encode(account: AccountId, event: &Event) -> Result<(Self, String), EncodeError> {
        let failed = |source| EncodeError { account, seq: event.seq, source };
        let record = to_text(&RecordJson(&event.record), RECORD_BYTES).map_err(failed)?;
        // Without escapes the changes are not longer than the record, whose keys they repeat.
        let capacity = ENVELOPE_BYTES + 2 * record.len();
        let mut body = to_text(&Envelope { account, event }, capacity).map_err(failed)?;
        // The record comes last in `data`, so that it is serialised once for both the event and the read model.
        body.truncate(body.len() - CLOSING.len());
        body.push_str(r#","record":"#);
        body.push_str(&record);
        body.push_str(CLOSING);
        let event = Self {
            account,
            epoch: event.epoch,
            seq: event.seq,
            entity: event.record.entity,
            event_type: event.event_type,
            uid: event.record.uid,
            at: event.at,
            origin: Arc::clone(&event.origin),
            body: Bytes::from(body),
        };
        Ok((event, record))
    }

    /// The event's id: stable over every delivery on every channel.
    #[must_use]
    pub fn id(&self) -> String {
        EventId { account: self.account, epoch: self.epoch, seq: self.seq }.to_string()
    }

    /// `contact.created`: the type without its root.
    #[must_use]
    pub fn kind(&self) -> String {
        kind(self.entity, self.event_type)
    }

    /// The trace context of the event's request, where the request had one. [`Envelope`] writes it before `data`.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        let (envelope, _) = self.text().split_once(r#","data":{"#)?;
        let (_, rest) = envelope.split_once(r#","traceparent":""#)?;
        rest.split('"').next()
    }

    /// The names of the fields that changed, sorted.
    pub fn changed_fields(&self) -> Result<Vec<String>, Corrupt> {
        #[derive(serde::Deserialize)]
        struct Changed<'a> {
            #[serde(borrow)]
            changed: std::collections::BTreeMap<String, &'a serde_json::value::RawValue>,
        }
        #[derive(serde::Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            data: Changed<'a>,
        }
        let envelope: Envelope<'_> = serde_json::from_str(self.text())?;
        Ok(envelope.data.changed.into_keys().collect())
    }

    /// The body as text.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the body is made from a String, by `encode` or from a column of type text")]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }

    /// Decodes the whole event.
    pub fn decode(&self) -> Result<Event, Corrupt> {
        decode(self.text())
    }
}

/// The id of the event with this body. Reads its first bytes only: every released shape has the id in second place.
#[must_use]
pub fn id_of(body: &str) -> Option<EventId> {
    // A cut within a character is no error of the body: the id ends before it, and all of its characters are ASCII.
    let beginning = body.get(..body.floor_char_boundary(ID_WITHIN))?;
    let (_, rest) = beginning.split_once(r#""id":""#)?;
    rest.split_once('"')?.0.parse().ok()
}

/// `contact.created`.
#[must_use]
pub fn kind(entity: Entity, event_type: EventType) -> String {
    [entity.name(), ".", event_type.name()].concat()
}

/// The inverse of [`kind`].
#[must_use]
pub fn parse_kind(kind: &str) -> Option<(Entity, EventType)> {
    let (entity, event_type) = kind.split_once('.')?;
    Some((Entity::from_name(entity)?, EventType::from_name(event_type)?))
}

/// JSON text in a buffer of this capacity, which grows where it is too small.
fn to_text(value: &impl Serialize, capacity: usize) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(capacity);
    serde_json::to_writer(&mut bytes, value)?;
    String::from_utf8(bytes).map_err(serde_json::Error::custom)
}

/// The event without its record.
struct Envelope<'a> {
    account: AccountId,
    event: &'a Event,
}

impl Serialize for Envelope<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("specversion", "1.0")?;
        let id = EventId { account: self.account, epoch: event.epoch, seq: event.seq };
        map.serialize_entry("id", &format_args!("{id}"))?;
        map.serialize_entry("source", &format_args!("/accounts/{}", self.account))?;
        map.serialize_entry(
            "type",
            &format_args!("{TYPE_ROOT}.{}.{}", event.record.entity.name(), event.event_type.name()),
        )?;
        map.serialize_entry("subject", &event.record.uid)?;
        map.serialize_entry("time", &Micros(event.at))?;
        map.serialize_entry("sequence", &format_args!("{:020}", event.seq.0))?;
        map.serialize_entry("partitionkey", &event.record.uid)?;
        map.serialize_entry("origin", &*event.origin)?;
        if let Some(causation) = &event.causation {
            map.serialize_entry("causationid", causation)?;
        }
        if let Some(correlation) = &event.correlation {
            map.serialize_entry("correlationid", correlation)?;
        }
        if let Some(traceparent) = &event.traceparent {
            map.serialize_entry("traceparent", traceparent)?;
        }
        map.serialize_entry("datacontenttype", "application/json")?;
        map.serialize_entry("data", &Data(event))?;
        map.end()
    }
}

struct Data<'a>(&'a Event);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seq", &self.0.seq)?;
        map.serialize_entry("previous_version", &self.0.previous_version)?;
        map.serialize_entry("changed", &Changed(&self.0.changed))?;
        map.end()
    }
}

struct Changed<'a>(&'a [FieldChange]);

impl Serialize for Changed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|change| (change.field.name(), FromTo(change))))
    }
}

struct FromTo<'a>(&'a FieldChange);

impl Serialize for FromTo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FieldChange { field, from, to } = self.0;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("from", &FieldValueJson(*field, from.as_ref()))?;
        map.serialize_entry("to", &FieldValueJson(*field, to.as_ref()))?;
        map.end()
    }
}

/// Decodes an event of any released shape.
pub fn decode(text: &str) -> Result<Event, Corrupt> {
    let mut json: Map<String, Json> = serde_json::from_str(text)?;
    let kind = string(&mut json, "type")?;
    let root = kind.strip_prefix(TYPE_ROOT).and_then(|kind| kind.strip_prefix('.'));
    let (entity, event_type) = root.and_then(parse_kind).ok_or(Corrupt::Key("type"))?;
    let id: EventId = string(&mut json, "id")?.parse().map_err(|_| Corrupt::Key("id"))?;
    let mut data = object(&mut json, "data")?;
    let previous_version = match data.remove("previous_version") {
        None | Some(Json::Null) => None,
        Some(version) => Some(version.as_i64().map(Seq).ok_or(Corrupt::Key("previous_version"))?),
    };
    let mut optional = |key: &'static str| match json.remove(key) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(Corrupt::Key(key)),
    };
    let traceparent = optional("traceparent")?;
    let causation = optional("causationid")?;
    let correlation = optional("correlationid")?;
    Ok(Event {
        epoch: id.epoch,
        seq: data.remove("seq").and_then(|seq| seq.as_i64()).map(Seq).ok_or(Corrupt::Key("seq"))?,
        at: timestamp::parse(&string(&mut json, "time")?).ok_or(Corrupt::Key("time"))?,
        event_type,
        previous_version,
        changed: changes(entity, object(&mut data, "changed")?)?,
        record: record::from_json(entity, object(&mut data, "record")?)?,
        origin: string(&mut json, "origin")?.into(),
        traceparent,
        causation,
        correlation,
    })
}

/// An event of any released shape without its changes, and with its record as text. Reading it takes a fraction of the time
/// that [`decode`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct EventOutline<'a> {
    pub id: EventId,
    pub entity: Entity,
    pub event_type: EventType,
    pub at: Timestamp,
    pub origin: Cow<'a, str>,
    pub seq: Seq,
    pub previous_version: Option<Seq>,
    /// The record, byte for byte.
    pub record: &'a str,
}

impl<'a> EventOutline<'a> {
    /// Reads an event. Its changes must be JSON, and are not read.
    pub fn read(text: &'a str) -> Result<Self, Corrupt> {
        #[derive(Deserialize)]
        struct DataJson<'a> {
            seq: Seq,
            #[serde(default)]
            previous_version: Option<Seq>,
            #[serde(borrow)]
            record: &'a serde_json::value::RawValue,
        }
        #[derive(Deserialize)]
        struct EventJson<'a> {
            id: &'a str,
            #[serde(rename = "type")]
            kind: &'a str,
            time: &'a str,
            #[serde(borrow)]
            origin: Cow<'a, str>,
            #[serde(borrow)]
            data: DataJson<'a>,
        }
        let EventJson { id, kind, time, origin, data } = serde_json::from_str(text)?;
        let kind = kind.strip_prefix(TYPE_ROOT).and_then(|kind| kind.strip_prefix('.'));
        let (entity, event_type) = kind.and_then(parse_kind).ok_or(Corrupt::Key("type"))?;
        Ok(Self {
            id: id.parse().map_err(|_| Corrupt::Key("id"))?,
            entity,
            event_type,
            at: timestamp::parse(time).ok_or(Corrupt::Key("time"))?,
            origin,
            seq: data.seq,
            previous_version: data.previous_version,
            record: data.record.get(),
        })
    }

    /// Returns the event without its record, in the two pieces of the text around it.
    pub fn without_record(text: &'a str) -> Result<[&'a str; 2], Corrupt> {
        let record = Self::read(text)?.record;
        // Every released shape has the record last in `data`, behind another member.
        let (before, after) = text.rsplit_once(record).ok_or(Corrupt::Key("record"))?;
        let before = before.strip_suffix(r#","record":"#).ok_or(Corrupt::Key("record"))?;
        Ok([before, after])
    }

    /// Decodes the record.
    pub fn decode_record(&self) -> Result<Record, Corrupt> {
        record::decode(self.entity, self.record)
    }
}

/// The changes in the order of [`Field`], which is the order of [`Event::changed`].
fn changes(entity: Entity, json: Map<String, Json>) -> Result<Vec<FieldChange>, Corrupt> {
    let mut changes = Vec::with_capacity(json.len());
    for (name, change) in json {
        let field = entity.field(&name).ok_or(Corrupt::Key("changed"))?;
        let Json::Object(mut change) = change else { return Err(Corrupt::Key("changed")) };
        // A side that is absent reads as null.
        let mut side = |key| record::value_from_json(field, change.remove(key).unwrap_or(Json::Null));
        changes.push(FieldChange { field, from: side("from")?, to: side("to")? });
    }
    changes.sort_unstable_by_key(|change| change.field);
    Ok(changes)
}

fn string(json: &mut Map<String, Json>, key: &'static str) -> Result<String, Corrupt> {
    match json.remove(key) {
        Some(Json::String(text)) => Ok(text),
        _ => Err(Corrupt::Key(key)),
    }
}

fn object(json: &mut Map<String, Json>, key: &'static str) -> Result<Map<String, Json>, Corrupt> {
    match json.remove(key) {
        Some(Json::Object(object)) => Ok(object),
        _ => Err(Corrupt::Key(key)),
    }
}
