//! Identifiers: an account, a record, a position in an account's log.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An account: tenant, consistency boundary and ordering boundary. On the wire it is the `X-Public-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub Uuid);

impl AccountId {
    /// A hash that is the same in every process, used to choose a lane or a shard.
    #[must_use]
    pub fn spread(self) -> u64 {
        let (high, low) = self.0.as_u64_pair();
        // A version 7 UUID has its random bits at the end and its clock in front; one multiplication mixes both.
        (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A contact's or company's identifier: a UUID of version 7, so that its order is the order of creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub Uuid);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The epoch of a log that was never restored. A restore from a backup that lacks events which were sent already raises the
/// epoch, so that the events that take their positions have other ids.
pub const FIRST_EPOCH: i32 = 1;

/// A position in an account's log: 1, 2, 3, … without a gap. Zero is the position before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Seq(pub i64);

impl Seq {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The position after this one. Saturates, because no log reaches 2^63 events, and the log's primary key refuses a
    /// position that is taken.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number of events after `earlier` up to this position; zero where `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or_default()
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
