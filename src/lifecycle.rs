//! The stop of a process, in two stages, and the failure of one of its tasks.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The service's tasks and the tokens that stop them. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// Cancelled first: no new work is begun, and work that was begun is finished.
    pub soft: CancellationToken,
    /// Cancelled when no work can come any more: writers write what they hold and end.
    pub hard: CancellationToken,
    /// Cancelled when a task has panicked. Its work is not done any more, so `/readyz` answers 503 until a restart.
    pub failed: CancellationToken,
    /// Listeners and connections, which end after the soft stop.
    pub connections: TaskTracker,
    /// Workers of push endpoints, which end after the soft stop.
    pub deliveries: TaskTracker,
    /// All other tasks.
    pub tasks: TaskTracker,
}

impl Lifecycle {
    /// Starts a task that the service cannot do without.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let failed = self.failed.clone();
        // Nothing of the task is used after a panic, so nothing half-changed is seen.
        let task = AssertUnwindSafe(task).catch_unwind();
        self.tasks.spawn(async move {
            if let Err(panic) = task.await {
                tracing::error!(
                    task = name,
                    error = message(&*panic),
                    "run task failed: it panicked; restart the service"
                );
                failed.cancel();
            }
        });
    }

    /// Waits until every task has ended; false at the deadline.
    pub async fn drained(tasks: &TaskTracker, deadline: Duration) -> bool {
        tasks.close();
        tokio::time::timeout(deadline, tasks.wait()).await.is_ok()
    }
}

/// The text of a panic; every `panic!` and `expect` has one.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

/// Receives SIGTERM and SIGINT, which then no longer end the process.
#[derive(Debug)]
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Begins to listen. Called before the process is visible to others; a signal before [`Self::received`] is kept.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one of them.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = self.interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_seen_and_ends_no_other() {
        let lifecycle = Lifecycle::default();
        let (resume, resumed) = tokio::sync::oneshot::channel();
        let failed = lifecycle.failed.clone();
        lifecycle.spawn("sound", async move {
            failed.cancelled().await;
            resume.send(()).unwrap();
        });
        assert!(!lifecycle.failed.is_cancelled());
        lifecycle.spawn("broken", async { unreachable!("a bug") });
        resumed.await.unwrap();
        assert!(Lifecycle::drained(&lifecycle.tasks, Duration::from_secs(5)).await);
        assert!(lifecycle.failed.is_cancelled() && !lifecycle.soft.is_cancelled());
    }

    #[test]
    fn the_message_of_a_panic_is_its_text() {
        assert_eq!(
            [message(&"a text"), message(&"a String".to_owned()), message(&7)],
            ["a text", "a String", "no message"]
        );
    }
}
