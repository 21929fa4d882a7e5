//! The stop of a process, in two stages.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tells every part of the service to stop, and knows which have. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    /// No new work; finish what was begun.
    pub soft: CancellationToken,
    /// Nobody can send work any more: writers write what they have and end.
    pub hard: CancellationToken,
    /// Listeners and connections, which end after the soft stop.
    pub connections: TaskTracker,
    /// Deliveries of webhooks, which end after the soft stop.
    pub deliveries: TaskTracker,
    /// Everything else.
    pub tasks: TaskTracker,
}

impl Lifecycle {
    /// Waits until every task has ended; false where the deadline came first.
    pub async fn drained(tasks: &TaskTracker, deadline: Duration) -> bool {
        tasks.close();
        tokio::time::timeout(deadline, tasks.wait()).await.is_ok()
    }
}

/// SIGTERM and SIGINT, which from now on ask for a stop instead of ending the process.
#[derive(Debug)]
pub struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    /// Begins to listen. To be called before anybody can see that the process runs: a signal that comes between is
    /// kept.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves when one came.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!(signal = "SIGTERM", "stopping"),
            _ = self.interrupt.recv() => tracing::info!(signal = "SIGINT", "stopping"),
        }
    }
}
