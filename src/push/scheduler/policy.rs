//! What an endpoint's owner chose, as far as a lane must know it.

use uuid::Uuid;

use crate::domain::endpoint::{DeliveryOrder, Mode, Settings};
use crate::domain::{Seq, Uid};

/// How deliveries are made up, and which wait for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DeliveryPolicy {
    pub mode: Mode,
    pub order: DeliveryOrder,
    /// Deliveries in flight at most.
    pub window: usize,
    /// Deliveries per second at most.
    pub rate: Option<u32>,
}

impl DeliveryPolicy {
    /// Those of an endpoint.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let Settings { mode, order, window, rate, .. } = settings;
        Self { mode: *mode, order: *order, window: *window, rate: *rate }
    }

    /// Of two events with the same key one waits for the other.
    pub(super) fn key(&self, uid: Uid, seq: Seq) -> Uid {
        match (self.order, self.mode) {
            (DeliveryOrder::Strict, _) => Uid(Uuid::nil()),
            // An old state after a new one would be worse than none.
            (DeliveryOrder::Record, _) | (DeliveryOrder::None, Mode::Latest { .. }) => uid,
            (DeliveryOrder::None, _) => Uid(Uuid::from_u128(u128::from(seq.0.unsigned_abs()))),
        }
    }

    /// Deliveries in flight at most.
    pub(super) fn window(&self) -> usize {
        if self.is_strict() { 1 } else { self.window }
    }

    pub(super) fn is_strict(&self) -> bool {
        self.order == DeliveryOrder::Strict
    }

    /// Events in a delivery at most.
    pub(super) fn batch(&self) -> Option<usize> {
        match self.mode {
            Mode::Batch { max } => Some(max.max(1)),
            Mode::Single | Mode::Latest { .. } => None,
        }
    }

    pub(super) fn is_latest(&self) -> bool {
        matches!(self.mode, Mode::Latest { .. })
    }

    /// Events that a lane has open at once, so that there is always something to send.
    pub(super) fn read_ahead(&self) -> usize {
        4 * self.window.max(self.batch().unwrap_or(1))
    }
}
