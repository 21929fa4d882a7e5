//! Calls, taken before they are carried out and settled when they are answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::accounts::{Accounts, MonthGrant, ReleaseState, Replies, Serial, Wish};
use super::burst::Burst;
use super::call::Call;
use super::lease::LEASE;
use super::window::{RateLimitStatus, Window};
use crate::clock;
use crate::config;
use crate::domain::AccountId;
use crate::store::quota::{Ask, Grant};
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// What calls are asked of. Cloning shares it.
#[derive(Clone)]
pub struct QuotaLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    config: config::Quota,
    accounts: Mutex<Accounts>,
    burst: Mutex<Burst>,
    wake: Arc<Notify>,
    /// Held by a booking: a lease has one in flight at most.
    reservation: tokio::sync::Mutex<()>,
}

/// The answer to a question.
pub struct Checked<T> {
    /// What was asked for, or why it is refused.
    pub outcome: Result<T, Denied>,
    /// The account's revision at that moment; nothing where the database was not asked.
    pub revision: Option<i64>,
}

/// Why a call may not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// Too many in this second.
    Burst(RateLimitStatus),
    /// The month's calls are used up.
    Month(RateLimitStatus),
    /// The database did not answer.
    Unavailable,
}

impl QuotaLimiter {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(config: config::Quota) -> Self {
        let (accounts, burst) = (Mutex::default(), Mutex::default());
        let (wake, reservation) = (Arc::default(), tokio::sync::Mutex::default());
        Self { shared: Arc::new(Shared { config, accounts, burst, wake, reservation }) }
    }

    /// Takes one call from the account's month, whose limit is that of the tier that the account has at that moment.
    /// Cancelled while it waits, it takes none.
    pub async fn take(&self, account: AccountId) -> Checked<Call> {
        if !self.shared.config.enforced {
            self.accounts().count(account);
            return Checked { outcome: Ok(Call::new(self.clone(), account, None)), revision: None };
        }
        match self.of_the_second(account) {
            Ok(burst) => self.take_of_month(account, burst).await,
            Err(denied) => Checked { outcome: Err(denied), revision: None },
        }
    }

    async fn take_of_month(&self, account: AccountId, burst: Window) -> Checked<Call> {
        let Some(grant) = self.ask(account, Wish::Call).await else { return Checked::UNAVAILABLE };
        let standing = RateLimitStatus { burst, month: Some(grant.month) };
        let outcome = grant.call.map(|call| call.at(standing)).ok_or(Denied::Month(standing));
        Checked { outcome, revision: Some(grant.revision) }
    }

    /// Another lease for a call that was counted in its second already.
    pub(super) async fn take_again(
        &self,
        account: AccountId,
        standing: Option<RateLimitStatus>,
    ) -> Result<Call, Denied> {
        let limit = self.shared.config.burst_per_second;
        let burst = standing.map_or_else(|| Window::burst(limit, 0), |standing| standing.burst);
        self.take_of_month(account, burst).await.outcome
    }

    /// Where the account stands once all that this replica knows of it is booked; nothing where limits are not enforced.
    /// Takes no call of the month, but one of the second.
    pub async fn look(&self, account: AccountId) -> Checked<Option<RateLimitStatus>> {
        let burst = if self.shared.config.enforced {
            match self.of_the_second(account) {
                Ok(burst) => Some(burst),
                Err(denied) => return Checked { outcome: Err(denied), revision: None },
            }
        } else {
            None
        };
        let Some(grant) = self.ask(account, Wish::Look).await else { return Checked::UNAVAILABLE };
        let standing = burst.map(|burst| RateLimitStatus { burst, month: Some(grant.month) });
        Checked { outcome: Ok(standing), revision: Some(grant.revision) }
    }

    fn of_the_second(&self, account: AccountId) -> Result<Window, Denied> {
        let limit = self.shared.config.burst_per_second;
        let calls = self.shared.burst.lock().unwrap_or_else(PoisonError::into_inner).call(account, clock::instant());
        let burst = Window::burst(limit, calls);
        // What the month has left is not worth a question then.
        if calls > limit { Err(Denied::Burst(RateLimitStatus { burst, month: None })) } else { Ok(burst) }
    }

    /// Waits for the next booking; `None` where that fails.
    async fn ask(&self, account: AccountId, wish: Wish) -> Option<MonthGrant> {
        let grant = self.accounts().wait(account, wish);
        self.shared.wake.notify_one();
        // The sender is dropped when the booking fails, which the worker logs, and when there is no such account.
        grant.await.ok()
    }

    pub(super) fn answer(&self, account: AccountId, serial: Serial) -> ReleaseState {
        let answer = self.accounts().answer(account, serial, clock::instant());
        if matches!(answer, ReleaseState::After(_)) {
            self.shared.wake.notify_one();
        }
        answer
    }

    pub(super) fn give_back(&self, account: AccountId, serial: Option<Serial>) {
        self.accounts().give_back(account, serial);
    }

    pub(super) fn keep(&self, account: AccountId, serial: Serial) {
        self.accounts().keep(account, serial);
    }

    /// Asks the database for all that waits; true where anything did. Where that fails, callers are told that the database
    /// is away, and the next booking finds out what became of this one.
    pub async fn book(&self, store: &Store) -> Result<bool, StoreError> {
        let _one_at_a_time = self.shared.reservation.lock().await;
        let mut booked = self.accounts().update(self.shared.config.enforced, clock::instant());
        if booked.is_empty() {
            return Ok(false);
        }
        let asks: Vec<Ask> = booked.values().map(|booked| booked.ask).collect();
        let grants = match store.take_calls(&asks, LEASE).await {
            Ok(grants) => grants,
            Err(error) => {
                self.accounts().not_booked(booked);
                return Err(error);
            }
        };
        for grant in grants {
            let Some(booked) = booked.remove(&grant.account) else { continue };
            let replies = self.accounts().booked(&grant, booked, clock::instant());
            if let Some(replies) = replies {
                self.reply(&grant, replies);
            }
        }
        for (account, booked) in booked {
            self.accounts().not_found(account, booked);
        }
        Ok(true)
    }

    /// Not under the lock: a call whose caller has gone away is given back at once.
    fn reply(&self, grant: &Grant, replies: Replies) {
        let Replies { callers, status_waiters, serial } = replies;
        let Grant { account, calls, used, most, revision, now, .. } = *grant;
        // The first to be answered took the first of the calls granted.
        let granted = (used - calls + 1..=used).map(|used| (used, true));
        for (caller, (used, granted)) in callers.into_iter().zip(granted.chain(std::iter::repeat((used, false)))) {
            let call = granted.then(|| Call::new(self.clone(), account, Some(serial)));
            // A caller that has gone away drops its call, which gives it back.
            let _gone = caller.send(MonthGrant { call, month: Window::month(most, used, now), revision });
        }
        for looker in status_waiters {
            // A caller that has gone away needs no status.
            let _gone = looker.send(MonthGrant { call: None, month: Window::month(most, used, now), revision });
        }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.shared.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Checked<T> {
    const UNAVAILABLE: Self = Self { outcome: Err(Denied::Unavailable), revision: None };
}

/// Asks the database as long as there is something to ask.
pub struct ReservationWriter {
    limiter: QuotaLimiter,
    store: Store,
}

impl ReservationWriter {
    /// The ledger stays the caller's to take calls from.
    #[must_use]
    pub fn new(limiter: QuotaLimiter, store: Store) -> Self {
        Self { limiter, store }
    }
}

impl Worker for ReservationWriter {
    const NAME: &'static str = "quota";
    /// So long does a call wait that was given back.
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let booked = self.limiter.book(&self.store).await?;
        let enforced = self.limiter.shared.config.enforced;
        // Where nobody waits, one write a second is enough.
        Ok(if booked && enforced { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.limiter.shared.wake)
    }
}
