//! The limiter: a call is acquired before it is executed, and settled when it gets its response.
//!
//! Guarantees: callers that arrive during a reservation share the next one, over all accounts; a call that is dropped
//! without a response is given back, unless it was kept. Knows no statement: `store::quota` executes reservations.

mod accounts;
mod call;
mod gate;
mod reservations;
mod settlement;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

pub use self::call::Call;
pub use self::gate::RevisionReader;
pub use self::reservations::ReservationWriter;

use self::accounts::{Accounts, RequestKind, ReservationReply, SpareCall, Urgency};
use self::gate::RevisionGate;
use self::settlement::{LeaseHandle, Settlement};
use super::burst::Burst;
use super::window::{self, RateLimitStatus, Window};
use crate::clock;
use crate::config;
use crate::domain::AccountId;
use crate::store::Store;

/// The limiter of all accounts on this replica. Cloning shares it.
#[derive(Clone)]
pub struct QuotaLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    config: config::Quota,
    accounts: Mutex<Accounts>,
    burst: Mutex<Burst>,
    gate: RevisionGate,
    wake: Arc<Notify>,
    /// Notified when a caller waits for the next reservation.
    awaited: Notify,
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
        let (accounts, burst, gate) = (Mutex::default(), Mutex::default(), RevisionGate::default());
        let (wake, awaited, reservation) = (Arc::default(), Notify::new(), tokio::sync::Mutex::default());
        Self { shared: Arc::new(Shared { config, accounts, burst, gate, wake, awaited, reservation }) }
    }

    /// Whether limits are enforced. Where they are, each call that is acquired reports its account's revision.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.shared.config.enforced
    }

    /// Acquires one call of the account's month, under the limit of the account's current tier. Acquires none if it is
    /// cancelled while it waits.
    pub async fn acquire(&self, account: AccountId) -> Checked<Call> {
        if !self.shared.config.enforced {
            self.accounts().count(account);
            return Checked { outcome: Ok(Call::new(self.clone(), account, None)), revision: None };
        }
        match self.check_burst(account) {
            Ok(burst) => match self.acquire_spare(account, burst).await {
                Some(checked) => checked,
                None => self.acquire_of_month(account, burst).await,
            },
            Err(denied) => Checked { outcome: Err(denied), revision: None },
        }
    }

    /// Acquires a spare call, which costs no reservation; `None` where there is none, or it may not be used because the
    /// account has changed or a new day has begun.
    async fn acquire_spare(&self, account: AccountId, burst: Option<Window>) -> Option<Checked<Call>> {
        let taken = self.accounts().take(account, clock::instant());
        let SpareCall { handle, day, limit, used, revision, renew } = taken?;
        match renew {
            Urgency::Now => self.wake_writer(),
            Urgency::Soon => self.shared.wake.notify_one(),
            Urgency::Later => {}
        }
        // Given back where its caller goes away.
        let call = Call::new(self.clone(), account, Some(handle));
        let Some(state) = self.shared.gate.state(account).await else { return Some(Checked::UNAVAILABLE) };
        match state {
            Some(state) if state.revision == revision && window::day(state.now) == day => {
                let status = RateLimitStatus { burst, month: Window::month(limit, used, state.now) };
                Some(Checked { outcome: Ok(call.with_status(status)), revision: Some(revision) })
            }
            Some(_) | None => {
                drop(call);
                self.accounts().return_spare(account, handle);
                None
            }
        }
    }

    /// Returns the account's current revision; `None` inside where there is no such account, and outside where the database
    /// did not respond. Concurrent callers share a statement.
    pub async fn revision(&self, account: AccountId) -> Option<Option<i64>> {
        Some(self.shared.gate.state(account).await?.map(|state| state.revision))
    }

    /// Makes the worker that reads revisions.
    #[must_use]
    pub fn revision_reader(&self, store: Store) -> RevisionReader {
        RevisionReader::new(self.shared.gate.clone(), store)
    }

    /// Keeps no calls in advance any more; the next reservation gives all of them back.
    pub fn close(&self) {
        self.accounts().close();
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
        self.wake_writer();
        // The worker logs why a reservation failed.
        reply.await.ok()
    }

    fn settle(&self, account: AccountId, lease: LeaseHandle) -> Settlement {
        let settlement = self.accounts().settle(account, lease, clock::instant());
        if matches!(settlement, Settlement::AfterReservation(_)) {
            self.wake_writer();
        }
        settlement
    }

    fn wake_writer(&self) {
        self.shared.wake.notify_one();
        self.shared.awaited.notify_one();
    }

    fn give_back(&self, account: AccountId, lease: Option<LeaseHandle>) {
        self.accounts().give_back(account, lease, clock::instant());
    }

    fn keep(&self, account: AccountId, lease: LeaseHandle) {
        self.accounts().keep(account, lease);
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Checked<T> {
    const UNAVAILABLE: Self = Self { outcome: Err(Denied::Unavailable), revision: None };
}
