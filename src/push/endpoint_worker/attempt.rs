//! One attempt of a delivery, as a task of the worker.

use std::sync::Arc;

use crate::contract::EncodedEvent;
use crate::contract::delivery::DeliveryMessage;
use crate::metrics::GaugeGuard;
use crate::push::DeliveryContext;
use crate::push::client::Attempt;
use crate::push::concurrency::ConcurrencyPermit;
use crate::push::scheduler::Delivery;
use crate::push::target::DeliveryTarget;

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
    let attempt = target.send(&context.client, &message, context.clock.now()).await;
    Ended { delivery, webhook_id: message.id, events, attempt, _permit: permit }
}
