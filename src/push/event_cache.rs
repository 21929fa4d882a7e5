//! Bodies of events that a worker keeps in memory until they are delivered. Those that find no room are read from the
//! log again when they are sent.

use std::collections::HashMap;

use crate::contract::EncodedEvent;
use crate::domain::Seq;
use crate::feed::PAGE_BYTES;

/// Events that are kept at most.
const MAX_EVENTS: usize = 1_280;

/// Bytes of their bodies at most. A receiver that hangs holds this much memory for as long as it hangs.
const MAX_BYTES: usize = 4 * PAGE_BYTES;

/// Events by their positions.
#[derive(Default)]
pub(super) struct EventCache {
    events: HashMap<Seq, EncodedEvent>,
    bytes: usize,
    /// The position up to which events were dropped last, because an erasure has changed them in the log.
    erased: Seq,
}

impl EventCache {
    /// Drops events up to a position, once. Those that are put later were read later.
    pub(super) fn erase(&mut self, through: Seq) {
        if through > self.erased {
            self.erased = through;
            self.events.retain(|seq, _| *seq > through);
            self.bytes = self.events.values().map(|event| event.body.len()).sum();
        }
    }

    /// Keeps an event, if there is room.
    pub(super) fn put(&mut self, event: EncodedEvent) {
        self.take(event.seq);
        if self.events.len() < MAX_EVENTS && self.bytes + event.body.len() <= MAX_BYTES {
            self.bytes += event.body.len();
            self.events.insert(event.seq, event);
        }
    }

    /// True for an event that is kept.
    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.events.contains_key(&seq)
    }

    /// Takes an event out, if it was kept.
    pub(super) fn take(&mut self, seq: Seq) -> Option<EncodedEvent> {
        let event = self.events.remove(&seq)?;
        self.bytes -= event.body.len();
        Some(event)
    }

    /// Drops the events that can wait, if a page of events would not fit.
    pub(super) fn make_room(&mut self, page: usize, can_wait: impl Fn(Seq) -> bool) {
        if self.events.len() + page <= MAX_EVENTS && self.bytes + PAGE_BYTES <= MAX_BYTES {
            return;
        }
        self.events.retain(|seq, _| !can_wait(*seq));
        self.bytes = self.events.values().map(|event| event.body.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{EventCache, MAX_BYTES, MAX_EVENTS};
    use crate::contract::EncodedEvent;
    use crate::domain::{AccountId, Entity, EventType, FIRST_EPOCH, Seq, Uid};

    fn event(seq: i64, bytes: usize) -> EncodedEvent {
        EncodedEvent {
            account: AccountId(Uuid::nil()),
            epoch: FIRST_EPOCH,
            seq: Seq(seq),
            entity: Entity::Contact,
            event_type: EventType::Created,
            uid: Uid(Uuid::nil()),
            at: OffsetDateTime::UNIX_EPOCH,
            origin: "test".into(),
            body: Bytes::from(vec![b'x'; bytes]),
        }
    }

    #[test]
    fn events_are_kept_up_to_a_number_and_a_weight() {
        let mut kept = EventCache::default();
        for seq in 0..2 * 1_280 {
            kept.put(event(seq, 1));
        }
        assert_eq!((kept.events.len(), kept.bytes), (MAX_EVENTS, MAX_EVENTS));

        let mut kept = EventCache::default();
        for seq in 0..100 {
            kept.put(event(seq, MAX_BYTES / 10));
        }
        assert_eq!((kept.events.len(), kept.bytes), (10, MAX_BYTES / 10 * 10));
        kept.put(event(3, 1));
        assert_eq!((kept.events.len(), kept.bytes), (10, MAX_BYTES / 10 * 9 + 1), "an event is kept once");

        kept.erase(Seq(4));
        assert!(!kept.contains(Seq(4)) && kept.contains(Seq(5)));
        assert_eq!((kept.events.len(), kept.bytes), (5, MAX_BYTES / 10 * 5));
        kept.put(event(4, 1));
        kept.erase(Seq(4));
        assert!(kept.contains(Seq(4)), "it was read after the erasure");
        let mut kept = EventCache::default();
        for seq in 0..100 {
            kept.put(event(seq, MAX_BYTES / 10));
        }
        kept.put(event(3, 1));
        assert_eq!(kept.take(Seq(3)).map(|event| event.body.len()), Some(1));
        assert!(kept.take(Seq(99)).is_none());
        kept.make_room(1, |seq| seq.0 < 9);
        assert_eq!((kept.events.len(), kept.bytes), (1, MAX_BYTES / 10));
    }
}
