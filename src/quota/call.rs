//! A call that may be carried out, and what it comes to.

use super::accounts::{ReleaseState, Serial};
use super::limiter::{Denied, QuotaLimiter};
use super::window::RateLimitStatus;
use crate::domain::AccountId;

/// A call that the account's month has room for. It is charged already: [`Self::count`] comes before its answer goes out,
/// and [`Self::give_back`] where it turns out not to count. One that is dropped was not answered; it is given back, unless
/// it is [kept](Self::keep_if_dropped).
pub struct Call {
    limiter: QuotaLimiter,
    account: AccountId,
    /// The lease that it is of; nothing where limits are not enforced.
    lease: Option<Serial>,
    standing: Option<RateLimitStatus>,
    dropped: Dropped,
}

/// The fate of a call that is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    GivenBack,
    Kept,
    Settled,
}

impl Call {
    pub(super) fn new(limiter: QuotaLimiter, account: AccountId, lease: Option<Serial>) -> Self {
        Self { limiter, account, lease, standing: None, dropped: Dropped::GivenBack }
    }

    pub(super) fn at(mut self, standing: RateLimitStatus) -> Self {
        self.standing = Some(standing);
        self
    }

    /// From here on it counts even if its caller goes away: it may be carried out all the same.
    pub fn keep_if_dropped(&mut self) {
        self.dropped = Dropped::Kept;
    }

    /// The call counts and its answer may go out; returns where the account stands, or nothing where limits are not
    /// enforced. Near the limit this waits for the next booking, so that a crash can give back what was not answered.
    /// Where it fails the call was given back, and its answer must not go out.
    pub async fn count(mut self) -> Result<Option<RateLimitStatus>, Denied> {
        while let Some(lease) = self.lease {
            match self.limiter.answer(self.account, lease) {
                ReleaseState::Counted => break,
                ReleaseState::After(booked) => {
                    if booked.await.is_err() {
                        self.dropped = Dropped::GivenBack;
                        return Err(Denied::Unavailable);
                    }
                }
                // This replica was stopped for so long that the call is another one's by now: it needs one more.
                ReleaseState::Lost => {
                    self.dropped = Dropped::Settled;
                    let mut another = self.limiter.take_again(self.account, self.standing).await?;
                    another.dropped = Dropped::GivenBack;
                    self = another;
                }
            }
        }
        self.dropped = Dropped::Settled;
        Ok(self.standing)
    }

    /// The call does not count; returns where the account stands without it.
    #[must_use]
    pub fn give_back(mut self) -> Option<RateLimitStatus> {
        self.dropped = Dropped::GivenBack;
        let mut standing = self.standing?;
        standing.month.iter_mut().for_each(|month| month.left += 1);
        Some(standing)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        match (self.dropped, self.lease) {
            (Dropped::GivenBack, lease) => self.limiter.give_back(self.account, lease),
            (Dropped::Kept, Some(lease)) => self.limiter.keep(self.account, lease),
            (Dropped::Kept, None) | (Dropped::Settled, _) => {}
        }
    }
}
