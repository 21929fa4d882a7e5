//! The contents of one request.

use std::collections::HashSet;

use super::pending::{PendingEvent, PendingEvents};
use super::policy::{DeliveryPolicy, OrderKey};
use super::retry_queue::RetryQueue;
use crate::domain::endpoint::RetryEntry;
use crate::domain::{Seq, Timestamp};

/// Bytes of events in one body. A delivery ends before the event that would exceed it, unless that event is its first.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// One delivery: its events in the order of the log, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// The events that are sent.
    pub events: Vec<Seq>,
    /// In mode `latest` the one event stands for those of its record after this position.
    pub after: Option<Seq>,
    /// Attempts that were made before this one.
    pub attempts: u32,
}

impl Delivery {
    /// The delivery's id while it is in flight: the position of its first event.
    #[must_use]
    pub(crate) fn id(&self) -> Seq {
        // A delivery has at least one event, see `DeliveryDraft::close`.
        self.events.first().copied().unwrap_or_default()
    }

    pub(super) fn last(&self) -> Seq {
        self.events.last().copied().unwrap_or_default()
    }
}

/// A delivery with the state that its outcome is applied to.
#[derive(Debug, Clone)]
pub(super) struct PlannedDelivery {
    pub(super) delivery: Delivery,
    /// The pending event (by its span start) or the retry entry that the delivery was planned for.
    pub(super) anchor: Seq,
    /// The pending events in it, by their span starts.
    pub(super) pending: Vec<Seq>,
    pub(super) keys: Vec<OrderKey>,
    /// True where it may be sent while others are in flight; false for a batch that could still grow.
    pub(super) ready: bool,
}

/// Builds deliveries from pending events and retry entries; changes neither.
pub(super) struct DeliveryBuilder<'a> {
    pub(super) policy: DeliveryPolicy,
    pub(super) pending: &'a PendingEvents,
    pub(super) retry_queue: &'a RetryQueue,
    /// Keys of deliveries in flight.
    pub(super) busy: &'a HashSet<OrderKey>,
}

impl DeliveryBuilder<'_> {
    /// Plans the delivery of a pending event, which is named by its span start.
    pub(super) fn plan_pending(&self, anchor: Seq) -> Option<PlannedDelivery> {
        match self.policy.batch() {
            None => self.single_pending(anchor),
            Some(max) => self.pending_batch(anchor, max),
        }
    }

    /// Plans the delivery of a retry entry, and of the entries that are sent with it.
    pub(super) fn plan_retry(&self, anchor: Seq, now: Timestamp) -> Option<PlannedDelivery> {
        let entry = self.retry_queue.get(anchor)?;
        Some(match self.policy.batch() {
            None => self.single_retry(entry),
            Some(max) => self.retry_batch(entry, max, now),
        })
    }

    fn single_pending(&self, anchor: Seq) -> Option<PlannedDelivery> {
        let event = self.pending.get(anchor)?;
        let mut draft = DeliveryDraft::new(anchor, 1);
        draft.add_pending(anchor, event);
        Some(draft.close(self.after(anchor), 0, true))
    }

    fn single_retry(&self, entry: &RetryEntry) -> PlannedDelivery {
        let mut draft = DeliveryDraft::new(entry.seq, 1);
        draft.add(entry.seq, self.retry_queue.key(entry), None);
        // An entry that was queued in mode `latest` still names the events that it stands for in another mode.
        let after = if entry.first < entry.seq { Some(before(entry.first)) } else { self.after(entry.first) };
        draft.close(after, entry.attempts, true)
    }

    fn after(&self, first: Seq) -> Option<Seq> {
        self.policy.is_latest().then(|| before(first))
    }

    /// A batch that failed is sent again unchanged. Any other one takes all free events from the anchor on, in order.
    fn pending_batch(&self, anchor: Seq, max: usize) -> Option<PlannedDelivery> {
        let batch = self.pending.get(anchor)?.batch;
        let mut draft = DeliveryDraft::new(anchor, max);
        let mut blocked = HashSet::new();
        for (span_start, event) in self.pending.iter() {
            let is_member = match batch {
                Some(_) => event.batch == batch,
                None => {
                    span_start >= anchor
                        && event.batch.is_none()
                        && self.is_free(event)
                        && !blocked.contains(&event.key)
                }
            };
            if !is_member {
                // Later events of the same record wait for this one.
                blocked.insert(event.key);
            } else if draft.has_room_for(event.bytes) || batch.is_some() {
                draft.add_pending(span_start, event);
            } else {
                return Some(draft.close(None, 0, true));
            }
        }
        let ready = batch.is_some() || draft.is_full();
        Some(draft.close(None, 0, ready))
    }

    fn is_free(&self, event: &PendingEvent) -> bool {
        !self.busy.contains(&event.key)
    }

    /// A batch that failed is sent again unchanged, and so is a single event that failed. Any other one takes the due
    /// entries that were never sent.
    fn retry_batch(&self, anchor: &RetryEntry, max: usize, now: Timestamp) -> PlannedDelivery {
        let mut draft = DeliveryDraft::new(anchor.seq, max);
        if let Some(batch) = self.retry_queue.batch_of(anchor) {
            for entry in batch.iter().filter_map(|seq| self.retry_queue.get(*seq)) {
                draft.add(entry.seq, self.retry_queue.key(entry), None);
            }
        } else if anchor.attempts > 0 {
            draft.add(anchor.seq, self.retry_queue.key(anchor), None);
        } else {
            self.add_unsent(&mut draft, anchor, now);
        }
        draft.close(None, anchor.attempts, true)
    }

    /// Adds the anchor, then the entries that were never sent: of the anchor's record first, then of each record whose head
    /// is due.
    fn add_unsent(&self, draft: &mut DeliveryDraft, anchor: &RetryEntry, now: Timestamp) {
        draft.add(anchor.seq, self.retry_queue.key(anchor), self.retry_queue.bytes(anchor.seq));
        let due = self.retry_queue.heads().take_while(|other| other.next_at <= now);
        let others = due.filter(|other| other.seq != anchor.seq);
        for key in std::iter::once(anchor).chain(others).map(|entry| self.retry_queue.key(entry)) {
            if self.busy.contains(&key) {
                continue;
            }
            let queue = self.retry_queue.queue(key).iter().filter_map(|seq| self.retry_queue.get(*seq));
            for entry in queue.filter(|entry| entry.seq != anchor.seq) {
                let bytes = self.retry_queue.bytes(entry.seq);
                // An entry whose size is unknown is taken for one that fills a body.
                if entry.attempts > 0 || entry.batch.is_some() || !draft.has_room_for(bytes.unwrap_or(MAX_BODY)) {
                    break;
                }
                draft.add(entry.seq, key, bytes);
            }
            if draft.is_full() {
                break;
            }
        }
    }
}

/// A delivery that events are added to.
struct DeliveryDraft {
    anchor: Seq,
    /// Events that it may hold.
    max: usize,
    bytes: usize,
    events: Vec<Seq>,
    pending: Vec<Seq>,
    keys: Vec<OrderKey>,
}

impl DeliveryDraft {
    fn new(anchor: Seq, max: usize) -> Self {
        Self { anchor, max, bytes: 0, events: Vec::new(), pending: Vec::new(), keys: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.max
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        // Each event takes a comma or a bracket besides.
        self.events.is_empty() || !self.is_full() && self.bytes + bytes + 2 <= MAX_BODY
    }

    fn add_pending(&mut self, span_start: Seq, event: &PendingEvent) {
        self.add(event.seq, event.key, Some(event.bytes));
        self.pending.push(span_start);
    }

    /// An event of unknown size fills the delivery.
    fn add(&mut self, seq: Seq, key: OrderKey, bytes: Option<usize>) {
        self.bytes += bytes.unwrap_or(MAX_BODY) + 1;
        self.events.push(seq);
        self.keys.push(key);
    }

    fn close(mut self, after: Option<Seq>, attempts: u32, ready: bool) -> PlannedDelivery {
        self.events.sort_unstable();
        PlannedDelivery {
            delivery: Delivery { events: self.events, after, attempts },
            anchor: self.anchor,
            pending: self.pending,
            keys: self.keys,
            ready,
        }
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0 - 1)
}
