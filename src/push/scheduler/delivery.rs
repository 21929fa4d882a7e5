//! The contents of one request.

use std::collections::HashSet;

use super::pending::{PendingEvent, PendingEvents};
use super::policy::DeliveryPolicy;
use super::retry_queue::RetryQueue;
use crate::domain::endpoint::RetryEntry;
use crate::domain::{Seq, Timestamp, Uid};

/// Bytes of events in one body. A delivery ends before the event that would exceed it, unless that event is its first.
pub const MAX_BODY: usize = 256 * 1024;

/// One delivery: its events in the order of the log, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
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
    pub fn id(&self) -> Seq {
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
    /// The pending event or the retry entry that it was built around, by its position.
    pub(super) head: Seq,
    /// The pending events in it, by the first event that each stands for.
    pub(super) pending: Vec<Seq>,
    pub(super) keys: Vec<Uid>,
    /// True where no further event may or must be added.
    pub(super) full: bool,
}

/// Builds deliveries from pending events and retry entries; changes neither.
pub(super) struct DeliveryBuilder<'a> {
    pub(super) policy: DeliveryPolicy,
    pub(super) pending: &'a PendingEvents,
    pub(super) retry_queue: &'a RetryQueue,
    /// Keys of deliveries in flight.
    pub(super) busy: &'a HashSet<Uid>,
}

impl DeliveryBuilder<'_> {
    /// Plans the delivery that begins with a pending event, by the first event that it stands for.
    pub(super) fn plan_pending(&self, head: Seq) -> Option<PlannedDelivery> {
        match self.policy.batch() {
            None => self.single_pending(head),
            Some(max) => self.pending_batch(head, max),
        }
    }

    /// Plans the delivery that begins with a retry entry.
    pub(super) fn plan_retry(&self, head: Seq, now: Timestamp) -> Option<PlannedDelivery> {
        let entry = self.retry_queue.get(head)?;
        Some(match self.policy.batch() {
            None => self.single_retry(entry),
            Some(max) => self.retry_batch(entry, max, now),
        })
    }

    fn single_pending(&self, head: Seq) -> Option<PlannedDelivery> {
        let event = self.pending.get(head)?;
        let mut draft = DeliveryDraft::new(head, 1);
        draft.add_pending(head, event);
        Some(draft.close(self.after(head), 0, true))
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

    /// A batch that failed is sent again unchanged. Any other one takes all free events from the head on, in order.
    fn pending_batch(&self, head: Seq, max: usize) -> Option<PlannedDelivery> {
        let batch = self.pending.get(head)?.batch;
        let mut draft = DeliveryDraft::new(head, max);
        let mut blocked = HashSet::new();
        for (first, event) in self.pending.iter() {
            let is_member = match batch {
                Some(_) => event.batch == batch,
                None => first >= head && event.batch.is_none() && self.is_free(event) && !blocked.contains(&event.key),
            };
            if !is_member {
                // Later events of the same record wait for this one.
                blocked.insert(event.key);
            } else if draft.has_room_for(event.bytes) || batch.is_some() {
                draft.add_pending(first, event);
            } else {
                return Some(draft.close(None, 0, true));
            }
        }
        let full = batch.is_some() || draft.is_full();
        Some(draft.close(None, 0, full))
    }

    fn is_free(&self, event: &PendingEvent) -> bool {
        !self.busy.contains(&event.key)
    }

    /// A batch that failed is sent again unchanged, and so is a single event that failed. Any other one takes the due
    /// entries that were never sent.
    fn retry_batch(&self, head: &RetryEntry, max: usize, now: Timestamp) -> PlannedDelivery {
        let mut draft = DeliveryDraft::new(head.seq, max);
        if let Some(batch) = self.retry_queue.batch_of(head) {
            for entry in batch.iter().filter_map(|seq| self.retry_queue.get(*seq)) {
                draft.add(entry.seq, self.retry_queue.key(entry), None);
            }
        } else if head.attempts > 0 {
            draft.add(head.seq, self.retry_queue.key(head), None);
        } else {
            self.add_unsent(&mut draft, head, now);
        }
        draft.close(None, head.attempts, true)
    }

    /// Adds the head, then the entries that were never sent: of the head's record first, then of each record whose head
    /// is due.
    fn add_unsent(&self, draft: &mut DeliveryDraft, head: &RetryEntry, now: Timestamp) {
        draft.add(head.seq, self.retry_queue.key(head), self.retry_queue.bytes(head.seq));
        let due = self.retry_queue.heads().take_while(|other| other.next_at <= now);
        let others = due.filter(|other| other.seq != head.seq);
        for key in std::iter::once(head).chain(others).map(|entry| self.retry_queue.key(entry)) {
            if self.busy.contains(&key) {
                continue;
            }
            let queue = self.retry_queue.queue(key).iter().filter_map(|seq| self.retry_queue.get(*seq));
            for entry in queue.filter(|entry| entry.seq != head.seq) {
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
    head: Seq,
    /// Events that it may hold.
    max: usize,
    bytes: usize,
    events: Vec<Seq>,
    pending: Vec<Seq>,
    keys: Vec<Uid>,
}

impl DeliveryDraft {
    fn new(head: Seq, max: usize) -> Self {
        Self { head, max, bytes: 0, events: Vec::new(), pending: Vec::new(), keys: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.max
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        // Each event takes a comma or a bracket besides.
        self.events.is_empty() || !self.is_full() && self.bytes + bytes + 2 <= MAX_BODY
    }

    fn add_pending(&mut self, first: Seq, event: &PendingEvent) {
        self.add(event.seq, event.key, Some(event.bytes));
        self.pending.push(first);
    }

    /// An event of unknown size fills the delivery.
    fn add(&mut self, seq: Seq, key: Uid, bytes: Option<usize>) {
        self.bytes += bytes.unwrap_or(MAX_BODY) + 1;
        self.events.push(seq);
        self.keys.push(key);
    }

    fn close(mut self, after: Option<Seq>, attempts: u32, full: bool) -> PlannedDelivery {
        self.events.sort_unstable();
        PlannedDelivery {
            delivery: Delivery { events: self.events, after, attempts },
            head: self.head,
            pending: self.pending,
            keys: self.keys,
            full,
        }
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0 - 1)
}
