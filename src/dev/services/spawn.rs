//! Processes that end when this one does.
//!
//! Linux has the parent-death signal for that. `setpriv` sets it before it runs the program, so that no unsafe code has to
//! run between fork and exec.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{SyncSender, sync_channel};

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::data_dir::DataDirOwner;

/// The settings for running a program so that it ends when its parent does.
#[derive(Clone)]
pub(super) struct ServiceAccount {
    setpriv: Option<PathBuf>,
    owner: Option<DataDirOwner>,
}

impl ServiceAccount {
    /// Without `setpriv`, as on other systems than Linux, a program does not end with its parent.
    pub(super) fn new(setpriv: Option<PathBuf>) -> Self {
        Self { setpriv, owner: None }
    }

    /// The same as another OS user, which needs root.
    pub(super) fn run_as(self, owner: Option<DataDirOwner>) -> Self {
        Self { owner, ..self }
    }

    /// Runs `program`, which gets `at_parents_death` when the thread that spawned it ends. It has its own process group, so
    /// that Ctrl-C in a terminal reaches only this process, which then stops its children in order.
    pub(super) fn command(&self, program: &Path, at_parents_death: Signal) -> Command {
        let mut command = match &self.setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                if let Some(DataDirOwner { uid, gid }) = self.owner {
                    command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--init-groups".to_owned()]);
                }
                command.arg(format!("--pdeathsig={}", at_parents_death.as_str())).arg("--").arg(program);
                command
            }
            None => Command::new(program),
        };
        command.process_group(0).stdin(Stdio::null());
        command
    }
}

/// A child and the thread that spawned it. Dropping it ends the thread, and a child that still runs gets its signal.
pub(super) struct Anchored {
    pub child: Child,
    _anchor: SyncSender<()>,
}

impl Anchored {
    /// Spawns from a thread of its own. The kernel sends the parent-death signal when the spawning *thread* ends, which a
    /// thread of the runtime, or of a test, may do long before the process.
    pub(super) async fn spawn(mut command: Command) -> io::Result<Self> {
        let runtime = Handle::current();
        let (report, spawned) = oneshot::channel();
        let (anchor, dropped) = sync_channel(0);
        std::thread::Builder::new().name("child-anchor".to_owned()).spawn(move || {
            let child = {
                let _context = runtime.enter();
                command.spawn()
            };
            if report.send(child).is_ok() {
                // Returns when the anchor is dropped, because nothing is ever sent.
                let _ = dropped.recv();
            }
        })?;
        let child = spawned.await.map_err(|_| io::Error::other("the thread of the child has panicked"))??;
        Ok(Self { child, _anchor: anchor })
    }
}
