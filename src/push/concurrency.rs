//! Limits deliveries in flight over all endpoints, and shares them so that slow endpoints leave room for the others.
//!
//! While more than half of the permits are free, an endpoint takes as many as its window permits. After that it takes its
//! first permit where any is free, and a further one only while it holds less than a share of the free ones. So the more
//! endpoints hang, the fewer permits each of them gets, and one endpoint alone can never take all. Where no permit is
//! free, endpoints without any get the next ones in the order of their requests.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An endpoint may hold one permit per this many free ones, while at most half of all are free.
const SHARE: usize = 32;

/// The permits of all endpoints.
pub struct ConcurrencyLimiter {
    free: Arc<Semaphore>,
    all: usize,
}

/// The right to have one delivery in flight; dropping it gives it back.
pub(super) struct ConcurrencyPermit {
    _permit: Option<OwnedSemaphorePermit>,
}

impl ConcurrencyLimiter {
    /// A limiter with this many permits.
    #[must_use]
    pub fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(permits)), all: permits })
    }

    /// A further permit for an endpoint that holds `held`; `None` where it must wait for one, or for its own deliveries.
    pub(super) fn take(&self, held: usize) -> Option<ConcurrencyPermit> {
        let free = self.free.available_permits();
        if held > 0 && free <= self.all / 2 && held * SHARE >= free {
            return None;
        }
        Some(ConcurrencyPermit { _permit: Some(Arc::clone(&self.free).try_acquire_owned().ok()?) })
    }

    /// The next permit that is released, for an endpoint that holds none.
    pub(super) fn wait(&self) -> impl Future<Output = ConcurrencyPermit> + Send + use<> {
        let free = Arc::clone(&self.free);
        // The semaphore is never closed; if it were, the delivery would be sent without a permit.
        async move { ConcurrencyPermit { _permit: free.acquire_owned().await.ok() } }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// Takes permits up to the window, and keeps them.
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
