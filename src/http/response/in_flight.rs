//! Room for large answers: how many bytes of them this replica holds, and how many of one account's, until their clients
//! have taken them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::config;
use crate::domain::AccountId;
use crate::metrics::Metrics;

/// Room is counted in units of so many bytes.
const UNIT: usize = 1_024;

/// One account holds at most this share of all room.
const SHARE: usize = 4;

/// A request that has no room by then is refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// Accounts that are remembered before those without an answer in flight are forgotten.
const IDEMPOTENCY_TTL: usize = 1_024;

/// The room for answers in flight.
pub(in crate::http) struct InFlight {
    all: Arc<Semaphore>,
    accounts: Mutex<HashMap<AccountId, Weak<Semaphore>>>,
    units_per_account: usize,
    metrics: Metrics,
}

/// Room that one answer takes.
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

    /// Waits for room for an answer of so many bytes; 503 where there is none in time. Taken before anything is read, so
    /// that requests wait without what they asked for.
    pub(in crate::http) async fn room(self: &Arc<Self>, account: AccountId, bytes: usize) -> Result<Room, Problem> {
        let units = u32::try_from(self.units(bytes)).unwrap_or(u32::MAX);
        let taken = async {
            // The account's first: where it has none left, it does not wait in front of others.
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

    /// An answer that is larger than an account's share takes all of it.
    fn units(&self, bytes: usize) -> usize {
        bytes.div_ceil(UNIT).min(self.units_per_account)
    }

    fn refuse(&self) -> Problem {
        self.metrics.feed_refused_total.with_label_values(&["in_flight_bytes"]).inc();
        Problem::unavailable("Too many large answers wait to be read by their clients. Try again.")
    }

    fn of(&self, account: AccountId) -> Arc<Semaphore> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = accounts.get(&account).and_then(Weak::upgrade) {
            return room;
        }
        if accounts.len() >= IDEMPOTENCY_TTL {
            accounts.retain(|_, room| room.strong_count() > 0);
        }
        let room = Arc::new(Semaphore::new(self.units_per_account));
        accounts.insert(account, Arc::downgrade(&room));
        room
    }
}

impl Room {
    /// Takes more, where an answer turned out to be larger than what there was room for; 503 where there is none now.
    pub(in crate::http) fn cover(&mut self, bytes: usize) -> Result<(), Problem> {
        let needed = self.in_flight.units(bytes).saturating_sub(self.of_all.num_permits());
        let more = |permit: &OwnedSemaphorePermit| {
            let units = u32::try_from(needed).unwrap_or(u32::MAX);
            Arc::clone(permit.semaphore()).try_acquire_many_owned(units).map_err(|_| self.in_flight.refuse())
        };
        // Both or none: what was taken of one is given back with the error of the other.
        let (of_account, of_all) = (more(&self.of_account)?, more(&self.of_all)?);
        self.of_account.merge(of_account);
        self.of_all.merge(of_all);
        self.count();
        Ok(())
    }

    /// Gives back what an answer of so many bytes does not need, and ties the rest to the bytes: it is free again when
    /// the last of them was written to the client's connection, or the connection has ended.
    pub(in crate::http) fn hold(mut self, body: Vec<u8>) -> Bytes {
        let needed = body.len().div_ceil(UNIT);
        for permit in [&mut self.of_account, &mut self.of_all] {
            let surplus = permit.num_permits().saturating_sub(needed);
            drop(permit.split(surplus));
        }
        self.count();
        Bytes::from_owner(Held { body, _room: self })
    }

    /// Brings the gauge in line with what is held.
    fn count(&mut self) {
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
