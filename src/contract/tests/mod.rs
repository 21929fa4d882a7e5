//! Tests of the contract: golden files of every kind of event, properties of any event, and the bodies of real clients.

mod cursor;
mod erase;
mod event;
mod event_id;
mod golden;
mod input;
mod proto;
mod related;
mod values;

use uuid::Uuid;

use crate::domain::fixture::{city, links, role, tags, text, timestamp, uid};
use crate::domain::flips::Flips;
use crate::domain::reference::Ref;
use crate::domain::{
    AccountId, Entity, Event, EventType, FIRST_EPOCH, Field, FieldChange, Record, Role, Seq, Timestamp,
};

const ACCOUNT: AccountId = AccountId(Uuid::from_u128(0x6f1c_33a4_0d3c_4f5e_9d6b_3f0d_9b1f_2c11));

/// A change of a contact's phone. The contact has fields of many kinds.
fn phone_changed() -> Event {
    let fields = [
        (Field::Role, role(Role::Client)),
        (Field::FirstName, text("Ann")),
        (Field::LastName, text("")),
        (Field::Email, text("ann@x.org")),
        (Field::Phone, text("+3106")),
        (Field::Tags, tags(["a", "b"])),
        (Field::Address, city("Rome")),
        (Field::Companies, links(["Acme"])),
    ];
    let record = Record {
        entity: Entity::Contact,
        uid: uid("ann@x.org"),
        version: Seq(42),
        deleted: false,
        created_at: second(12),
        updated_at: second(42),
        fields: fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect(),
        field_seq: [(Field::FirstName, Seq(12)), (Field::Phone, Seq(42))].into(),
        origins: [(Field::FirstName, "erp".into()), (Field::Phone, "tryton".into())].into(),
        flips: Flips::default(),
        merged_into: None,
        erased: false,
        refs: vec![Ref { source: "tryton".to_owned(), id: "17".to_owned() }],
    };
    Event {
        epoch: FIRST_EPOCH,
        seq: Seq(42),
        at: second(42) + time::Duration::microseconds(123_456),
        event_type: EventType::Updated,
        previous_version: Some(Seq(37)),
        changed: vec![FieldChange { field: Field::Phone, from: text("+3120"), to: text("+3106") }],
        record,
        origin: "tryton".into(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        causation: Some("op-9".to_owned()),
        correlation: Some("batch-3".to_owned()),
    }
}

fn second(seq: i64) -> Timestamp {
    timestamp(Seq(seq)).replace_nanosecond(0).expect("zero is a nanosecond")
}

/// The debug output, which shows every part, where `==` of links compares their uids only.
fn shown<T: std::fmt::Debug>(it: &T) -> String {
    format!("{it:#?}")
}
