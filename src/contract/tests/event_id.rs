use proptest::prelude::*;

use super::{ACCOUNT, phone_changed};
use crate::contract::event::id_of;
use crate::contract::{EncodedEvent, EventId, Identity};
use crate::domain::fixture::arbitrary;
use crate::domain::{Event, FIRST_EPOCH, Seq};

#[test]
fn an_id_of_the_first_epoch_has_no_epoch_and_a_later_one_has() {
    let id = |epoch| EventId { account: ACCOUNT, epoch, seq: Seq(42) };
    assert_eq!(id(FIRST_EPOCH).to_string(), "6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11:42");
    assert_eq!(id(2).to_string(), "6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11:2:42");
    let (encoded, _) =
        EncodedEvent::encode(ACCOUNT, &Event { epoch: 2, ..phone_changed() }).expect("an event has JSON");
    assert_eq!((encoded.id(), id_of(encoded.text()).map(|id| id.epoch)), (id(2).to_string(), Some(2)));
    assert_eq!(encoded.decode().map(|event| event.epoch).ok(), Some(2));
}

#[test]
fn an_id_has_one_form() {
    let account = "6f1c33a4-0d3c-4f5e-9d6b-3f0d9b1f2c11";
    for rest in ["", ":", ":0", ":-1", ":042", ":1:42", ":0:42", ":02:42", ":2:", ":2:0", ":2:4:2", ":x", ": 4"] {
        assert!(format!("{account}{rest}").parse::<EventId>().is_err(), "{rest}");
    }
    assert!("6F1C33A4-0D3C-4F5E-9D6B-3F0D9B1F2C11:42".parse::<EventId>().is_err());
    assert!("42".parse::<EventId>().is_err());
}

#[test]
fn an_event_of_another_service_has_no_identity() {
    let (encoded, _) = EncodedEvent::encode(ACCOUNT, &phone_changed()).expect("an event has JSON");
    assert_eq!(Identity::read(&encoded.body), Some(Identity::of(&encoded)));
    for (from, to) in [
        (r#""sequence":"00000000000000000042""#, r#""sequence":"00000000000000000043""#),
        (r#""source":"/accounts/6f"#, r#""source":"/accounts/7f"#),
        ("crm.contact.updated", "crm.contact.flew"),
        (r#":42","source""#, r#":042","source""#),
    ] {
        assert!(encoded.text().contains(from), "{from}");
        assert_eq!(Identity::read(encoded.text().replacen(from, to, 1).as_bytes()), None, "{to}");
    }
    for body in ["", "{}", "null", r#"{"id":1}"#, "\u{0}"] {
        assert_eq!(Identity::read(body.as_bytes()), None, "{body}");
    }
}

proptest! {
    #[test]
    fn an_id_reads_as_itself(epoch in 1..=i32::MAX, seq in 1..=i64::MAX) {
        let id = EventId { account: ACCOUNT, epoch, seq: Seq(seq) };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn any_event_is_recognised_by_its_bytes((account, event) in arbitrary::event()) {
        let (encoded, _) = EncodedEvent::encode(account, &event).expect("an event has JSON");
        prop_assert_eq!(id_of(encoded.text()).map(|id| id.epoch), Some(event.epoch));
        prop_assert_eq!(Identity::read(&encoded.body), Some(Identity::of(&encoded)));
    }
}
