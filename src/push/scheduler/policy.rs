//! The settings of an endpoint that its scheduler follows.

use crate::domain::endpoint::{DeliveryOrder, Mode, Settings};
use crate::domain::{Seq, Uid};

/// The contents and the order of deliveries, and their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DeliveryPolicy {
    /// The contents of one delivery.
    pub mode: Mode,
    /// Which events wait for which.
    pub order: DeliveryOrder,
    /// Deliveries in flight at once, before the order's own limit.
    pub window: usize,
    /// Deliveries per second; `None` is no limit.
    pub rate: Option<u32>,
}

/// The key of events that are delivered one after the other: of two events with the same key the later waits for the
/// earlier. The policy derives it from the record, from the position, or makes it the same for all events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OrderKey(u128);

impl DeliveryPolicy {
    /// The policy of an endpoint's settings.
    #[must_use]
    pub(crate) fn of(settings: &Settings) -> Self {
        let Settings { mode, order, window, rate, .. } = settings;
        Self { mode: *mode, order: *order, window: *window, rate: *rate }
    }

    /// Returns the key of an event.
    pub(super) fn key(&self, uid: Uid, seq: Seq) -> OrderKey {
        match (self.order, self.mode) {
            (DeliveryOrder::Strict, _) => OrderKey(0),
            // Without this key an old state could arrive after a newer one.
            (DeliveryOrder::Record, _) | (DeliveryOrder::None, Mode::Latest { .. }) => OrderKey(uid.0.as_u128()),
            (DeliveryOrder::None, _) => OrderKey(u128::from(seq.0.unsigned_abs())),
        }
    }

    /// The limit on deliveries in flight.
    pub(super) fn window(&self) -> usize {
        if self.is_strict() { 1 } else { self.window }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.order == DeliveryOrder::Strict
    }

    /// The limit on events in one delivery; `None` in modes without batches.
    pub(super) fn batch(&self) -> Option<usize> {
        match self.mode {
            Mode::Batch { max } => Some(max.max(1)),
            Mode::Single | Mode::Latest { .. } => None,
        }
    }

    pub(super) fn is_latest(&self) -> bool {
        matches!(self.mode, Mode::Latest { .. })
    }

    /// The number of pending events to read ahead, so that a free slot of the window is filled at once.
    pub(super) fn read_ahead(&self) -> usize {
        4 * self.window.max(self.batch().unwrap_or(1))
    }
}
