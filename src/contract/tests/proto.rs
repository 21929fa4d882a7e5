use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::{ACCOUNT, phone_changed, shown};
use crate::contract::EncodedEvent;
use crate::contract::generated::record::Entity as Attributes;
use crate::contract::generated::value::Kind as Typed;
use crate::contract::generated::{self, Value};
use crate::contract::proto::{Unusable, from_proto, length_delimited, to_proto};
use crate::domain::fixture::arbitrary;

#[test]
fn an_event_is_a_message_that_needs_no_json() {
    let message = to_proto(ACCOUNT, &phone_changed());
    assert_eq!(message.account, "6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11");
    assert_eq!((message.seq, message.previous_version), (42, Some(37)));
    assert_eq!(message.r#type, "crm.contact.updated");
    assert_eq!(message.time_us, 1_728_000_063_123_456);
    let change = message.changed.first().expect("a change");
    assert_eq!(change.to, Some(Value { kind: Some(Typed::Text("+3106".to_owned())) }));

    let record = message.record.expect("a record");
    assert_eq!(
        (record.version, record.created_us, record.updated_us),
        (42, 1_728_000_018_000_000, 1_728_000_063_000_000)
    );
    assert_eq!(record.field_seq, [("first_name".to_owned(), 12), ("phone".to_owned(), 42)].into());
    let Some(Attributes::Contact(contact)) = record.entity else { panic!("a contact") };
    assert_eq!(contact.role(), generated::Role::Client);
    assert_eq!((contact.last_name.as_deref(), contact.title), (Some(""), None), "empty is not null");
    assert_eq!(contact.address.and_then(|address| address.city).as_deref(), Some("Rome"));
}

/// The field that a refusal names, and the change of a message that causes it.
type Fault = (&'static str, fn(&mut generated::Event));

#[test]
fn an_invalid_message_is_refused_by_the_field_at_fault() {
    let faults: [Fault; 17] = [
        ("account", |m| m.account.clear()),
        ("seq", |m| m.seq = 0),
        ("type", |m| m.r#type = "crm.contact".to_owned()),
        ("type", |m| m.r#type = "contact.updated".to_owned()),
        ("type", |m| m.r#type = "crm.planet.updated".to_owned()),
        ("time_us", |m| m.time_us = i64::MAX),
        ("previous_version", |m| m.previous_version = Some(-1)),
        ("record", |m| m.record = None),
        ("uid", |m| record(m).uid = "17".to_owned()),
        ("version", |m| record(m).version = 0),
        ("created_us", |m| record(m).created_us = i64::MIN),
        ("field_seq", |m| record(m).field_seq = [("planets".to_owned(), 7)].into()),
        ("entity", |m| record(m).entity = None),
        ("entity", |m| record(m).entity = Some(Attributes::Company(generated::Company::default()))),
        ("role", |m| {
            record(m).entity = Some(Attributes::Contact(generated::Contact { role: 4, ..Default::default() }));
        }),
        ("field", |m| change(m).field = "name".to_owned()),
        ("phone", |m| change(m).to = Some(Value { kind: None })),
    ];
    for (name, fault) in faults {
        let mut message = to_proto(ACCOUNT, &phone_changed());
        fault(&mut message);
        assert_eq!(from_proto(message), Err(Unusable(name)));
    }
    let mut message = to_proto(ACCOUNT, &phone_changed());
    change(&mut message).to = Some(Value { kind: Some(Typed::Role(1)) });
    assert_eq!(from_proto(message), Err(Unusable("phone")), "a role is no phone");
}

#[test]
fn an_empty_value_is_null() {
    let mut message = to_proto(ACCOUNT, &phone_changed());
    change(&mut message).field = "tags".to_owned();
    change(&mut message).from = Some(Value { kind: Some(Typed::Tags(generated::Tags::default())) });
    change(&mut message).to = None;
    let (_, event) = from_proto(message).expect("an event");
    assert!(event.changed.iter().all(|change| (&change.from, &change.to) == (&None, &None)), "{:?}", event.changed);
}

fn record(message: &mut generated::Event) -> &mut generated::Record {
    message.record.get_or_insert_default()
}

fn change(message: &mut generated::Event) -> &mut generated::Change {
    message.changed.first_mut().expect("a change")
}

proptest! {
    #[test]
    fn any_event_reads_as_itself((account, event) in arbitrary::event()) {
        let bytes = to_proto(account, &event).encode_to_vec();
        let message = generated::Event::decode(bytes.as_slice()).expect("a message");
        prop_assert_eq!(&message.encode_to_vec(), &bytes, "the same event is the same bytes");
        let (owner, again) = from_proto(message).expect("what we wrote we read");
        prop_assert_eq!(owner, account);
        prop_assert_eq!(shown(&again), shown(&event));
        let encoded = |account, event| EncodedEvent::encode(account, event).expect("an event has JSON");
        prop_assert_eq!(encoded(owner, &again), encoded(account, &event), "and is the same JSON");
    }

    #[test]
    fn a_feed_of_messages_is_read_one_by_one(events in vec(arbitrary::event(), 0..5)) {
        let feed: Vec<u8> = events.iter().flat_map(|(account, event)| length_delimited(*account, event)).collect();
        let mut unread = feed.as_slice();
        for expected in &events {
            let message = generated::Event::decode_length_delimited(&mut unread).expect("a message");
            let again = from_proto(message).expect("what we wrote we read");
            prop_assert_eq!(shown(&again), shown(expected));
        }
        prop_assert!(unread.is_empty());
    }
}
