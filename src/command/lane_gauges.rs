//! The gauges of lanes, read from the lanes themselves: a writer that hangs in a transaction could not set them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::Lanes;
use crate::metrics::{Metrics, gauge_value};
use crate::worker::{Step, Worker};

/// Sets the gauges of lanes every second.
pub struct LaneGauges {
    lanes: Lanes,
    metrics: Metrics,
}

impl LaneGauges {
    /// Shows these lanes.
    #[must_use]
    pub fn new(lanes: Lanes, metrics: Metrics) -> Self {
        Self { lanes, metrics }
    }
}

impl Worker for LaneGauges {
    const NAME: &'static str = "lane-gauges";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        for (index, (waiting, oldest)) in self.lanes.backlogs().into_iter().enumerate() {
            let label = index.to_string();
            self.metrics.lane_depth.with_label_values(&[&label]).set(gauge_value(waiting));
            let age = oldest.map_or(0.0, |arrived| arrived.elapsed().as_secs_f64());
            self.metrics.lane_oldest_command_seconds.with_label_values(&[&label]).set(age);
        }
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
