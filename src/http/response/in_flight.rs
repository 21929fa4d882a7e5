//! Memory for large responses: bounds the bytes that this replica holds, in all and per account, until clients have
//! read them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::config;
use crate::domain::AccountId;
use crate::metrics::Metrics;

/// The unit in which memory is counted, in bytes.
const UNIT: usize = 1_024;

/// One account may hold 1/[`SHARE`] of all memory.
const SHARE: usize = 4;

/// A request that gets no memory within this time is refused with 503.
const PATIENCE: Duration = Duration::from_secs(5);

/// Accounts in the map. Beyond this number, accounts without a response in flight are removed.
const MAX_ACCOUNTS: usize = 1_024;

/// The memory for responses in flight.
pub(in crate::http) struct InFlight {
    all: Arc<Semaphore>,
    accounts: Mutex<HashMap<AccountId, Weak<Semaphore>>>,
    units_per_account: usize,
    metrics: Metrics,
}

/// Memory that one response holds.
pub(in crate::http) struct Room {
    of_account: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
    in_flight: Arc<InFlight>,
    held: i64,
}

impl InFlight {
    pub(in crate::http) fn new(config: &config::FeedConfig, metrics: Metrics) -> Arc<Self> {
        let units = config.in_flight_bytes / UNIT;
        Arc::new(Self {
            all: Arc::new(Semaphore::new(units)),
            accounts: Mutex::default(),
            units_per_account: units / SHARE,
            metrics,
        })
    }

    /// Waits for memory for a response of this size; refuses with 503 after [`PATIENCE`]. Called before anything is
    /// read, so that a waiting request holds no data.
    pub(in crate::http) async fn room(self: &Arc<Self>, account: AccountId, bytes: usize) -> Result<Room, Problem> {
        // More units than a semaphore counts, 4 TiB, are never free: the request is refused.
        let units = u32::try_from(self.units(bytes)).unwrap_or(u32::MAX);
        let taken = async {
            // The account's share first: a request of an account that has none left must not hold memory while it
            // waits.
            let of_account = self.of(account).acquire_many_owned(units).await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_many_owned(units).await.ok()?;
            Some((of_account, of_all))
        };
        let Ok(Some((of_account, of_all))) = tokio::time::timeout(PATIENCE, taken).await else {
            return Err(self.refuse());
        };
        let mut room = Room { of_account, of_all, in_flight: Arc::clone(self), held: 0 };
        room.count();
        Ok(room)
    }

    /// A response that is larger than an account's share takes the whole share.
    fn units(&self, bytes: usize) -> usize {
        bytes.div_ceil(UNIT).min(self.units_per_account)
    }

    fn refuse(&self) -> Problem {
        self.metrics.feed_refused_total.with_label_values(&["in_flight_bytes"]).inc();
        Problem::unavailable("Too many large responses are waiting for their clients. Retry in a few seconds.")
    }

    fn of(&self, account: AccountId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = accounts.get(&account).and_then(Weak::upgrade) {
            return room;
        }
        if accounts.len() >= MAX_ACCOUNTS {
            accounts.retain(|_, room| room.strong_count() > 0);
        }
        let room = Arc::new(Semaphore::new(self.units_per_account));
        accounts.insert(account, Arc::downgrade(&room));
        room
    }
}

impl Room {
    /// Reserves more, where a response is larger than the size that was reserved; refuses with 503 where none is free
    /// now.
    pub(in crate::http) fn cover(&mut self, bytes: usize) -> Result<(), Problem> {
        let needed = self.in_flight.units(bytes).saturating_sub(self.of_all.num_permits());
        let more = |permit: &OwnedSemaphorePermit| {
            // As in `room`: never free.
            let units = u32::try_from(needed).unwrap_or(u32::MAX);
            Arc::clone(permit.semaphore()).try_acquire_many_owned(units).map_err(|_| self.in_flight.refuse())
        };
        // Both or none: if the second is refused, the first is dropped, which gives it back.
        let (of_account, of_all) = (more(&self.of_account)?, more(&self.of_all)?);
        self.of_account.merge(of_account);
        self.of_all.merge(of_all);
        self.count();
        Ok(())
    }

    /// Gives back the memory that a response of this size does not need, and ties the rest to its bytes: it is released
    /// when the last byte was written to the client's connection, or the connection has ended.
    pub(in crate::http) fn hold(mut self, body: Vec<u8>) -> Bytes {
        let needed = body.len().div_ceil(UNIT);
        for permit in [&mut self.of_account, &mut self.of_all] {
            let surplus = permit.num_permits().saturating_sub(needed);
            drop(permit.split(surplus));
        }
        self.count();
        Bytes::from_owner(Held { body, _room: self })
    }

    /// Sets the gauge to the bytes that are held.
    fn count(&mut self) {
        // A gauge: 8 EiB are shown in place of more.
        let held = i64::try_from(self.of_all.num_permits() * UNIT).unwrap_or(i64::MAX);
        self.in_flight.metrics.feed_in_flight_bytes.add(held - self.held);
        self.held = held;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.in_flight.metrics.feed_in_flight_bytes.sub(self.held);
    }
}

struct Held {
    body: Vec<u8>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}
