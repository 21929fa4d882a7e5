//! The limiter: a call is acquired before it is executed, and settled when it gets its response.
//!
//! Guarantees: callers that arrive during a reservation share the next one, over all accounts; a call that is dropped
//! without a response is given back, unless it was kept. Knows no statement: `store::quota` executes reservations.

mod accounts;
mod call;
mod settlement;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub use self::call::Call;

use self::accounts::{Accounts, Replies, RequestKind, ReservationReply};
use self::settlement::{LeaseHandle, Settlement};
use super::burst::Burst;
use super::lease::LEASE;
use super::window::{RateLimitStatus, Window};
use crate::clock;
use crate::config;
use crate::domain::AccountId;
use crate::store::quota::{Grant, ReservationRequest};
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// The limiter of all accounts on this replica. Cloning shares it.
#[derive(Clone)]
pub struct QuotaLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    config: config::Quota,
    accounts: Mutex<Accounts>,
    burst: Mutex<Burst>,
    wake: Arc<Notify>,
    /// Held during a reservation: a lease has at most one in flight.
    reservation: tokio::sync::Mutex<()>,
}

/// The limiter's decision, and the account's revision at that time.
pub struct Checked<T> {
    /// The requested value, or the reason for the refusal.
    pub outcome: Result<T, Denied>,
    /// The account's revision; `None` where the database was not queried.
    pub revision: Option<i64>,
}

/// The reason why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// The calls of this second are used up; the month is not known, because the database was not queried.
    Burst(Window),
    /// The calls of this month are used up.
    Month(RateLimitStatus),
    /// The configuration lacks the account's tier, so the account has no limit that could be applied.
    UnknownTier,
    /// The database did not respond.
    Unavailable,
}

impl QuotaLimiter {
    /// Makes a limiter that has counted no call.
    #[must_use]
    pub fn new(config: config::Quota) -> Self {
        let (accounts, burst) = (Mutex::default(), Mutex::default());
        let (wake, reservation) = (Arc::default(), tokio::sync::Mutex::default());
        Self { shared: Arc::new(Shared { config, accounts, burst, wake, reservation }) }
    }

    /// Acquires one call of the account's month, under the limit of the account's current tier. Acquires none if it is
    /// cancelled while it waits.
    pub async fn acquire(&self, account: AccountId) -> Checked<Call> {
        if !self.shared.config.enforced {
            self.accounts().count(account);
            return Checked { outcome: Ok(Call::new(self.clone(), account, None)), revision: None };
        }
        match self.check_burst(account) {
            Ok(burst) => self.acquire_of_month(account, burst).await,
            Err(denied) => Checked { outcome: Err(denied), revision: None },
        }
    }

    async fn acquire_of_month(&self, account: AccountId, burst: Option<Window>) -> Checked<Call> {
        let Some(reply) = self.reserved(account, RequestKind::Call).await else { return Checked::UNAVAILABLE };
        let outcome = reply.status(burst).and_then(|status| {
            let call = reply.call.ok_or(Denied::Month(status))?;
            Ok(call.with_status(status))
        });
        Checked { outcome, revision: Some(reply.revision) }
    }

    /// Acquires a call under another lease, without counting it in the current second again.
    async fn reacquire(&self, account: AccountId, status: Option<RateLimitStatus>) -> Result<Call, Denied> {
        let burst = status.and_then(|status| status.burst);
        self.acquire_of_month(account, burst).await.outcome
    }

    /// Returns the account's limits, with all calls that this replica knows of; `None` where limits are not enforced.
    /// Consumes one call of the second and none of the month.
    pub async fn status(&self, account: AccountId) -> Checked<Option<RateLimitStatus>> {
        let enforced = self.shared.config.enforced;
        let burst = if enforced { self.check_burst(account) } else { Ok(None) };
        let burst = match burst {
            Ok(burst) => burst,
            Err(denied) => return Checked { outcome: Err(denied), revision: None },
        };
        let Some(reply) = self.reserved(account, RequestKind::Status).await else { return Checked::UNAVAILABLE };
        let outcome = if enforced { reply.status(burst).map(Some) } else { Ok(None) };
        Checked { outcome, revision: Some(reply.revision) }
    }

    /// Counts a call in the current second; `None` where the burst limit is off.
    fn check_burst(&self, account: AccountId) -> Result<Option<Window>, Denied> {
        let limit = self.shared.config.burst_per_second;
        if limit == 0 {
            return Ok(None);
        }
        let calls = self.shared.burst.lock().unwrap_or_else(PoisonError::into_inner).call(account, clock::instant());
        let burst = Window::burst(limit, calls);
        if calls > limit { Err(Denied::Burst(burst)) } else { Ok(Some(burst)) }
    }

    /// Waits for the next reservation; `None` where it fails or there is no such account.
    async fn reserved(&self, account: AccountId, kind: RequestKind) -> Option<ReservationReply> {
        let reply = self.accounts().wait(account, kind);
        self.shared.wake.notify_one();
        // The worker logs why a reservation failed.
        reply.await.ok()
    }

    fn settle(&self, account: AccountId, lease: LeaseHandle) -> Settlement {
        let settlement = self.accounts().settle(account, lease, clock::instant());
        if matches!(settlement, Settlement::AfterReservation(_)) {
            self.shared.wake.notify_one();
        }
        settlement
    }

    fn give_back(&self, account: AccountId, lease: Option<LeaseHandle>) {
        self.accounts().give_back(account, lease);
    }

    fn keep(&self, account: AccountId, lease: LeaseHandle) {
        self.accounts().keep(account, lease);
    }

    /// Reserves calls for all waiting callers, in one transaction; false where there was nothing to reserve. After an error
    /// the callers get [`Denied::Unavailable`], and the next reservation finds out whether this one was committed.
    pub async fn reserve(&self, store: &Store) -> Result<bool, StoreError> {
        let _one_at_a_time = self.shared.reservation.lock().await;
        let mut pending = self.accounts().take_due(self.shared.config.enforced, clock::instant());
        if pending.is_empty() {
            return Ok(false);
        }
        let requests: Vec<ReservationRequest> = pending.values().map(|reservation| reservation.request).collect();
        let grants = match store.reserve_calls(&requests, &self.shared.config.tiers, LEASE).await {
            Ok(grants) => grants,
            Err(error) => {
                self.accounts().failed(pending);
                return Err(error);
            }
        };
        for grant in grants {
            let Some(reservation) = pending.remove(&grant.account) else { continue };
            let replies = self.accounts().committed(&grant, reservation, clock::instant());
            if let Some(replies) = replies {
                self.reply(&grant, replies);
            }
        }
        for (account, reservation) in pending {
            self.accounts().not_found(account, reservation);
        }
        Ok(true)
    }

    /// Runs without the lock, because a call whose caller has gone away is given back at once, which takes the lock.
    fn reply(&self, grant: &Grant, replies: Replies) {
        let Replies { callers, status_waiters, handle } = replies;
        let Grant { account, calls, used, limit, revision, now, .. } = *grant;
        let month = |used| limit.map(|limit| Window::month(limit, used, now));
        let reply = |call, used| ReservationReply { call, month: month(used), revision };
        // The caller that waited longest gets the first of the calls granted.
        let granted = (used - calls + 1..=used).map(|used| (used, true));
        for (caller, (used, granted)) in callers.into_iter().zip(granted.chain(std::iter::repeat((used, false)))) {
            let call = granted.then(|| Call::new(self.clone(), account, Some(handle)));
            // A caller that has gone away drops its call, which gives it back.
            let _gone = caller.send(reply(call, used));
        }
        for waiter in status_waiters {
            // A caller that has gone away needs no status.
            let _gone = waiter.send(reply(None, used));
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Checked<T> {
    const UNAVAILABLE: Self = Self { outcome: Err(Denied::Unavailable), revision: None };
}

/// The worker that reserves calls when callers wait.
pub struct ReservationWriter {
    limiter: QuotaLimiter,
    store: Store,
}

impl ReservationWriter {
    /// Makes the worker of a limiter.
    #[must_use]
    pub fn new(limiter: QuotaLimiter, store: Store) -> Self {
        Self { limiter, store }
    }
}

impl Worker for ReservationWriter {
    const NAME: &'static str = "quota";
    /// A returned call is given back to the month within this time.
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let reserved = self.limiter.reserve(&self.store).await?;
        let enforced = self.limiter.shared.config.enforced;
        // Without limits no caller waits, so one transaction per second is enough.
        Ok(if reserved && enforced { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.limiter.shared.wake)
    }
}
