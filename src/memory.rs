//! Returns memory to the system after a peak.
//!
//! The allocator keeps freed memory for a second, and returns it to the system when a large allocation is freed after
//! that. A process that has become quiet frees no large allocation, and would keep its peak for ever: in one measurement
//! 1.9 GB of 2.2 GB.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::worker::{Step, Worker};

/// Larger than the allocations that share a page. It is not written to, so it takes no memory.
const LARGE: usize = 16 << 20;

/// Frees one large allocation a second.
#[derive(Debug, Default)]
pub(crate) struct Trim;

impl Worker for Trim {
    const NAME: &'static str = "trim";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
