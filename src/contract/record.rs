//! Records in JSON.
//!
//! An event's `data.record`, the read model and the response to a GET have the same text. Keys have a fixed order: `uid`, the
//! attributes in the order of [`Entity::fields`], then the attributes that the service maintains.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use super::timestamp::{self, Seconds};
use crate::domain::flips::{Flip, Flips};
use crate::domain::reference::Ref;
use crate::domain::schema::Visibility;
use crate::domain::value::FieldValue;
use crate::domain::{Address, Entity, Field, FieldKind, Link, Number, Record, Role, Seq, Uid, Value};

/// Stored JSON that no version of this service writes.
#[derive(Debug, thiserror::Error)]
pub enum Corrupt {
    /// It is not JSON.
    #[error("is not JSON")]
    NotJson(#[from] serde_json::Error),
    /// A key is missing or its value has the wrong type.
    #[error("has no usable {0:?}")]
    Key(&'static str),
}

/// Serialises a record as clients see it.
#[derive(Debug, Clone, Copy)]
pub struct RecordJson<'a>(pub &'a Record);

impl Serialize for RecordJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("uid", &record.uid)?;
        for field in record.entity.fields() {
            map.serialize_entry(field.name(), &FieldValueJson(*field, record.fields.get(field)))?;
            if *field == Field::Address {
                map.serialize_entry("full_address", &full_address(record))?;
            }
        }
        map.serialize_entry("active", &!record.deleted)?;
        map.serialize_entry("created", &Seconds(record.created_at))?;
        map.serialize_entry("updated", &Seconds(record.updated_at))?;
        map.serialize_entry("version", &record.version)?;
        map.serialize_entry("deleted", &record.deleted)?;
        map.serialize_entry("refs", &record.refs)?;
        map.serialize_entry("field_seq", &FieldSeq(&record.field_seq))?;
        map.serialize_entry("origins", &Origins(&record.origins))?;
        if !record.flips.0.is_empty() {
            map.serialize_entry("flips", &FlipsJson(&record.flips))?;
        }
        if let Some(merged_into) = &record.merged_into {
            map.serialize_entry("merged_into", merged_into)?;
        }
        if record.erased {
            map.serialize_entry("erased", &true)?;
        }
        map.end()
    }
}

/// Serialises the value of a field. Without a value it is an empty list, an address of nulls, the default or `null`, by the
/// field's kind.
#[derive(Debug, Clone, Copy)]
pub struct FieldValueJson<'a>(pub Field, pub Option<&'a Value>);

impl Serialize for FieldValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Some(Value::Text(name)) if self.0.kind() == FieldKind::Category => Category::of(name).serialize(serializer),
            Some(Value::Links(links)) if self.0.kind() == FieldKind::Circles => {
                serializer.collect_seq(links.iter().map(|Link { uid, name }| Circle { id: *uid, name: name.into() }))
            }
            Some(value) => Plain(value).serialize(serializer),
            None => match self.0.kind() {
                FieldKind::Tags | FieldKind::Links | FieldKind::Circles | FieldKind::Audiences | FieldKind::Words => {
                    <[(); 0]>::serialize(&[], serializer)
                }
                FieldKind::Address => Address::default().serialize(serializer),
                FieldKind::Custom(_) => BTreeMap::<(), ()>::new().serialize(serializer),
                FieldKind::Visibility => serializer.serialize_str(Visibility::default().name()),
                FieldKind::Text(_)
                | FieldKind::Email
                | FieldKind::Phone
                | FieldKind::Website
                | FieldKind::Role
                | FieldKind::Person
                | FieldKind::Category
                | FieldKind::Date
                | FieldKind::Time
                | FieldKind::Money
                | FieldKind::Client
                | FieldKind::Contact
                | FieldKind::Owner
                | FieldKind::Type
                | FieldKind::Id
                | FieldKind::FieldValue => serializer.serialize_none(),
            },
        }
    }
}

/// Serialises a value without regard to its field.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Role(role) => serializer.serialize_str(role.name()),
            Value::Tags(words) | Value::Words(words) => words.serialize(serializer),
            Value::Address(address) => address.serialize(serializer),
            Value::Links(links) => links.serialize(serializer),
            Value::Person(person) => person.serialize(serializer),
            Value::Number(number) => number.serialize(serializer),
            Value::Flag(flag) => serializer.serialize_bool(*flag),
            Value::Money(money) => money.serialize(serializer),
            Value::Audiences(audiences) => audiences.serialize(serializer),
            Value::Custom(values) => serializer.collect_map(values.iter().map(|(uid, value)| (uid, Plain(value)))),
            Value::OfField(held) => {
                let FieldValue { field, value } = &**held;
                serializer.collect_map([(field.name(), FieldValueJson(*field, value.as_ref()))])
            }
        }
    }
}

/// A circle as a contact shows it.
#[derive(Serialize, Deserialize)]
struct Circle<'a> {
    id: Uid,
    name: Cow<'a, str>,
}

/// A category as a company shows it. The colour is derived from the name, so that a name has the same colour everywhere. No
/// category is a default.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Category<'a> {
    name: Cow<'a, str>,
    color: Cow<'a, str>,
    is_default: bool,
}

impl<'a> Category<'a> {
    #[expect(clippy::indexing_slicing, reason = "the remainder of a division by the length is below it")]
    fn of(name: &'a str) -> Self {
        let sum = name.to_lowercase().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let color = COLORS[sum % COLORS.len()];
        Self { name: name.into(), color: color.into(), is_default: false }
    }
}

/// Dark enough for white text on them.
const COLORS: [&str; 8] = ["#1f6f54", "#2457a6", "#8a3ffc", "#9f1853", "#a2441d", "#6f5b00", "#005d5d", "#525252"];

struct FieldSeq<'a>(&'a BTreeMap<Field, Seq>);

impl Serialize for FieldSeq<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(field, seq)| (field.name(), seq)))
    }
}

/// Origins with the fields that they wrote last. Most records have one origin, so that this is short.
struct Origins<'a>(&'a BTreeMap<Field, Arc<str>>);

impl Serialize for Origins<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (field, origin) in self.0 {
            fields.entry(origin).or_default().push(field.name());
        }
        fields.serialize(serializer)
    }
}

fn full_address(record: &Record) -> Option<String> {
    match record.fields.get(&Field::Address) {
        Some(Value::Address(address)) => address.full(),
        _ => None,
    }
}

/// How a record ended that is live no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "as in the record")]
pub struct Ending {
    #[serde(default)]
    pub merged_into: Option<Uid>,
    #[serde(default)]
    pub erased: bool,
}

/// Reads how a record ended.
pub fn ending(text: &str) -> Result<Ending, Corrupt> {
    Ok(serde_json::from_str(text)?)
}

/// Decodes the output of [`RecordJson`].
pub fn decode(entity: Entity, text: &str) -> Result<Record, Corrupt> {
    from_json(entity, serde_json::from_str(text)?)
}

/// Decodes a record from parsed JSON. Attributes that later versions added may be missing.
pub fn from_json(entity: Entity, mut json: Map<String, Json>) -> Result<Record, Corrupt> {
    let mut fields = BTreeMap::new();
    for field in entity.fields() {
        if let Some(value) = json.remove(field.name()).and_then(|value| value_from_json(*field, value).transpose()) {
            fields.insert(*field, value?);
        }
    }
    Ok(Record {
        entity,
        uid: take(&mut json, "uid")?,
        version: take(&mut json, "version")?,
        deleted: take(&mut json, "deleted")?,
        created_at: take_timestamp(&mut json, "created")?,
        updated_at: take_timestamp(&mut json, "updated")?,
        fields,
        field_seq: field_seq(entity, take(&mut json, "field_seq")?),
        refs: take::<Vec<Ref>>(&mut json, "refs")?,
        origins: match json.remove("origins") {
            Some(json) => origins(entity, serde_json::from_value(json).map_err(|_| Corrupt::Key("origins"))?),
            // Releases before 0.2 kept none.
            None => BTreeMap::new(),
        },
        flips: match json.remove("flips") {
            Some(json) => flips(entity, json).ok_or(Corrupt::Key("flips"))?,
            None => Flips::default(),
        },
        merged_into: json.contains_key("merged_into").then(|| take(&mut json, "merged_into")).transpose()?,
        erased: json.remove("erased") == Some(Json::Bool(true)),
    })
}

/// Whether the output of [`RecordJson`] is of a tombstone. Decodes nothing else.
pub fn is_deleted(text: &str) -> Result<bool, Corrupt> {
    #[derive(Deserialize)]
    struct Tombstone {
        deleted: bool,
    }
    let Tombstone { deleted } = serde_json::from_str(text)?;
    Ok(deleted)
}

/// The inverse of [`FieldValueJson`].
pub fn value_from_json(field: Field, json: Json) -> Result<Option<Value>, Corrupt> {
    let wrong = || Corrupt::Key(field.name());
    let value = match (field.kind(), json) {
        (_, Json::Null) => None,
        (FieldKind::Role, Json::String(text)) => Some(Value::Role(Role::parse(&text).ok_or_else(wrong)?)),
        (FieldKind::Tags, json) => list(json, field)?.map(Value::Tags),
        (FieldKind::Words, json) => list(json, field)?.map(Value::Words),
        (FieldKind::Audiences, json) => list(json, field)?.map(Value::Audiences),
        (FieldKind::Links, json) => list(json, field)?.map(Value::Links),
        (FieldKind::Circles, json) => {
            let links = |circles: Vec<Circle<'_>>| {
                circles.into_iter().map(|Circle { id, name }| Link { uid: id, name: name.into_owned() }).collect()
            };
            list(json, field)?.map(links).map(Value::Links)
        }
        (FieldKind::Person, json) => Some(Value::Person(serde_json::from_value(json).map_err(|_| wrong())?)),
        (FieldKind::Money, json) => Some(Value::Money(serde_json::from_value(json).map_err(|_| wrong())?)),
        (FieldKind::Id, json) => Some(Value::Number(serde_json::from_value(json).map_err(|_| wrong())?)),
        (FieldKind::Category, json) => {
            let category: Category<'_> = serde_json::from_value(json).map_err(|_| wrong())?;
            Some(Value::Text(category.name.into_owned()))
        }
        (FieldKind::Address, json) => {
            let address: Address = serde_json::from_value(json).map_err(|_| wrong())?;
            (!address.is_empty()).then(|| address.into())
        }
        (FieldKind::Visibility, Json::String(text)) => {
            let visibility = Visibility::from_name(&text).ok_or_else(wrong)?;
            (visibility != Visibility::default()).then_some(Value::Text(text))
        }
        (FieldKind::FieldValue, Json::Object(held)) => {
            let mut held = held.into_iter();
            let (Some((name, json)), None) = (held.next(), held.next()) else { return Err(wrong()) };
            let field = Field::of_records(&name).ok_or_else(wrong)?;
            Some(Value::OfField(Box::new(FieldValue { field, value: value_from_json(field, json)? })))
        }
        (FieldKind::Custom(_), Json::Object(values)) => {
            let values = values.into_iter().map(|(key, json)| Some((parse_uid(&key)?, custom_from_json(json)?)));
            let values: BTreeMap<_, _> = values.collect::<Option<_>>().ok_or_else(wrong)?;
            (!values.is_empty()).then_some(Value::Custom(values))
        }
        (
            FieldKind::Text(_)
            | FieldKind::Email
            | FieldKind::Phone
            | FieldKind::Website
            | FieldKind::Date
            | FieldKind::Time
            | FieldKind::Client
            | FieldKind::Contact
            | FieldKind::Owner
            | FieldKind::Type,
            Json::String(text),
        ) => Some(Value::Text(text)),
        _ => return Err(wrong()),
    };
    Ok(value)
}

/// Decodes the value of a custom field, whose JSON type determines its type.
fn custom_from_json(json: Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::Text(text)),
        Json::Bool(flag) => Some(Value::Flag(flag)),
        Json::Number(number) => Number::new(number.as_f64()?).map(Value::Number),
        Json::Array(_) => serde_json::from_value(json).ok().map(Value::Words),
        Json::Object(_) => serde_json::from_value(json).ok().map(Value::Money),
        Json::Null => None,
    }
}

fn list<T: serde::de::DeserializeOwned>(json: Json, field: Field) -> Result<Option<Vec<T>>, Corrupt> {
    let list: Vec<T> = serde_json::from_value(json).map_err(|_| Corrupt::Key(field.name()))?;
    Ok((!list.is_empty()).then_some(list))
}

/// Fields that a later version added are left out.
fn field_seq(entity: Entity, json: BTreeMap<String, Seq>) -> BTreeMap<Field, Seq> {
    json.into_iter().filter_map(|(name, seq)| Some((entity.field(&name)?, seq))).collect()
}

/// Flips by field, each as its position and its time.
struct FlipsJson<'a>(&'a Flips);

impl Serialize for FlipsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let flip = |flip: &Flip| FlipJson { seq: flip.seq, at: Cow::Owned(timestamp::seconds(flip.at)) };
        let of_field =
            |(field, flips): (&Field, &Vec<Flip>)| (field.name(), flips.iter().map(flip).collect::<Vec<_>>());
        serializer.collect_map(self.0.0.iter().map(of_field))
    }
}

#[derive(Serialize, Deserialize)]
struct FlipJson<'a> {
    seq: Seq,
    at: Cow<'a, str>,
}

/// The inverse of [`FlipsJson`].
fn flips(entity: Entity, json: Json) -> Option<Flips> {
    let json: BTreeMap<String, Vec<FlipJson<'static>>> = serde_json::from_value(json).ok()?;
    let flip = |flip: FlipJson<'_>| Some(Flip { seq: flip.seq, at: timestamp::parse_seconds(&flip.at)? });
    let known = json.into_iter().filter_map(|(name, flips)| Some((entity.field(&name)?, flips)));
    let fields = known.map(|(field, flips)| Some((field, flips.into_iter().map(flip).collect::<Option<Vec<_>>>()?)));
    Some(Flips(fields.collect::<Option<_>>()?))
}

/// The inverse of [`Origins`].
fn origins(entity: Entity, json: BTreeMap<Arc<str>, Vec<String>>) -> BTreeMap<Field, Arc<str>> {
    let of_origin = |(origin, names): (Arc<str>, Vec<String>)| {
        names.into_iter().filter_map(move |name| Some((entity.field(&name)?, Arc::clone(&origin))))
    };
    json.into_iter().flat_map(of_origin).collect()
}

fn take<T: serde::de::DeserializeOwned>(json: &mut Map<String, Json>, key: &'static str) -> Result<T, Corrupt> {
    json.remove(key).and_then(|value| serde_json::from_value(value).ok()).ok_or(Corrupt::Key(key))
}

fn take_timestamp(json: &mut Map<String, Json>, key: &'static str) -> Result<crate::domain::Timestamp, Corrupt> {
    json.remove(key).and_then(|value| timestamp::parse_seconds(value.as_str()?)).ok_or(Corrupt::Key(key))
}

/// Reads a uid in any text form of a UUID.
#[must_use]
pub fn parse_uid(text: &str) -> Option<Uid> {
    Uuid::try_parse(text).ok().map(Uid)
}
