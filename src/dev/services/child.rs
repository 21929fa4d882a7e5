//! One server as a child process: starts it and waits until it accepts connections, stops, kills, restarts and watches it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::spawn::{Anchored, ServiceAccount};
use super::{holders, log};

const POLL: Duration = Duration::from_millis(10);
const ONE_PROBE: Duration = Duration::from_secs(1);
const UNTIL_READY: Duration = Duration::from_mins(1);
const ORDERLY_STOP: Duration = Duration::from_secs(20);
const HASTY_STOP: Duration = Duration::from_secs(5);

/// The pause before a server that ended is started again. It is doubled each time, and short again after the server has
/// run for `STEADY`.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MAX_PAUSE: Duration = Duration::from_secs(5);
const STEADY: Duration = Duration::from_secs(30);

/// Checks whether the server on a port is ready for clients.
pub(super) type Probe = Box<dyn Fn(u16) -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The parameters for starting one server any number of times.
pub(super) struct Launch {
    /// The name of the program, as the kernel shows it.
    pub name: &'static str,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Variables of its environment, besides those of this process.
    pub env: &'static [(&'static str, &'static str)],
    pub account: ServiceAccount,
    /// The data directory, which is the working directory too. That identifies the server as its holder.
    pub data: PathBuf,
    /// A file of a killed server that would keep the next one from starting.
    pub leftover: Option<PathBuf>,
    pub log: PathBuf,
    pub port: u16,
    pub probe: Probe,
    /// The signal for an orderly stop. It is also sent when the parent ends.
    pub stop: Signal,
    /// The signal for an immediate stop, after which the server recovers at its next start.
    pub abort: Signal,
}

/// A running server, or one that has ended and may be started again.
pub(super) struct Daemon {
    launch: Launch,
    process: Anchored,
}

impl Daemon {
    /// # Errors
    /// When the program cannot be run or does not accept within a minute: with the last lines of its log.
    pub(super) async fn start(launch: Launch) -> Result<Self> {
        let process = spawn(&launch).await?;
        let mut daemon = Self { launch, process };
        daemon.ready().await?;
        Ok(daemon)
    }

    pub(super) fn port(&self) -> u16 {
        self.launch.port
    }

    /// None once its end was noticed.
    pub(super) fn pid(&self) -> Option<u32> {
        self.process.child.id()
    }

    /// Resolves when the server has ended, at once if it already has. May be dropped and called again.
    pub(super) async fn wait_exit(&mut self) {
        if let Err(error) = self.process.child.wait().await {
            warn!(server = self.launch.name, %error, "wait for server failed");
        }
    }

    /// Stops it in order, else at once, else by force, with a deadline for each. Does nothing if it has ended.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub(super) async fn stop(&mut self) -> Result<()> {
        for (signal, patience) in [(self.launch.stop, ORDERLY_STOP), (self.launch.abort, HASTY_STOP)] {
            self.signal(signal)?;
            if timeout(patience, self.wait_exit()).await.is_ok() {
                return Ok(());
            }
            warn!(server = self.launch.name, %signal, "stop server failed: it did not end in time");
        }
        self.kill().await
    }

    /// # Errors
    /// When it cannot be signalled.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.wait_exit().await;
        Ok(())
    }

    /// Starts the server again on the same data and port, after stopping it if it runs. Dropping the future at any
    /// point leaves a daemon that can be stopped or restarted.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(super) async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        holders::vacate(&self.launch.data, self.launch.name, self.launch.stop).await?;
        self.process = spawn(&self.launch).await?;
        self.ready().await
    }

    /// Starts the server again whenever it ends, for ever.
    pub(super) async fn supervise(&mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            if timeout(STEADY, self.wait_exit()).await.is_err() {
                pause = FIRST_PAUSE;
                self.wait_exit().await;
            }
            warn!(server = self.launch.name, ?pause, "server ended; starting it again");
            sleep(pause).await;
            pause = MAX_PAUSE.min(pause * 2);
            if let Err(error) = self.restart().await {
                warn!(server = self.launch.name, error = format!("{error:#}"), "restart server failed");
            }
        }
    }

    /// The pid cannot belong to another process yet, because the kernel keeps it until its end is noticed here.
    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(pid).context("a pid beyond what the kernel gives out")?);
        kill(pid, signal).with_context(|| format!("sending {signal} to {}", self.launch.name))
    }

    async fn ready(&mut self) -> Result<()> {
        let accepts = timeout(UNTIL_READY, self.accepts()).await;
        let outcome = accepts.unwrap_or_else(|_| bail!("it did not accept connections within {UNTIL_READY:?}"));
        let Launch { name, log, port, .. } = &self.launch;
        outcome.with_context(|| format!("{name} did not start; the end of {}:\n{}", log.display(), log::tail(log)))?;
        info!(server = name, port, pid = self.pid(), "server accepts connections");
        Ok(())
    }

    /// Checks after each probe that the server runs, so that another program on its port is not taken for it.
    async fn accepts(&mut self) -> Result<()> {
        loop {
            // A probe that times out counts as a server that does not accept connections.
            let answered = timeout(ONE_PROBE, (self.launch.probe)(self.launch.port)).await.unwrap_or(false);
            if let Some(status) = self.process.child.try_wait().context("asking whether it still runs")? {
                bail!("it ended with {status}");
            }
            if answered {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
}

async fn spawn(launch: &Launch) -> Result<Anchored> {
    if let Some(leftover) = &launch.leftover {
        match std::fs::remove_file(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing the stale {}", leftover.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let log = log::open(&launch.log)?;
    let mut command = launch.account.command(&launch.program, launch.stop);
    command.args(&launch.args).envs(launch.env.iter().copied()).current_dir(&launch.data);
    command.stdout(clone(&log)?).stderr(log);
    Anchored::spawn(command).await.with_context(|| format!("running {}", launch.program.display()))
}

fn clone(log: &File) -> Result<File> {
    log.try_clone().context("duplicating the handle of a log")
}
