//! What goes out in one request.

use std::collections::HashSet;

use super::pending::{PendingEvent, PendingEvents};
use super::policy::DeliveryPolicy;
use super::retry_queue::RetryQueue;
use crate::domain::endpoint::RetryEntry;
use crate::domain::{Seq, Timestamp, Uid};

/// A body holds at most so many bytes of events, unless the first alone has more.
pub const MAX_BODY: usize = 256 * 1024;

/// One delivery: its events in the order of the log, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What is sent.
    pub events: Vec<Seq>,
    /// In mode `latest` the one event stands for those of its record after this position.
    pub after: Option<Seq>,
    /// How many attempts it has had.
    pub attempts: u32,
}

impl Delivery {
    /// What it is called while it is in flight: its first event.
    #[must_use]
    pub fn name(&self) -> Seq {
        self.events.first().copied().unwrap_or_default()
    }

    pub(super) fn last(&self) -> Seq {
        self.events.last().copied().unwrap_or_default()
    }
}

/// Where a parcel begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seed {
    /// With an open item, by the first event that it stands for.
    Open(Seq),
    /// With a waiting event.
    Waiting(Seq),
}

impl Seed {
    pub(super) fn seq(self) -> Seq {
        match self {
            Self::Open(seq) | Self::Waiting(seq) => seq,
        }
    }
}

/// A parcel with what the lane must know when it comes back.
#[derive(Debug, Clone)]
pub(super) struct PlannedDelivery {
    pub(super) delivery: Delivery,
    /// The open items of it, by the first event that each stands for.
    pub(super) items: Vec<Seq>,
    pub(super) keys: Vec<Uid>,
    /// Whether no more would have gone in, or must.
    pub(super) full: bool,
}

/// Makes parcels of what is there; changes nothing.
pub(super) struct DeliveryBuilder<'a> {
    pub(super) policy: DeliveryPolicy,
    pub(super) open: &'a PendingEvents,
    pub(super) retry_queue: &'a RetryQueue,
    pub(super) busy: &'a HashSet<Uid>,
}

impl DeliveryBuilder<'_> {
    pub(super) fn pack(&self, seed: Seed, now: Timestamp) -> Option<PlannedDelivery> {
        match (seed, self.policy.batch()) {
            (Seed::Open(first), None) => self.item(first),
            (Seed::Open(first), Some(max)) => self.items(first, max),
            (Seed::Waiting(seq), None) => Some(self.event(self.retry_queue.get(seq)?)),
            (Seed::Waiting(seq), Some(max)) => Some(self.events(self.retry_queue.get(seq)?, max, now)),
        }
    }

    fn item(&self, first: Seq) -> Option<PlannedDelivery> {
        let item = self.open.get(first)?;
        let mut packing = Packing::new(1);
        packing.add(item.seq, item.key, Some(item.bytes));
        packing.items.push(first);
        Some(packing.close(self.after(first), 0, true))
    }

    fn event(&self, event: &RetryEntry) -> PlannedDelivery {
        let mut packing = Packing::new(1);
        packing.add(event.seq, self.retry_queue.key(event), None);
        // What waits since the endpoint was in mode `latest` still says what it stands for.
        let after = if event.first < event.seq { Some(before(event.first)) } else { self.after(event.first) };
        packing.close(after, event.attempts, true)
    }

    fn after(&self, first: Seq) -> Option<Seq> {
        self.policy.is_latest().then(|| before(first))
    }

    /// A batch that failed goes again as it was. Else whatever is free from the seed on, in order.
    fn items(&self, seed: Seq, max: usize) -> Option<PlannedDelivery> {
        let batch = self.open.get(seed)?.batch;
        let mut packing = Packing::new(max);
        let mut held = HashSet::new();
        for (first, item) in self.open.iter() {
            let with = match batch {
                Some(_) => item.batch == batch,
                None => first >= seed && item.batch.is_none() && self.is_free(item) && !held.contains(&item.key),
            };
            if !with {
                // What comes later of the same record stands behind it.
                held.insert(item.key);
            } else if packing.has_room_for(item.bytes) || batch.is_some() {
                packing.add(item.seq, item.key, Some(item.bytes));
                packing.items.push(first);
            } else {
                return Some(packing.close(None, 0, true));
            }
        }
        let full = batch.is_some() || packing.is_full();
        Some(packing.close(None, 0, full))
    }

    fn is_free(&self, item: &PendingEvent) -> bool {
        !self.busy.contains(&item.key)
    }

    /// A batch that failed goes again as it was. Else the due ones that were never sent.
    fn events(&self, seed: &RetryEntry, max: usize, now: Timestamp) -> PlannedDelivery {
        let mut packing = Packing::new(max);
        let batch = self.retry_queue.batch_of(seed);
        if let Some(batch) = batch {
            for event in batch.iter().filter_map(|seq| self.retry_queue.get(*seq)) {
                packing.add(event.seq, self.retry_queue.key(event), None);
            }
        } else if seed.attempts > 0 {
            packing.add(seed.seq, self.retry_queue.key(seed), None);
        } else {
            self.followers(&mut packing, seed, now);
        }
        packing.close(None, seed.attempts, true)
    }

    fn followers(&self, packing: &mut Packing, seed: &RetryEntry, now: Timestamp) {
        packing.add(seed.seq, self.retry_queue.key(seed), self.retry_queue.bytes(seed.seq));
        let due = self.retry_queue.heads().take_while(|front| front.next_at <= now);
        for front in std::iter::once(seed).chain(due.filter(|front| front.seq != seed.seq)) {
            let key = self.retry_queue.key(front);
            if self.busy.contains(&key) {
                continue;
            }
            for event in self.retry_queue.row(key).iter().filter_map(|seq| self.retry_queue.get(*seq)) {
                if event.seq == seed.seq {
                    continue;
                }
                let bytes = self.retry_queue.bytes(event.seq);
                if event.attempts > 0 || event.batch.is_some() || !packing.has_room_for(bytes.unwrap_or(MAX_BODY)) {
                    break;
                }
                packing.add(event.seq, key, bytes);
            }
            if packing.is_full() {
                break;
            }
        }
    }
}

/// A parcel that is being packed.
struct Packing {
    max: usize,
    bytes: usize,
    events: Vec<Seq>,
    items: Vec<Seq>,
    keys: Vec<Uid>,
}

impl Packing {
    fn new(max: usize) -> Self {
        Self { max, bytes: 0, events: Vec::new(), items: Vec::new(), keys: Vec::new() }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.max
    }

    fn has_room_for(&self, bytes: usize) -> bool {
        // A comma or a bracket each.
        self.events.is_empty() || !self.is_full() && self.bytes + bytes + 2 <= MAX_BODY
    }

    /// A size that is not known fills the parcel.
    fn add(&mut self, seq: Seq, key: Uid, bytes: Option<usize>) {
        self.bytes += bytes.unwrap_or(MAX_BODY) + 1;
        self.events.push(seq);
        self.keys.push(key);
    }

    fn close(mut self, after: Option<Seq>, attempts: u32, full: bool) -> PlannedDelivery {
        self.events.sort_unstable();
        PlannedDelivery {
            delivery: Delivery { events: self.events, after, attempts },
            items: self.items,
            keys: self.keys,
            full,
        }
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0 - 1)
}
