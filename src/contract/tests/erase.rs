//! Events after an erasure.

use proptest::prelude::*;

use super::{ACCOUNT, phone_changed};
use crate::contract::erase::{ErasedEvent, Eraser};
use crate::contract::event::EventOutline;
use crate::contract::{EncodedEvent, Identity};
use crate::domain::fixture::{arbitrary, text, uid};
use crate::domain::value::FieldValue;
use crate::domain::{Entity, Event, EventType, Field, FieldChange, Person, Value};

const ANN: &str = "ann@x.org";

fn eraser(texts: &[&str]) -> Eraser {
    Eraser { uids: [uid(ANN)].into(), texts: texts.iter().map(|text| (*text).to_owned()).collect() }
}

fn erased(eraser: &Eraser, event: &Event) -> Option<ErasedEvent> {
    let (encoded, _) = EncodedEvent::encode(ACCOUNT, event).unwrap();
    eraser.erase(ACCOUNT, encoded.text()).unwrap()
}

/// An event of another record, with these fields and changes.
fn of(entity: Entity, fields: &[(Field, Option<Value>)], changed: Vec<FieldChange>) -> Event {
    let mut event = phone_changed();
    event.record.entity = entity;
    event.record.uid = uid("other");
    event.record.fields = fields.iter().filter_map(|(field, value)| Some((*field, value.clone()?))).collect();
    event.record.field_seq.clear();
    event.record.origins.clear();
    event.changed = changed;
    event
}

fn ann() -> Value {
    let person = Person {
        uid: uid(ANN),
        first_name: "Ann".to_owned(),
        last_name: "Lee".to_owned(),
        name_prefix: Some("Dr".to_owned()),
        email: Some(ANN.to_owned()),
        role: None,
    };
    Value::from(person)
}

#[test]
fn an_event_of_the_contact_keeps_where_it_stands_and_nothing_of_the_person() {
    let event = phone_changed();
    let after = erased(&eraser(&[]), &event).expect("changed");
    let (before, _) = EncodedEvent::encode(ACCOUNT, &event).unwrap();
    assert!(after.is_own);
    assert_eq!(Identity::of(&after.event), Identity::of(&before));
    let decoded = after.event.decode().unwrap();
    assert_eq!(decoded.previous_version, event.previous_version);
    assert_eq!(decoded.record.version, event.record.version);
    assert!(decoded.record.erased && decoded.record.deleted && decoded.record.fields.is_empty());
    assert!(decoded.changed.is_empty() && decoded.causation.is_none() && decoded.correlation.is_none());
    let body = after.event.text();
    for text in ["Ann", ANN, "+3120", "+3106", "Rome", "Acme", "op-9", "batch-3", r#""id":"17""#] {
        assert!(!body.contains(text), "{text} in {body}");
    }
    assert!(after.event.text().contains(&after.record), "the read model has the record of the event");
}

#[test]
fn a_merged_contact_still_leads_to_the_one_that_continues_it() {
    let mut event = phone_changed();
    (event.event_type, event.record.merged_into) = (EventType::Merged, Some(uid("survivor")));
    let after = erased(&eraser(&[]), &event).expect("changed").event.decode().unwrap();
    assert_eq!((after.record.merged_into, after.record.erased), (Some(uid("survivor")), true));
}

#[test]
fn a_note_keeps_to_which_contact_it_belongs() {
    let fields = [
        (Field::Contact, text(&uid(ANN).to_string())),
        (Field::Title, text("Tea")),
        (Field::Note, text("Ann likes tea")),
    ];
    let changed = vec![FieldChange { field: Field::Note, from: None, to: text("Ann likes tea") }];
    let after = erased(&eraser(&[]), &of(Entity::Note, &fields, changed)).expect("changed");
    assert!(!after.is_own);
    let decoded = after.event.decode().unwrap();
    assert_eq!(decoded.record.fields.keys().collect::<Vec<_>>(), [&Field::Contact]);
    assert!(decoded.changed.is_empty() && decoded.causation.is_none());
    assert!(!after.event.text().contains("tea"));
}

#[test]
fn a_conflict_loses_both_values() {
    let held = |value: &str| Some(Value::OfField(Box::new(FieldValue { field: Field::Email, value: text(value) })));
    let fields = [
        (Field::RecordKind, text("contact")),
        (Field::RecordUid, text(&uid(ANN).to_string())),
        (Field::AttributeName, text("email")),
        (Field::Status, text("open")),
        (Field::Kept, held(ANN)),
        (Field::Lost, held("annie@x.org")),
    ];
    let changed = vec![FieldChange { field: Field::Lost, from: None, to: held("annie@x.org") }];
    let after = erased(&eraser(&[]), &of(Entity::Conflict, &fields, changed)).expect("changed");
    let decoded = after.event.decode().unwrap();
    assert_eq!(decoded.record.text(Field::Status), Some("open"));
    assert_eq!(decoded.record.fields.get(&Field::Kept), None);
    assert!(decoded.changed.is_empty() && !after.event.text().contains("@x.org"));
}

#[test]
fn a_company_keeps_which_contact_was_its_first_and_all_of_its_own() {
    let changed = vec![FieldChange { field: Field::PrimaryContact, from: Some(ann()), to: None }];
    let fields = [(Field::Name, text("Acme")), (Field::PrimaryContact, Some(ann()))];
    let event = of(Entity::Company, &fields, changed);
    let after = erased(&eraser(&[]), &event).expect("changed").event;
    let text = after.text();
    assert!(text.contains("Acme") && text.contains(&uid(ANN).to_string()) && text.contains("op-9"));
    assert!(!text.contains(ANN) && !text.contains("Lee") && !text.contains("Dr"), "{text}");
    let others = Eraser { uids: [uid("somebody")].into(), texts: Vec::new() };
    assert_eq!(erased(&others, &event), None, "it shows another person");
}

#[test]
fn an_id_of_a_client_goes_where_it_names_the_person() {
    let mut event = of(Entity::Company, &[(Field::Name, text("Acme"))], Vec::new());
    event.causation = Some("add ANN@x.org".to_owned());
    let after = erased(&eraser(&[ANN]), &event).expect("changed").event.decode().unwrap();
    assert_eq!((after.causation, after.correlation.as_deref()), (None, Some("batch-3")));
    assert_eq!(erased(&eraser(&["bob@x.org"]), &event), None);
}

proptest! {
    /// Whatever an event is, it keeps its position and identity, and a second erasure changes nothing.
    #[test]
    fn an_erasure_is_complete_at_once_and_changes_no_identity((account, event) in arbitrary::event(), own in any::<bool>()) {
        let named = if own { event.record.uid } else { uid(ANN) };
        let eraser = Eraser { uids: [named].into(), texts: Vec::new() };
        let (before, _) = EncodedEvent::encode(account, &event).unwrap();
        let Some(after) = eraser.erase(account, before.text()).unwrap() else {
            prop_assert!(!own || (event.record.erased && event.record.fields.is_empty()));
            return Ok(());
        };
        prop_assert_eq!(after.is_own, own);
        prop_assert_eq!(Identity::of(&after.event), Identity::of(&before));
        let (one, other) = (EventOutline::read(before.text()).unwrap(), EventOutline::read(after.event.text()).unwrap());
        prop_assert_eq!((one.seq, one.previous_version, &one.origin), (other.seq, other.previous_version, &other.origin));
        prop_assert_eq!(other.record, after.record.as_str());
        prop_assert_eq!(eraser.erase(account, after.event.text()).unwrap(), None);
        if own {
            prop_assert!(other.decode_record().unwrap().fields.is_empty());
        }
    }
}
