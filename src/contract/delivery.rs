//! What a webhook carries besides single events: batches, and the newest state of a record.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::EncodedEvent;
use crate::domain::Seq;

/// The media type of [`batch`] (CloudEvents 1.0, JSON format, section 4).
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// A JSON array of events, each with its own bytes.
#[must_use]
pub fn batch(events: &[EncodedEvent]) -> Bytes {
    let size = events.iter().map(|event| event.body.len() + 1).sum::<usize>() + 1;
    let mut body = BytesMut::with_capacity(size);
    for (index, event) in events.iter().enumerate() {
        body.put_u8(if index == 0 { b'[' } else { b',' });
        body.put_slice(&event.body);
    }
    body.put_u8(b']');
    body.freeze()
}

/// A batch's id: of its first and last event, and a checksum of which lie between. Whoever makes the same batch again
/// makes the same id; two batches that differ do not meet in one.
#[must_use]
pub fn batch_id(events: &[EncodedEvent]) -> String {
    let mut which = crc32fast::Hasher::new();
    for event in events {
        which.update(&event.seq.0.to_be_bytes());
    }
    let (first, last) = (events.first(), events.last().map_or(Seq::ZERO, |event| event.seq));
    format!("{}-{last}-{:08x}", first.map(EncodedEvent::id).unwrap_or_default(), which.finalize())
}

/// An event that stands for all of its record's after a position, up to itself. The extension attributes `after` and
/// `through` say so, positions in 20 digits as in `sequence`; they come first and all else is the event's own bytes.
#[must_use]
pub fn newest(event: &EncodedEvent, after: Seq) -> Bytes {
    let said = format!(r#"{{"after":"{:020}","through":"{:020}","#, after.0, event.seq.0);
    let mut body = BytesMut::with_capacity(said.len() + event.body.len());
    body.put_slice(said.as_bytes());
    body.put_slice(event.body.get(1..).unwrap_or_default());
    body.freeze()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{AccountId, Entity, EventType, FIRST_EPOCH, Timestamp, Uid};

    fn event(seq: i64) -> EncodedEvent {
        EncodedEvent {
            account: AccountId(Uuid::nil()),
            epoch: FIRST_EPOCH,
            seq: Seq(seq),
            entity: Entity::Contact,
            event_type: EventType::Created,
            uid: Uid(Uuid::nil()),
            at: Timestamp::UNIX_EPOCH,
            origin: Arc::from("o"),
            body: Bytes::from(format!(r#"{{"specversion":"1.0","sequence":"{seq:020}"}}"#)),
        }
    }

    fn events(seqs: &[i64]) -> Vec<EncodedEvent> {
        seqs.iter().copied().map(event).collect()
    }

    #[test]
    fn a_batch_is_an_array_of_the_events_own_bytes() {
        let events = events(&[3, 4, 9]);
        let text = String::from_utf8(batch(&events).to_vec()).unwrap();

        assert_eq!(text, format!("[{},{},{}]", events[0].text(), events[1].text(), events[2].text()));
    }

    #[test]
    fn the_newest_state_says_what_it_stands_for_and_is_else_the_event() {
        let sent = newest(&event(9), Seq(4));
        let mut json: Value = serde_json::from_slice(&sent).unwrap();
        let members = json.as_object_mut().unwrap();

        assert_eq!(members.remove("after").unwrap(), "00000000000000000004");
        assert_eq!(members.remove("through").unwrap(), "00000000000000000009");
        assert_eq!(json.to_string(), serde_json::from_str::<Value>(event(9).text()).unwrap().to_string());
    }

    proptest! {
        #[test]
        fn a_batchs_id_is_that_of_its_events(
            one in prop::collection::btree_set(1..50_i64, 1..20),
            other in prop::collection::btree_set(1..50_i64, 1..20),
        ) {
            let id = |seqs: &std::collections::BTreeSet<i64>| batch_id(&events(&seqs.iter().copied().collect::<Vec<_>>()));

            prop_assert_eq!(id(&one) == id(&other), one == other);
            prop_assert!(!id(&one).contains('.'), "a full stop would let one signature stand for two messages");
        }
    }
}
