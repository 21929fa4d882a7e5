//! The gauges of endpoints.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::metrics::{Metrics, gauge_value};
use crate::store::Store;
use crate::worker::{Step, Worker};

/// Sets the gauges of endpoints every ten seconds. Every replica shows all endpoints of the installation.
pub struct EndpointGauges {
    store: Store,
    metrics: Metrics,
}

impl EndpointGauges {
    /// Sets nothing until its first step.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics }
    }
}

impl Worker for EndpointGauges {
    const NAME: &'static str = "endpoint-gauges";
    const SWEEP: Duration = Duration::from_secs(10);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let counts = self.store.endpoint_counts().await?;
        let states = [
            ("delivering", counts.delivering),
            ("failing", counts.failing),
            ("paused", counts.paused),
            ("disabled", counts.disabled),
        ];
        for (state, endpoints) in states {
            self.metrics.push_endpoints.with_label_values(&[state]).set(gauge_value(endpoints));
        }
        self.metrics.push_parked_events.set(gauge_value(counts.parked_events));
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
