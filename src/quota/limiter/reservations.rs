//! Reservations: the transaction that takes the calls of all waiting callers from their months, and the worker that
//! sends it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::accounts::{Replies, ReservationReply, Urgency};
use super::{Call, QuotaLimiter};
use crate::clock;
use crate::quota::lease::LEASE;
use crate::quota::window::Window;
use crate::store::quota::{Grant, ReservationRequest};
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// The time for which a reservation that no caller waits for is joined by others.
const JOIN: Duration = Duration::from_millis(15);

impl QuotaLimiter {
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

    fn urgency(&self) -> Urgency {
        self.accounts().urgency(self.shared.config.enforced, clock::instant())
    }

    async fn until_awaited(&self) {
        // A notification may be older than the last reservation.
        while self.urgency() != Urgency::Now {
            self.shared.awaited.notified().await;
        }
    }

    /// Runs without the lock, because a call whose caller has gone away is given back at once, which takes the lock.
    fn reply(&self, grant: &Grant, replies: Replies) {
        let Replies { callers, status_waiters, handle, used, calls } = replies;
        let Grant { account, limit, revision, now, .. } = *grant;
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
    /// A returned call is given back to the month within this time, and a spare one a second after it was granted.
    const SWEEP: Duration = Duration::from_millis(250);
    /// Callers wait for the next reservation after one that failed.
    const MAX_PAUSE: Duration = Duration::from_millis(500);

    async fn step(&mut self) -> anyhow::Result<Step> {
        match self.limiter.urgency() {
            // Requests that have arrived meanwhile join the reservation.
            Urgency::Now => tokio::task::yield_now().await,
            Urgency::Soon => {
                let _awaited_or_not = tokio::time::timeout(JOIN, self.limiter.until_awaited()).await;
            }
            Urgency::Later => return Ok(Step::Idle),
        }
        let reserved = self.limiter.reserve(&self.store).await?;
        let enforced = self.limiter.shared.config.enforced;
        Ok(if reserved && enforced { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.limiter.shared.wake)
    }
}
