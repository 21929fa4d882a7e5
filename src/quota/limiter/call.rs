//! A call that may be executed, and whether it counts in the end.

use super::settlement::{LeaseHandle, Settlement};
use super::{Denied, QuotaLimiter};
use crate::domain::AccountId;
use crate::quota::window::RateLimitStatus;

/// A call that is charged to the account's month already. Before its response is sent, [`Self::count`] settles it, or
/// [`Self::give_back`] where it does not count. A call that is dropped had no response; it is given back, unless it is
/// [kept](Self::keep_if_dropped).
pub struct Call {
    limiter: QuotaLimiter,
    account: AccountId,
    /// The lease that the call is charged to; `None` where limits are not enforced.
    lease: Option<LeaseHandle>,
    status: Option<RateLimitStatus>,
    on_drop: OnDrop,
}

/// The fate of a call that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    GiveBack,
    Keep,
    Nothing,
}

impl Call {
    pub(super) fn new(limiter: QuotaLimiter, account: AccountId, lease: Option<LeaseHandle>) -> Self {
        Self { limiter, account, lease, status: None, on_drop: OnDrop::GiveBack }
    }

    pub(super) fn with_status(mut self, status: RateLimitStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Makes the call count even if its caller goes away, because it may be executed all the same.
    pub fn keep_if_dropped(&mut self) {
        self.on_drop = OnDrop::Keep;
    }

    /// Counts the call, after which its response may be sent. Returns the account's limits, or nothing where limits are
    /// not enforced. Near the limit this waits for the next reservation, so that a crash can give back calls without a
    /// response. After an error the call is given back, and its response must not be sent.
    pub async fn count(mut self) -> Result<Option<RateLimitStatus>, Denied> {
        while let Some(lease) = self.lease {
            match self.limiter.settle(self.account, lease) {
                Settlement::Counted => break,
                Settlement::AfterReservation(reserved) => {
                    if reserved.await.is_err() {
                        self.on_drop = OnDrop::GiveBack;
                        return Err(Denied::Unavailable);
                    }
                }
                // This replica was stopped for longer than its lease lasts, so the call was given back and is acquired again.
                Settlement::LeaseLost => {
                    self.on_drop = OnDrop::Nothing;
                    let mut another = self.limiter.reacquire(self.account, self.status).await?;
                    another.on_drop = OnDrop::GiveBack;
                    self = another;
                }
            }
        }
        self.on_drop = OnDrop::Nothing;
        Ok(self.status)
    }

    /// Gives the call back; returns the account's limits without it.
    #[must_use]
    pub fn give_back(mut self) -> Option<RateLimitStatus> {
        self.on_drop = OnDrop::GiveBack;
        let mut status = self.status?;
        status.month.remaining += 1;
        Some(status)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        match (self.on_drop, self.lease) {
            (OnDrop::GiveBack, lease) => self.limiter.give_back(self.account, lease),
            (OnDrop::Keep, Some(lease)) => self.limiter.keep(self.account, lease),
            (OnDrop::Keep, None) | (OnDrop::Nothing, _) => {}
        }
    }
}
