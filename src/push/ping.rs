//! A delivery that is no event of the log, to test an endpoint with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;

use super::DeliveryContext;
use super::attempts;
use super::client::Attempt;
use super::target::DeliveryTarget;
use crate::clock;
use crate::contract::delivery::DeliveryMessage;
use crate::contract::event::{CONTENT_TYPE, TYPE_ROOT};
use crate::contract::timestamp;
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::{Seq, Timestamp};

/// Sends pings. All of them together may take as many permits as one endpoint's deliveries.
pub(super) struct Pinger {
    context: Arc<DeliveryContext>,
    in_flight: AtomicUsize,
}

/// One ping in flight, until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pinger {
    /// A pinger that shares client, permits and attempt log with deliveries.
    #[must_use]
    pub(super) fn new(context: Arc<DeliveryContext>) -> Self {
        Self { context, in_flight: AtomicUsize::new(0) }
    }

    /// Sends a signed CloudEvent of the type `push.ping`, whose data is the endpoint's id. Returns `None` where too many
    /// deliveries are in flight.
    pub(super) async fn send(&self, state: EndpointState) -> anyhow::Result<Option<Attempt>> {
        let EndpointState { endpoint, brand, .. } = state;
        let DeliveryContext { client, limiter, attempts: log, clock, .. } = &*self.context;
        let (account, endpoint_id) = (endpoint.account, endpoint.endpoint_id);
        let target = DeliveryTarget::of(endpoint, brand, &self.context)?;
        let others = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let _counted = Counted(&self.in_flight);
        let Some(_permit) = limiter.take(others) else { return Ok(None) };
        let now = clock.now();
        let message = message(&target.endpoint, now);
        let attempt = target.send(client, &message, now).await;
        if let Some(detail) = &attempt.no_address {
            tracing::info!(%account, endpoint = %endpoint_id, detail, "endpoint has no usable address");
        }
        log.put(account, endpoint_id, attempts::row(message.id, Seq::ZERO, &[], "test", &attempt, clock.now()));
        Ok(Some(attempt))
    }
}

fn message(endpoint: &Endpoint, now: Timestamp) -> DeliveryMessage {
    let Endpoint { account, endpoint_id, .. } = endpoint;
    let id = format!("{account}:ping:{}", clock::fresh_uid());
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
    DeliveryMessage { id, body: Bytes::from(body.to_string()), content_type: CONTENT_TYPE, traceparent: None }
}
