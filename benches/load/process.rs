//! A measuring program: one thread, which a signal ends.

use std::future::Future;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Runs the whole program until it is done or a signal arrives. Dropping the work stops its service however the run ends.
pub(crate) fn run(whole: impl Future<Output = Result<()>>) -> Result<()> {
    // One thread for all connections, because with more the runtime itself would use a share of the cores.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("creating the runtime")?.block_on(until_signal(whole))
}

async fn until_signal(whole: impl Future<Output = Result<()>>) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    tokio::select! {
        done = whole => done,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminated.recv() => bail!("terminated"),
    }
}
