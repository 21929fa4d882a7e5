//! Events as protobuf messages: the same contents as the JSON, without loss in either direction.
//!
//! `proto/unificus/v1/event.proto` is the contract and documents each field. A message that this service would not write is
//! refused with the name of the field at fault. Fields that a later release added are ignored, as is usual for protobuf.

mod attributes;
mod value;

use std::sync::Arc;

use prost::Message as _;

use super::event::{TYPE_ROOT, kind, parse_kind};
use super::generated;
use super::record::parse_uid;
use crate::domain::flips::{Flip, Flips};
use crate::domain::reference::Ref;
use crate::domain::{AccountId, Entity, Event, FIRST_EPOCH, Field, FieldChange, Record, Seq, Timestamp, Uid};

/// The media type of [`length_delimited`].
pub const CONTENT_TYPE: &str = "application/x-protobuf";

/// The message is not of this service: the named field is missing or its value is impossible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has no usable {0:?}")]
pub struct Unusable(pub &'static str);

/// The message of an event, preceded by its length in bytes as a varint, so that messages can be concatenated.
#[must_use]
pub fn length_delimited(account: AccountId, event: &Event) -> Vec<u8> {
    to_proto(account, event).encode_length_delimited_to_vec()
}

/// The message of an event.
#[must_use]
pub fn to_proto(account: AccountId, event: &Event) -> generated::Event {
    generated::Event {
        account: account.to_string(),
        seq: event.seq.0,
        r#type: [TYPE_ROOT, ".", &kind(event.record.entity, event.event_type)].concat(),
        time_us: micros(event.at),
        previous_version: event.previous_version.map(|version| version.0),
        changed: event.changed.iter().map(change).collect(),
        record: Some(record(&event.record)),
        origin: event.origin.to_string(),
        traceparent: event.traceparent.clone(),
        causationid: event.causation.clone(),
        correlationid: event.correlation.clone(),
        epoch: (event.epoch != FIRST_EPOCH).then_some(event.epoch),
    }
}

/// The event of a message, and its account.
pub fn from_proto(message: generated::Event) -> Result<(AccountId, Event), Unusable> {
    let root = message.r#type.strip_prefix(TYPE_ROOT).and_then(|kind| kind.strip_prefix('.'));
    let (entity, event_type) = root.and_then(parse_kind).ok_or(Unusable("type"))?;
    let Uid(account) = parse_uid(&message.account).ok_or(Unusable("account"))?;
    let event = Event {
        // The message leaves the first epoch out.
        epoch: message.epoch.unwrap_or(FIRST_EPOCH),
        seq: position(message.seq, "seq")?,
        at: timestamp(message.time_us, "time_us")?,
        event_type,
        previous_version: message.previous_version.map(|seq| position(seq, "previous_version")).transpose()?,
        changed: message.changed.into_iter().map(|change| read_change(entity, change)).collect::<Result<_, _>>()?,
        record: read_record(entity, message.record.ok_or(Unusable("record"))?)?,
        origin: message.origin.into(),
        traceparent: message.traceparent,
        causation: message.causationid,
        correlation: message.correlationid,
    };
    Ok((AccountId(account), event))
}

fn change(change: &FieldChange) -> generated::Change {
    generated::Change {
        field: change.field.name().to_owned(),
        from: change.from.as_ref().map(|from| value::write(change.field, from)),
        to: change.to.as_ref().map(|to| value::write(change.field, to)),
    }
}

fn read_change(entity: Entity, change: generated::Change) -> Result<FieldChange, Unusable> {
    let field = entity.field(&change.field).ok_or(Unusable("field"))?;
    let side = |side: Option<generated::Value>| side.map_or(Ok(None), |side| value::read(field, side));
    Ok(FieldChange { field, from: side(change.from)?, to: side(change.to)? })
}

fn record(record: &Record) -> generated::Record {
    let field_seq = record.field_seq.iter().map(|(field, seq)| (field.name().to_owned(), seq.0));
    generated::Record {
        uid: record.uid.to_string(),
        version: record.version.0,
        deleted: record.deleted,
        created_us: micros(record.created_at),
        updated_us: micros(record.updated_at),
        refs: record
            .refs
            .iter()
            .map(|Ref { source, id }| generated::Ref { source: source.clone(), id: id.clone() })
            .collect(),
        field_seq: field_seq.collect(),
        entity: Some(attributes::write(record)),
        field_origin: record
            .origins
            .iter()
            .map(|(field, origin)| (field.name().to_owned(), origin.to_string()))
            .collect(),
        merged_into: record.merged_into.map(|uid| uid.to_string()),
        erased: record.erased,
        flips: record.flips.0.iter().map(|(field, flips)| (field.name().to_owned(), write_flips(flips))).collect(),
    }
}

fn write_flips(flips: &[Flip]) -> generated::Flips {
    let flip = |flip: &Flip| generated::Flip { seq: flip.seq.0, time_us: micros(flip.at) };
    generated::Flips { flips: flips.iter().map(flip).collect() }
}

fn read_flips(entity: Entity, (name, flips): (String, generated::Flips)) -> Result<(Field, Vec<Flip>), Unusable> {
    let field = entity.field(&name).ok_or(Unusable("flips"))?;
    let flip =
        |flip: generated::Flip| Ok(Flip { seq: position(flip.seq, "flips")?, at: timestamp(flip.time_us, "flips")? });
    Ok((field, flips.flips.into_iter().map(flip).collect::<Result<_, _>>()?))
}

fn read_record(entity: Entity, record: generated::Record) -> Result<Record, Unusable> {
    let field_seq = record.field_seq.into_iter().map(|(name, seq)| {
        let field = entity.field(&name).ok_or(Unusable("field_seq"))?;
        Ok((field, position(seq, "field_seq")?))
    });
    let origins = record.field_origin.into_iter().map(|(name, origin)| {
        let field = entity.field(&name).ok_or(Unusable("field_origin"))?;
        Ok((field, Arc::from(origin)))
    });
    let flips = record.flips.into_iter().map(|flips| read_flips(entity, flips));
    Ok(Record {
        entity,
        uid: uid(&record.uid)?,
        version: position(record.version, "version")?,
        deleted: record.deleted,
        created_at: timestamp(record.created_us, "created_us")?,
        updated_at: timestamp(record.updated_us, "updated_us")?,
        fields: attributes::read(entity, record.entity)?,
        field_seq: field_seq.collect::<Result<_, _>>()?,
        refs: record.refs.into_iter().map(|generated::Ref { source, id }| Ref { source, id }).collect(),
        origins: origins.collect::<Result<_, _>>()?,
        merged_into: record.merged_into.as_deref().map(uid).transpose()?,
        erased: record.erased,
        flips: Flips(flips.collect::<Result<_, _>>()?),
    })
}

fn uid(text: &str) -> Result<Uid, Unusable> {
    parse_uid(text).ok_or(Unusable("uid"))
}

/// A position in the log. Zero is refused, because protobuf reads it where the field is missing.
fn position(number: i64, name: &'static str) -> Result<Seq, Unusable> {
    if number > 0 { Ok(Seq(number)) } else { Err(Unusable(name)) }
}

fn micros(at: Timestamp) -> i64 {
    // Cannot overflow, because years have four digits.
    at.unix_timestamp() * 1_000_000 + i64::from(at.microsecond())
}

fn timestamp(micros: i64, name: &'static str) -> Result<Timestamp, Unusable> {
    Timestamp::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(|_| Unusable(name))
}
