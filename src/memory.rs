//! Gives memory back that a peak has left behind.
//!
//! The allocator keeps what was freed for a second, in case it is needed again, and returns it to the system when a
//! large allocation is freed after that. A process that has become quiet frees none, and would hold its peak for ever:
//! 1.9 GB of 2.2 GB in a measured case.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::worker::{Step, Worker};

/// Larger than what the allocator shares a page among. Nothing is written there, so it takes no memory.
const LARGE: usize = 16 << 20;

/// Frees one large allocation a second.
#[derive(Debug, Default)]
pub struct Trim;

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
