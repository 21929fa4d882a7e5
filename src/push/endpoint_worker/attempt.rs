//! One attempt of a delivery, as a task of the worker.

use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::contract::EncodedEvent;
use crate::contract::delivery::DeliveryMessage;
use crate::domain::endpoint::Endpoint;
use crate::metrics::GaugeGuard;
use crate::push::DeliveryContext;
use crate::push::client::Attempt;
use crate::push::concurrency::ConcurrencyPermit;
use crate::push::outcome::AttemptOutcome;
use crate::push::scheduler::Delivery;
use crate::push::target::DeliveryTarget;
use crate::traces::{SpanKind, Tracer};

/// An attempt that ended.
pub(super) struct Ended {
    pub(super) delivery: Delivery,
    pub(super) webhook_id: String,
    pub(super) events: Vec<EncodedEvent>,
    pub(super) attempt: Attempt,
    _permit: ConcurrencyPermit,
}

/// Sends a delivery's message. The permit is given back when the outcome is applied.
pub(super) async fn deliver(
    context: Arc<DeliveryContext>,
    target: Arc<DeliveryTarget>,
    delivery: Delivery,
    events: Vec<EncodedEvent>,
    message: DeliveryMessage,
    permit: ConcurrencyPermit,
) -> Ended {
    let _in_flight = GaugeGuard::new(&context.metrics.push_in_flight);
    let began = clock::instant();
    let attempt = target.send(&context.client, &message, context.clock.now()).await;
    if context.tracer.is_on() {
        trace(&context.tracer, &target.endpoint, &events, &attempt, began);
    }
    Ended { delivery, webhook_id: message.id, events, attempt, _permit: permit }
}

/// Records a span for each traced event of an attempt.
fn trace(tracer: &Tracer, endpoint: &Endpoint, events: &[EncodedEvent], attempt: &Attempt, began: Instant) {
    for event in events {
        let Some(span) = tracer.child(event.traceparent(), began) else { continue };
        let attributes = vec![
            ("unificus.account", endpoint.account.to_string().into()),
            ("unificus.endpoint", endpoint.endpoint_id.to_string().into()),
            ("unificus.seq", event.seq.to_string().into()),
            ("unificus.events", events.len().into()),
            ("unificus.outcome", attempt.outcome.label().into()),
        ];
        let is_error = attempt.outcome != AttemptOutcome::Delivered;
        span.end("webhook".to_owned(), SpanKind::Client, is_error, attributes);
    }
}
