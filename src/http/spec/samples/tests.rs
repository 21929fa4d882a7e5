use std::collections::BTreeSet;

use serde_json::json;

use super::records::{event, record};
use crate::contract::record::{RecordJson, decode};
use crate::contract::{EncodedEvent, event};
use crate::domain::{Entity, Seq, Timestamp, Value};

const NOW: Timestamp = time::macros::datetime!(2026-11-24 03:00 UTC);

#[test]
fn a_sample_is_a_record_that_could_be() {
    for entity in Entity::ALL {
        for _ in 0..50 {
            let record = record(entity, NOW);
            assert_eq!(decode(entity, &json!(RecordJson(&record)).to_string()).expect("a record"), record);
            assert!(record.created_at <= NOW, "{record:?}");
            for (field, value) in &record.fields {
                if let Value::Text(text) = value {
                    assert_eq!(Value::parse(field.kind(), text).as_ref(), Ok(value), "{field:?}");
                }
            }
        }
    }
}

#[test]
fn no_two_samples_are_the_same() {
    let shown: BTreeSet<String> =
        (0..20).map(|_| json!(RecordJson(&record(Entity::Contact, NOW))).to_string()).collect();
    assert_eq!(shown.len(), 20);
}

#[test]
fn a_sampled_event_is_whole_at_its_place() {
    for entity in Entity::ALL {
        for seq in 1..50 {
            let sample = event(entity, Seq(seq), NOW);
            assert_eq!((sample.seq, sample.record.version), (Seq(seq), Seq(seq)));
            let (wire, _) = EncodedEvent::encode(super::NOBODY, &sample).expect("a sample has JSON");
            assert_eq!(event::decode(wire.text()).expect("an event"), sample);
        }
    }
}
