//! One field of one record, as two systems see it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The state of a field. All positions are `seq`s of the account's log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The value on which both systems last agreed. A local value that differs from it is an edit.
    pub base_value: Value,
    /// The position up to which the user of the other system knew the service's value when the edit began.
    pub base_seq: u64,
    /// The service's newest known value.
    pub latest_value: Value,
    /// The position of that knowledge.
    pub latest_seq: u64,
    /// The value in the other system.
    pub local: Value,
}

impl Field {
    /// True when the other system has an edit that the service lacks.
    pub fn is_dirty(&self) -> bool {
        self.local != self.base_value
    }

    /// True when the service has a newer value, and the other system no edit that stands against it.
    pub fn is_behind(&self) -> bool {
        !self.is_dirty() && self.local != self.latest_value
    }

    /// Records a value of the service. Older knowledge than the one at hand changes nothing.
    pub fn learn(&mut self, value: &Value, seq: u64) {
        if seq >= self.latest_seq {
            self.latest_value = value.clone();
            self.latest_seq = seq;
        }
    }

    /// Moves the base as far as it may.
    ///
    /// Where both systems have the same value, they agree. An edit keeps its base: the service finds a concurrent change by
    /// comparing the position of the base with the position of its own value. The base of an edit advances only while the
    /// service's value is still the one that the user saw, because nothing was changed concurrently then.
    pub fn settle(&mut self) {
        if self.local == self.latest_value {
            self.adopt();
        } else if self.is_dirty() && self.latest_value == self.base_value {
            self.base_seq = self.base_seq.max(self.latest_seq);
        }
    }

    /// Notes that the other system has the service's value.
    pub fn adopt(&mut self) {
        self.local = self.latest_value.clone();
        self.base_value = self.latest_value.clone();
        self.base_seq = self.latest_seq;
    }

    /// Forgets all that is known of the service, and keeps the local value as an edit.
    pub fn forget_service(&mut self) {
        *self = Self { local: std::mem::take(&mut self.local), ..Self::default() };
    }
}
