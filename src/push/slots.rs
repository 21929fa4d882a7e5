//! Deliveries in flight over all endpoints, shared so that those which are slow leave room for the others.
//!
//! An endpoint may hold one slot where any is free, and more only while it holds less than a share of what is free. So
//! the more endpoints hold on to what they have, the less each of them gets, and there is always something left for
//! the next one until far more endpoints hang than any of them could crowd out alone.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What an endpoint may hold of what is free: one part of so many.
const SHARE: usize = 32;

/// The slots.
pub struct Slots {
    free: Mutex<usize>,
    freed: Notify,
}

/// The right to have one delivery in flight; dropping it gives it back.
pub(super) struct Slot(Arc<Slots>);

impl Slots {
    /// So many in all.
    #[must_use]
    pub fn new(slots: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(slots), freed: Notify::new() })
    }

    /// One more for an endpoint that holds so many; `None` where it must wait.
    pub(super) fn take(self: &Arc<Self>, held: usize) -> Option<Slot> {
        let mut free = self.lock();
        if *free == 0 || held > 0 && held * SHARE >= *free {
            return None;
        }
        *free -= 1;
        Some(Slot(Arc::clone(self)))
    }

    /// Resolves when one was given back since this was called.
    pub(super) fn freed(&self) -> Notified<'_> {
        self.freed.notified()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes what it gets, up to a window of 32, and holds on to it.
    fn greedy(slots: &Arc<Slots>) -> Vec<Slot> {
        let mut held = Vec::new();
        while held.len() < 32 {
            let Some(slot) = slots.take(held.len()) else { break };
            held.push(slot);
        }
        held
    }

    #[test]
    fn one_endpoint_alone_has_its_window() {
        assert_eq!(greedy(&Slots::new(1_024)).len(), 32);
    }

    #[test]
    fn a_hundred_that_hold_on_to_all_they_get_leave_room_for_others() {
        let slots = Slots::new(1_024);
        let hanging: Vec<_> = (0..100).map(|_| greedy(&slots)).collect();

        assert!(hanging.iter().all(|held| !held.is_empty()));
        assert!(!greedy(&slots).is_empty());
    }

    #[tokio::test]
    async fn a_slot_that_is_given_back_wakes_whoever_waits() {
        let slots = Slots::new(1);
        let held = slots.take(0);
        let freed = slots.freed();
        assert!(slots.take(0).is_none());

        drop(held);
        freed.await;
        assert!(slots.take(0).is_some());
    }
}
