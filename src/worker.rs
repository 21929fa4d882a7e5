//! The one shape of background work, and the one loop that runs it.
//!
//! A step takes no input, may be run at any time, may be killed at any point and repeated. Tests call it until it is
//! idle; the loop calls it when something woke it, and on a slow sweep that makes every wake-up a mere hint.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something; there may be more.
    Advanced,
    /// Nothing: there is nothing to do now.
    Idle,
}

/// Background work.
pub trait Worker: Send {
    /// Its name in logs.
    const NAME: &'static str;

    /// Longest pause between two looks.
    const SWEEP: Duration;

    /// Does a bounded piece of work.
    fn step(&mut self) -> impl Future<Output = anyhow::Result<Step>> + Send;

    /// What wakes it, where anything does.
    fn wake(&self) -> Arc<Notify>;
}

/// Runs a worker until `stop`; the step at that moment is finished.
pub async fn run<W: Worker>(mut worker: W, stop: CancellationToken) {
    let wake = worker.wake();
    let mut failures = 0;
    while !stop.is_cancelled() {
        // Registered before looking, so that nothing that comes while we look is missed.
        let mut woken = std::pin::pin!(wake.notified());
        woken.as_mut().enable();
        let pause = match worker.step().await {
            Ok(Step::Advanced) => {
                failures = 0;
                continue;
            }
            Ok(Step::Idle) => {
                failures = 0;
                W::SWEEP
            }
            Err(error) => {
                let pause = backoff(failures);
                failures += 1;
                tracing::warn!(worker = W::NAME, error = format!("{error:#}"), ?pause, "step failed, will be repeated");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
        };
        tokio::select! {
            () = woken => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// From 50 ms, doubling to at most 3.2 s, each by chance up to half longer.
fn backoff(failures: u32) -> Duration {
    let base = Duration::from_millis(50 << failures.min(6));
    base.mul_f64(1.0 + rand::random::<f64>() / 2.0)
}
