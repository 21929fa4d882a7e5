//! A delivery that is no event of the log, to try an endpoint with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;

use super::attempts::{self, AttemptLog};
use super::client::{Attempt, Client};
use super::concurrency::ConcurrencyLimiter;
use super::target::DeliveryTarget;
use crate::clock::{self, Clock};
use crate::contract::event::{CONTENT_TYPE, TYPE_ROOT};
use crate::contract::timestamp;
use crate::domain::Seq;
use crate::domain::endpoint::Endpoint;
use crate::secrets::MasterKeys;

/// Sends pings, which together have as many of the slots of deliveries as one endpoint may have.
pub struct Pinger {
    client: Arc<Client>,
    limiter: Arc<ConcurrencyLimiter>,
    log: AttemptLog,
    in_flight: AtomicUsize,
}

/// One ping of those in flight, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pinger {
    /// Pings share these with deliveries.
    #[must_use]
    pub fn new(client: Arc<Client>, limiter: Arc<ConcurrencyLimiter>, log: AttemptLog) -> Self {
        Self { client, limiter, log, in_flight: AtomicUsize::new(0) }
    }

    /// Sends a signed CloudEvent of the type `push.ping`, which holds nothing but the endpoint's id; `None` where no slot
    /// is free for it.
    pub async fn send(
        &self,
        masters: &MasterKeys,
        endpoint: Endpoint,
        clock: &Clock,
    ) -> anyhow::Result<Option<Attempt>> {
        let (account, endpoint_id) = (endpoint.account, endpoint.endpoint_id);
        let target = DeliveryTarget::of(endpoint, masters)?;
        let others = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _counted = Counted(&self.in_flight);
        let Some(_slot) = self.limiter.take(others) else { return Ok(None) };
        let (id, now) = (format!("{account}:ping:{}", clock::fresh_uid()), clock.now());
        let body = json!({
            "specversion": "1.0",
            "id": id,
            "source": format!("/accounts/{account}"),
            "type": format!("{TYPE_ROOT}.push.ping"),
            "subject": endpoint_id,
            "time": timestamp::micros(now),
            "datacontenttype": "application/json",
            "data": {"endpoint": endpoint_id},
        });
        let body = (Bytes::from(body.to_string()), CONTENT_TYPE);
        let attempt = target.post(&self.client, &id, body, None, now).await;
        if let Some(detail) = &attempt.no_address {
            tracing::info!(%account, endpoint = %endpoint_id, detail, "endpoint has no usable address");
        }
        self.log.put(account, endpoint_id, attempts::row(id, Seq::ZERO, &[], "test", &attempt, clock.now()));
        Ok(Some(attempt))
    }
}
