//! Processes that end when this one does.
//!
//! Linux offers a signal for that, the parent-death signal. `setpriv` asks for it on the way to the program, so that
//! no unsafe code has to run between fork and exec here.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{SyncSender, sync_channel};

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::data_dir::DataDirOwner;

/// How a program is run so that it ends when its parent does.
#[derive(Clone)]
pub(super) struct ServiceAccount {
    setpriv: Option<PathBuf>,
    owner: Option<DataDirOwner>,
}

impl ServiceAccount {
    /// Without `setpriv` a program does not end with its parent; that is how it is off Linux.
    pub(super) fn new(setpriv: Option<PathBuf>) -> Self {
        Self { setpriv, owner: None }
    }

    /// The same as another OS user, for which we have to be root.
    pub(super) fn run_as(self, owner: Option<DataDirOwner>) -> Self {
        Self { owner, ..self }
    }

    /// `program`, to be sent `at_parents_death` when the thread that spawned it ends. It is a process group of its
    /// own, so that Ctrl-C in a terminal reaches this process alone, which then stops its children in order.
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

/// A child and the life of the thread that spawned it. Dropped, it lets the thread end, and the child, if it still
/// runs, gets its signal.
pub(super) struct Anchored {
    pub child: Child,
    _anchor: SyncSender<()>,
}

impl Anchored {
    /// Spawns from a thread that does nothing else. The kernel sends the parent-death signal when the *thread* that
    /// spawned ends, which on a thread of the runtime, or of a test, may be long before the process does.
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
                // Nothing is ever sent: this returns when the anchor is dropped.
                let _ = dropped.recv();
            }
        })?;
        let child = spawned.await.map_err(|_| io::Error::other("the thread of the child has panicked"))??;
        Ok(Self { child, _anchor: anchor })
    }
}
