//! The trait of background work, and the loop that runs it.
//!
//! A step takes no input, may run at any time, and may be killed at any point and repeated. Tests call it until it is
//! idle. The loop calls it after each wake-up and at a slow interval, so that a lost wake-up costs time and no work.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Work was done, and there may be more.
    Advanced,
    /// There is nothing to do now.
    Idle,
}

/// Background work.
pub trait Worker: Send {
    /// Its name in logs.
    const NAME: &'static str;

    /// The longest pause between two steps.
    const SWEEP: Duration;

    /// The longest pause after a step that failed: shorter where callers wait for the next one.
    const MAX_PAUSE: Duration = Duration::from_millis(4_800);

    /// Does a bounded piece of work.
    fn step(&mut self) -> impl Future<Output = anyhow::Result<Step>> + Send;

    /// Completes what steps leave for later. Called once, after the last step.
    fn finish(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// The notification that wakes it; one that nobody notifies leaves it to the sweep.
    fn wake(&self) -> Arc<Notify>;
}

/// Runs a worker until `stop`; a step that has begun is finished. Failed steps are counted.
pub async fn run<W: Worker>(mut worker: W, stop: CancellationToken, metrics: Metrics) {
    let failed = metrics.worker_steps_failed_total.with_label_values(&[W::NAME]);
    let wake = worker.wake();
    let mut failures = 0;
    while !stop.is_cancelled() {
        // Registers before the step, so that no wake-up during the step is lost.
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
                let pause = backoff(failures, W::MAX_PAUSE);
                failures += 1;
                failed.inc();
                let (error, retry_in_ms) = (format!("{error:#}"), pause.as_millis());
                tracing::warn!(worker = W::NAME, error, retry_in_ms, "run worker step failed; will retry");
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
    if let Err(error) = worker.finish().await {
        tracing::warn!(worker = W::NAME, error = format!("{error:#}"), "finish worker failed");
    }
}

/// The pause after a failed step: 50 ms, doubled up to 3.2 s, and up to half of it more at random; at most `max`.
fn backoff(failures: u32, max: Duration) -> Duration {
    let base = Duration::from_millis(50 << failures.min(6)).min(max.mul_f64(2.0 / 3.0));
    base.mul_f64(1.0 + rand::random::<f64>() / 2.0).min(max)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_pause_doubles_up_to_its_limit() {
        let ms = Duration::from_millis;
        for (failures, base) in [(0, 50), (1, 100), (5, 1_600), (6, 3_200), (7, 3_200), (u32::MAX, 3_200)] {
            let pause = backoff(failures, ms(4_800));
            assert!((ms(base)..=ms(base * 3 / 2)).contains(&pause), "{failures}: {pause:?}");
        }
        assert!((0..100).all(|failures| backoff(failures, ms(500)) <= ms(500)));
    }

    /// Fails in each step.
    struct Unlucky(Arc<AtomicUsize>, CancellationToken);

    impl Unlucky {
        const STEPS: usize = 30;
    }

    impl Worker for Unlucky {
        const NAME: &'static str = "unlucky";
        const SWEEP: Duration = Duration::from_secs(1);
        const MAX_PAUSE: Duration = Duration::from_millis(1);

        async fn step(&mut self) -> anyhow::Result<Step> {
            if self.0.fetch_add(1, Ordering::SeqCst) + 1 == Self::STEPS {
                self.1.cancel();
            }
            anyhow::bail!("on purpose")
        }

        fn wake(&self) -> Arc<Notify> {
            Arc::default()
        }
    }

    #[tokio::test]
    async fn a_worker_that_fails_pauses_no_longer_than_it_may() {
        let (steps, stop) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let metrics = Metrics::new().unwrap();
        let worker = run(Unlucky(Arc::clone(&steps), stop.clone()), stop, metrics.clone());
        // With the longest pauses of other workers this takes more than a minute.
        tokio::time::timeout(Duration::from_secs(20), worker).await.expect("short pauses");
        assert_eq!(steps.load(Ordering::SeqCst), Unlucky::STEPS);
        let counted = metrics.worker_steps_failed_total.with_label_values(&["unlucky"]).get();
        assert_eq!(usize::try_from(counted), Ok(Unlucky::STEPS));
    }
}
