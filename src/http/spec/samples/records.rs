//! Random records, events and endpoints: values of the domain like any other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use time::Duration;

use super::{NOBODY, words};
use crate::broker::durable_name;
use crate::clock;
use crate::contract::erase::Eraser;
use crate::domain::endpoint::{
    DeliveryOrder, Endpoint, EndpointCursor, EndpointState, EndpointStatus, Health, Mode, ParkedEvent, Settings,
    Signature, StoredSecret,
};
use crate::domain::schema::{FieldType, Visibility};
use crate::domain::sync::conflict::LossReason;
use crate::domain::value::FieldValue;
use crate::domain::value::tags;
use crate::domain::{
    Address, Entity, Event, EventType, FIRST_EPOCH, Field, FieldChange, FieldKind, FieldOwner, FieldPolicy, Link,
    Money, NewEvent, Person, Record, Role, Seq, Target, Timestamp, Value,
};
use crate::gateway::consumers::{ConsumerView, Lag};
use crate::push::signature::SigningSecret;
use crate::store::attempts::AttemptRow;
use crate::store::erasure::{Erasure, ErasureStage};
use crate::store::sync::consumers::StoredConsumer;

/// The longest time ago that a sample was made, in seconds.
const YEAR: i64 = 365 * 24 * 3_600;

/// A record that was created some time ago.
pub(in crate::http) fn record(entity: Entity, now: Timestamp) -> Record {
    let age = words::number(1..=YEAR);
    let created = NewEvent::new(entity, clock::fresh_uid(), made(entity), changes(entity));
    Record::evolve(None, created, Seq(words::number(1..=1_000)), ago(now, age), &origin()).0
}

fn origin() -> Arc<str> {
    Arc::from("sample")
}

/// An event at this place of the log: of a new record, or of one that changes.
pub(super) fn event(entity: Entity, seq: Seq, now: Timestamp) -> Event {
    let at = ago(now, words::number(1..=YEAR));
    let event = |event_type, previous_version, (record, changed): (Record, Vec<FieldChange>)| Event {
        epoch: FIRST_EPOCH,
        seq,
        at,
        event_type,
        previous_version,
        changed,
        record,
        origin: origin(),
        traceparent: None,
        causation: None,
        correlation: None,
    };
    let uid = clock::fresh_uid();
    let created = NewEvent::new(entity, uid, made(entity), changes(entity));
    let before = Seq(words::number(1..=seq.0));
    if before == seq || !entity.event_types().contains(&EventType::Updated) {
        return event(made(entity), None, Record::evolve(None, created, seq, at, &origin()));
    }
    let (record, _) = Record::evolve(None, created, before, at - Duration::HOUR, &origin());
    let changing = [Field::Phone, Field::Tags, Field::Status].into_iter().filter(|f| entity.fields().contains(f));
    let changes = record.differences(changing.map(|field| (field, Some(value(entity, field)))).collect());
    let updated = NewEvent::new(entity, uid, EventType::Updated, changes);
    event(EventType::Updated, Some(before), Record::evolve(Some(record), updated, seq, at, &origin()))
}

pub(super) fn endpoint(now: Timestamp) -> EndpointState {
    let endpoint_id = clock::fresh_uid().0;
    let endpoint = Endpoint {
        account: NOBODY,
        endpoint_id,
        settings: Settings {
            url: format!("https://hooks.example.com/{}", words::number(1..=9_999)),
            description: words::word(words::SENTENCES).to_owned(),
            events: words::one(&Entity::ALL).map(|entity| format!("{}.*", entity.name())).into_iter().collect(),
            fields: words::chance(20).then(|| "email".to_owned()).into_iter().collect(),
            exclude_own: words::chance(50).then(|| "sample".to_owned()),
            mode: Mode::Single,
            order: words::one(&DeliveryOrder::ALL).unwrap_or(DeliveryOrder::Record),
            window: 32,
            rate: words::chance(30).then_some(50),
            headers: Vec::new(),
            timeout: std::time::Duration::from_secs(15),
        },
        signature: Signature::Hmac,
        secrets: vec![StoredSecret::current(SigningSecret::generate(rand::random()).reveal().into_bytes())],
        status: EndpointStatus::Live,
        reported: Health::Well,
        revision: 0,
        created_at: ago(now, words::number(1..=YEAR)),
    };
    let cursor = EndpointCursor {
        account: NOBODY,
        endpoint: endpoint_id,
        seq: Seq(words::number(0..=1_000)),
        failing_since: None,
        failures: 0,
        next_at: None,
    };
    EndpointState { endpoint, cursor, processed: Vec::new(), has_commands: false, brand: None }
}

/// An erasure that is done, of the contact that a request names.
pub(super) fn erasure(now: Timestamp, target: &Target) -> Erasure {
    let uid = if let Target::Uid(uid) = target { *uid } else { clock::fresh_uid() };
    let (seq, age) = (Seq(words::number(10..=1_000)), words::number(1..=YEAR));
    Erasure {
        account: NOBODY,
        uid,
        seq,
        stage: ErasureStage::Done,
        eraser: Eraser { uids: BTreeSet::from([uid]), texts: Vec::new() },
        related: Vec::new(),
        scanned: seq,
        through: Some(seq),
        events: words::number(1..=9).unsigned_abs(),
        messages: words::number(0..=9).unsigned_abs(),
        begun_at: ago(now, age),
        done_at: Some(ago(now, age - 1)),
    }
}

pub(super) fn consumer(now: Timestamp, name: &str) -> ConsumerView {
    let acknowledged = words::number(0..=1_000);
    let (pending, ack_pending) = (words::number(0..=100), words::number(0..=10));
    let counted = |number: i64| usize::try_from(number).unwrap_or_default();
    ConsumerView {
        consumer: StoredConsumer {
            account: NOBODY,
            name: name.to_owned(),
            consumer_id: clock::fresh_uid().0,
            entity: words::one(&Entity::ALL),
            start: Seq::ZERO,
            acknowledged: Seq(acknowledged),
            created_at: ago(now, words::number(1..=YEAR)),
        },
        stream: "EVENTS".to_owned(),
        durable: durable_name(NOBODY, name),
        lag: Some(Lag {
            pending: pending.unsigned_abs(),
            ack_pending: counted(ack_pending),
            delivered: Seq(acknowledged + ack_pending),
        }),
        missing: None,
    }
}

pub(super) fn attempt(now: Timestamp) -> AttemptRow {
    let (at, seq) = (ago(now, words::number(1..=86_400)), words::number(1..=1_000));
    let delivered = words::chance(80);
    AttemptRow {
        attempt_id: clock::fresh_uid().0,
        at,
        seq: Seq(seq),
        webhook_id: format!("{NOBODY}:{seq}"),
        uids: Vec::new(),
        trigger: "event".to_owned(),
        outcome: if delivered { "delivered" } else { "status" }.to_owned(),
        status: Some(if delivered { 200 } else { 500 }),
        error: None,
        duration_ms: i32::try_from(words::number(1..=900)).unwrap_or(1),
        bytes: 0,
        body: Vec::new(),
    }
}

pub(super) fn parked(now: Timestamp) -> ParkedEvent {
    ParkedEvent {
        seq: Seq(words::number(1..=1_000)),
        uid: clock::fresh_uid(),
        kind: "contact.created".to_owned(),
        attempts: 10,
        parked_at: ago(now, words::number(1..=86_400)),
    }
}

/// The type of a record's first event.
fn made(entity: Entity) -> EventType {
    entity.event_types().first().copied().unwrap_or(EventType::Created)
}

fn ago(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_sub(Duration::seconds(seconds)).unwrap_or(now)
}

/// A value for every field that must have one and for most others.
fn changes(entity: Entity) -> Vec<(Field, Option<Value>)> {
    let mut fields: BTreeMap<Field, Value> = BTreeMap::new();
    for field in entity.fields().iter().copied() {
        if !field.nullable() || field == Field::Email || words::chance(70) {
            fields.insert(field, value(entity, field));
        }
    }
    // Only what is chosen has values to choose from.
    if fields.get(&Field::Type).and_then(Value::as_text).and_then(FieldType::parse).is_some_and(FieldType::is_choice) {
        fields.insert(Field::AllowedValues, value(entity, Field::AllowedValues));
    } else {
        fields.remove(&Field::AllowedValues);
    }
    // Only fields of companies can be private.
    if fields.get(&Field::Owner).and_then(Value::as_text) != Some(FieldOwner::Company.name()) {
        fields.remove(&Field::Visibility);
    }
    // A person's addresses begin with their name.
    if let (Some(Value::Text(first)), Some(Value::Text(last))) =
        (fields.get(&Field::FirstName), fields.get(&Field::LastName))
    {
        let email = words::email(first, last);
        fields.insert(Field::Email, Value::Text(email));
    }
    fields.into_iter().map(|(field, value)| (field, Some(value))).collect()
}

fn value(entity: Entity, field: Field) -> Value {
    match field.kind() {
        FieldKind::Text(_) if field == Field::Name => Value::Text(name(entity)),
        FieldKind::Text(_) if (entity, field) == (Entity::Push, Field::Status) => {
            Value::Text(Health::Failing.name().to_owned())
        }
        FieldKind::Text(_) => Value::Text(text(field)),
        FieldKind::Email => Value::Text(words::email(words::word(words::FIRST_NAMES), words::word(words::LAST_NAMES))),
        FieldKind::Phone => Value::Text(words::phone()),
        FieldKind::Website => Value::Text(format!("https://{}.example.com", words::word(words::TRADES).to_lowercase())),
        FieldKind::Role => Value::Role(role()),
        FieldKind::Tags => {
            let drawn = words::some(words::TAGS);
            Value::Tags(tags(drawn.iter().map(String::as_str)).unwrap_or_default())
        }
        FieldKind::Words => Value::Words(words::some(words::COLORS)),
        FieldKind::Date => Value::Text(day(if field == Field::EndDate { 2027 } else { 2026 })),
        FieldKind::Time => Value::Text(format!("{:02}:{:02}", words::number(8..=18), words::number(0..=59))),
        FieldKind::Client | FieldKind::Contact => Value::Text(clock::fresh_uid().to_string()),
        FieldKind::Owner => Value::Text(words::one(&FieldOwner::ALL).unwrap_or(FieldOwner::Contact).name().to_owned()),
        FieldKind::Type => Value::Text(words::one(&FieldType::ALL).unwrap_or(FieldType::Text).name().to_owned()),
        FieldKind::Visibility => Value::Text(Visibility::Private.name().to_owned()),
        FieldKind::Id => Value::Number(words::whole(1..=999)),
        FieldKind::Money => Value::Money(Money { amount: words::whole(1..=99_999), currency: "EUR".to_owned() }),
        FieldKind::Category => Value::Text(words::word(words::TRADES).to_owned()),
        FieldKind::Audiences => Value::Audiences(vec![words::number(1..=999)]),
        FieldKind::Circles => Value::Links(vec![Link { uid: clock::fresh_uid(), name: name(Entity::Circle) }]),
        FieldKind::Custom(_) => {
            let note = Value::Text(words::word(words::SENTENCES).to_owned());
            Value::Custom(BTreeMap::from([(clock::fresh_uid(), note)]))
        }
        FieldKind::Address => address().into(),
        FieldKind::Links => Value::Links(vec![Link { uid: clock::fresh_uid(), name: words::company() }]),
        FieldKind::Person => person().into(),
        FieldKind::FieldValue => {
            let value = Some(Value::Text(words::phone()));
            Value::OfField(Box::new(FieldValue { field: Field::Phone, value }))
        }
    }
}

fn role() -> Role {
    words::one(&Role::ALL).unwrap_or(Role::Lead)
}

fn name(entity: Entity) -> String {
    let names = match entity {
        Entity::Company | Entity::Contact => return words::company(),
        Entity::Project => words::PROJECTS,
        Entity::CustomField => words::LABELS,
        Entity::Audience => words::AUDIENCES,
        Entity::Circle | Entity::Note => words::CIRCLES,
        Entity::World | Entity::Push | Entity::Conflict => words::WORLDS,
    };
    words::word(names).to_owned()
}

fn day(year: i64) -> String {
    format!("{year}-{:02}-{:02}", words::number(1..=12), words::number(1..=28))
}

/// The texts that are told apart by their field alone.
fn text(field: Field) -> String {
    match field {
        Field::NamePrefix => words::word(words::PREFIXES).to_owned(),
        Field::FirstName => words::word(words::FIRST_NAMES).to_owned(),
        Field::LastName => words::word(words::LAST_NAMES).to_owned(),
        Field::Title => words::word(words::TITLES).to_owned(),
        Field::Status => words::word(words::STATUSES).to_owned(),
        Field::BusinessSector => words::word(words::TRADES).to_owned(),
        Field::FailingSince => format!("{}T03:00:00+00:00", day(2026)),
        Field::RecordKind => Entity::Contact.name().to_owned(),
        Field::RecordUid => clock::fresh_uid().to_string(),
        Field::AttributeName => Field::Phone.name().to_owned(),
        Field::Reason => LossReason::Concurrent.name().to_owned(),
        Field::Policy => FieldPolicy::IncomingWins.name().to_owned(),
        Field::KeptOrigin => "erp".to_owned(),
        Field::LostOrigin => "shop".to_owned(),
        Field::Resolution => "kept".to_owned(),
        Field::Role
        | Field::Name
        | Field::Email
        | Field::HomeEmail
        | Field::WorkEmail
        | Field::Phone
        | Field::HomePhone
        | Field::WorkPhone
        | Field::ShopPhone
        | Field::Website
        | Field::BackgroundInfo
        | Field::Tags
        | Field::Address
        | Field::Companies
        | Field::PrimaryContact
        | Field::Category
        | Field::Circles
        | Field::Audiences
        | Field::CustomFields
        | Field::CompanyCustomFields
        | Field::TargetCustomFields
        | Field::ProjectCustomFields
        | Field::StartDate
        | Field::EndDate
        | Field::DueTime
        | Field::InfoDescription
        | Field::InfoTitleClient
        | Field::InfoDescriptionClient
        | Field::EstimatedValue
        | Field::Client
        | Field::Team
        | Field::Owner
        | Field::Type
        | Field::Description
        | Field::AllowedValues
        | Field::Id
        | Field::Contact
        | Field::Note
        | Field::Date
        | Field::Visibility
        | Field::Base
        | Field::Position
        | Field::Kept
        | Field::Lost => words::word(words::SENTENCES).to_owned(),
    }
}

fn address() -> Address {
    let (city, state, country) = words::one(words::CITIES).unwrap_or_default();
    Address {
        address_line_1: Some(format!("{} {}", words::number(1..=200), words::word(words::STREETS))),
        address_line_2: words::chance(20).then(|| format!("Floor {}", words::number(1..=9))),
        city: Some(city.to_owned()),
        state: Some(state.to_owned()),
        country: Some(country.to_owned()),
        zip: Some(format!("{:05}", words::number(1_000..=99_999))),
    }
}

fn person() -> Person {
    let (first, last) = (words::word(words::FIRST_NAMES), words::word(words::LAST_NAMES));
    Person {
        uid: clock::fresh_uid(),
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        name_prefix: words::chance(30).then(|| words::word(words::PREFIXES).to_owned()),
        email: Some(words::email(first, last)),
        role: Some(role()),
    }
}
