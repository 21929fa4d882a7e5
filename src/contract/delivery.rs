//! The message of a webhook delivery: one event, a batch of events, or the newest state of a record.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::EncodedEvent;
use super::event::CONTENT_TYPE;
use crate::domain::Seq;
use crate::domain::endpoint::Mode;

/// The media type of [`batch`] (CloudEvents 1.0, JSON format, section 4).
pub(crate) const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// A delivery as it is signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeliveryMessage {
    /// `webhook-id`: the same for every attempt of the same events.
    pub id: String,
    /// The request's body.
    pub body: Bytes,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The trace context (W3C) of the event. A batch has none, because its events belong to several traces.
    pub traceparent: Option<String>,
}

impl DeliveryMessage {
    /// Builds the message of events, which are in the order of the log; `None` where there is no event, or none with a
    /// body. A single event that stands for others of its record names the position `after` which it does.
    #[must_use]
    pub(crate) fn of(mode: Mode, events: &[EncodedEvent], after: Option<Seq>) -> Option<Self> {
        let event = events.first()?;
        Some(match (mode, after) {
            (Mode::Batch { .. }, _) => Self {
                id: batch_id(event, events),
                body: batch(events),
                content_type: BATCH_CONTENT_TYPE,
                traceparent: None,
            },
            (Mode::Single | Mode::Latest { .. }, after) => Self {
                id: event.id(),
                body: match after {
                    Some(after) => newest(event, after)?,
                    None => event.body.clone(),
                },
                content_type: CONTENT_TYPE,
                traceparent: event.traceparent().map(str::to_owned),
            },
        })
    }
}

/// A JSON array of events, each with its own bytes.
fn batch(events: &[EncodedEvent]) -> Bytes {
    let size = events.iter().map(|event| event.body.len() + 1).sum::<usize>() + 1;
    let mut body = BytesMut::with_capacity(size);
    for (index, event) in events.iter().enumerate() {
        body.put_u8(if index == 0 { b'[' } else { b',' });
        body.put_slice(&event.body);
    }
    body.put_u8(b']');
    body.freeze()
}

/// The id of a batch: the id of its first event, the position of its last, and a checksum over the positions of all. The
/// same batch has the same id again; two batches that differ have two.
fn batch_id(first: &EncodedEvent, events: &[EncodedEvent]) -> String {
    let mut positions = crc32fast::Hasher::new();
    for event in events {
        positions.update(&event.seq.0.to_be_bytes());
    }
    let last = events.last().map_or(first.seq, |event| event.seq);
    format!("{}-{last}-{:08x}", first.id(), positions.finalize())
}

/// The body of an event that stands for all of its record's events after a position, up to itself. The extension
/// attributes `after` and `through` name the positions in 20 digits, as `sequence` does. They come first; the rest is the
/// event's own bytes.
fn newest(event: &EncodedEvent, after: Seq) -> Option<Bytes> {
    let attributes = format!(r#"{{"after":"{:020}","through":"{:020}","#, after.0, event.seq.0);
    // The attributes replace the event's own opening brace.
    let members = event.body.get(1..)?;
    let mut body = BytesMut::with_capacity(attributes.len() + members.len());
    body.put_slice(attributes.as_bytes());
    body.put_slice(members);
    Some(body.freeze())
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
    fn the_newest_state_names_the_events_that_it_stands_for_and_is_otherwise_the_event() {
        let sent = newest(&event(9), Seq(4)).unwrap();
        let mut json: Value = serde_json::from_slice(&sent).unwrap();
        let members = json.as_object_mut().unwrap();

        assert_eq!(members.remove("after").unwrap(), "00000000000000000004");
        assert_eq!(members.remove("through").unwrap(), "00000000000000000009");
        assert_eq!(json.to_string(), serde_json::from_str::<Value>(event(9).text()).unwrap().to_string());
    }

    #[test]
    fn a_message_is_that_of_its_mode() {
        let traced = EncodedEvent {
            body: Bytes::from_static(br#"{"specversion":"1.0","traceparent":"00-a-b-01","data":{}}"#),
            ..event(9)
        };
        let single = DeliveryMessage::of(Mode::Single, std::slice::from_ref(&traced), None).unwrap();
        assert_eq!((&single.id, &single.body), (&traced.id(), &traced.body));
        assert_eq!((single.content_type, single.traceparent.as_deref()), (CONTENT_TYPE, Some("00-a-b-01")));

        let latest = Mode::Latest { debounce: std::time::Duration::ZERO };
        let newest_state = DeliveryMessage::of(latest, std::slice::from_ref(&traced), Some(Seq(4))).unwrap();
        assert_eq!(newest_state, DeliveryMessage { body: newest(&traced, Seq(4)).unwrap(), ..single });

        let batched = DeliveryMessage::of(Mode::Batch { max: 2 }, &[event(8), traced.clone()], None).unwrap();
        assert_eq!((batched.content_type, batched.traceparent), (BATCH_CONTENT_TYPE, None));
        assert_eq!(batched.body, batch(&[event(8), traced]));

        assert_eq!(DeliveryMessage::of(Mode::Single, &[], None), None);
    }

    proptest! {
        #[test]
        fn a_batchs_id_is_that_of_its_events(
            one in prop::collection::btree_set(1..50_i64, 1..20),
            other in prop::collection::btree_set(1..50_i64, 1..20),
        ) {
            let id = |seqs: &std::collections::BTreeSet<i64>| {
                let events = events(&seqs.iter().copied().collect::<Vec<_>>());
                DeliveryMessage::of(Mode::Batch { max: 100 }, &events, None).unwrap().id
            };

            prop_assert_eq!(id(&one) == id(&other), one == other);
            prop_assert!(!id(&one).contains('.'), "a full stop would let one signature stand for two messages");
        }
    }
}
