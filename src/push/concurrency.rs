//! Deliveries in flight over all endpoints, shared so that those which are slow leave room for the others.
//!
//! While half of the slots are free, an endpoint has as many as it wants. Beyond that it holds one where any is free,
//! and more only while it holds less than a share of what is free. So the more endpoints hold on to what they have, the
//! less each of them gets, and there is always something left for the next one until far more endpoints hang than any of
//! them could crowd out alone. Where none is free, those that hold none get the next ones in the order in which they
//! asked.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What an endpoint may hold of what is free, where that is scarce: one part of so many.
const SHARE: usize = 32;

/// The slots.
pub struct ConcurrencyLimiter {
    free: Arc<Semaphore>,
    all: usize,
}

/// The right to have one delivery in flight; dropping it gives it back.
pub(super) struct ConcurrencyPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// So many in all.
    #[must_use]
    pub fn new(limiter: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(limiter)), all: limiter })
    }

    /// One more for an endpoint that holds so many; `None` where it must wait for one, or for its own to end.
    pub(super) fn take(&self, held: usize) -> Option<ConcurrencyPermit> {
        let free = self.free.available_permits();
        if held > 0 && free <= self.all / 2 && held * SHARE >= free {
            return None;
        }
        Some(ConcurrencyPermit { _permit: Some(Arc::clone(&self.free).try_acquire_owned().ok()?) })
    }

    /// The next that comes free, for an endpoint that holds none.
    pub(super) fn wait(&self) -> impl Future<Output = ConcurrencyPermit> + Send + use<> {
        let free = Arc::clone(&self.free);
        // The semaphore is never closed; should it be, the delivery goes out all the same.
        async move { ConcurrencyPermit { _permit: free.acquire_owned().await.ok() } }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Takes what it gets, up to its window, and holds on to it.
    fn greedy(limiter: &ConcurrencyLimiter, window: usize) -> Vec<ConcurrencyPermit> {
        let mut held = Vec::new();
        while held.len() < window {
            let Some(permit) = limiter.take(held.len()) else { break };
            held.push(permit);
        }
        held
    }

    #[test]
    fn one_endpoint_alone_has_its_window() {
        for window in [1, 32, 256] {
            assert_eq!(greedy(&ConcurrencyLimiter::new(1_024), window).len(), window);
        }
    }

    #[test]
    fn a_hundred_that_hold_on_to_all_they_get_leave_room_for_others() {
        let limiter = ConcurrencyLimiter::new(1_024);
        let hanging: Vec<_> = (0..100).map(|_| greedy(&limiter, 32)).collect();

        assert!(hanging.iter().all(|held| !held.is_empty()));
        assert!(!greedy(&limiter, 32).is_empty());
    }

    #[tokio::test]
    async fn where_none_is_free_the_next_goes_to_who_has_waited_longest() {
        let limiter = ConcurrencyLimiter::new(1);
        let held = limiter.take(0);
        let (mut first, mut second) = (Box::pin(limiter.wait()), Box::pin(limiter.wait()));
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        drop(held);

        assert!(limiter.take(0).is_none(), "it is not for whoever comes just now");
        assert!((&mut second).now_or_never().is_none());
        drop(first.await);
        drop(second.await);
        assert!(limiter.take(0).is_some());
    }
}
