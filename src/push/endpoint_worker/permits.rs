//! Permits of one endpoint's deliveries.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::push::concurrency::{ConcurrencyLimiter, ConcurrencyPermit};

/// Takes permits of the shared limiter, and waits in its queue where none is free.
pub(super) struct Permits {
    limiter: Arc<ConcurrencyLimiter>,
    /// The place in the limiter's queue.
    requested: Option<BoxFuture<'static, ConcurrencyPermit>>,
    /// A permit that was waited for and is not used yet.
    granted: Option<ConcurrencyPermit>,
}

impl Permits {
    pub(super) fn new(limiter: Arc<ConcurrencyLimiter>) -> Self {
        Self { limiter, requested: None, granted: None }
    }

    /// A permit for an endpoint that holds this many; `None` where it has to wait.
    pub(super) fn take(&mut self, held: usize) -> Option<ConcurrencyPermit> {
        self.granted.take().or_else(|| self.limiter.take(held))
    }

    /// Enters the limiter's queue, or keeps the place in it.
    pub(super) fn request(&mut self) {
        let Self { limiter, requested, .. } = self;
        requested.get_or_insert_with(|| limiter.wait().boxed());
    }

    /// Leaves the limiter's queue.
    pub(super) fn cancel_request(&mut self) {
        self.requested = None;
    }

    /// Gives back everything that is not in use.
    pub(super) fn release(&mut self) {
        (self.requested, self.granted) = (None, None);
    }

    /// Waits until the request is granted, and keeps the permit for the next [`Self::take`]; waits forever without a
    /// request.
    pub(super) async fn wait(&mut self) {
        let Some(requested) = &mut self.requested else { return std::future::pending().await };
        self.granted = Some(requested.await);
        self.requested = None;
    }
}
