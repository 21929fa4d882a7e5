//! How far a run is, for whoever shows it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A run's phase and the events of it that are done.
#[derive(Debug, Default)]
pub(crate) struct RunProgress {
    phase: Mutex<&'static str>,
    done: AtomicU64,
    total: AtomicU64,
    changed: Notify,
}

impl RunProgress {
    /// Begins a phase of `total` events; zero where the phase has no number.
    pub(crate) fn begin(&self, phase: &'static str, total: u64) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.changed.notify_one();
    }

    pub(crate) fn add(&self, events: u64) {
        self.done.fetch_add(events, Ordering::Relaxed);
    }

    /// Returns the phase, the events that are done, and their total. Events that were written meanwhile count as done.
    pub(crate) fn state(&self) -> (&'static str, u64, u64) {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.done.load(Ordering::Relaxed);
        (phase, done, self.total.load(Ordering::Relaxed).max(done))
    }

    /// Waits for the next phase.
    pub(crate) async fn next_phase(&self) {
        self.changed.notified().await;
    }
}
