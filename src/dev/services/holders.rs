//! Finds servers of an earlier process that was killed, which still use a data directory, and waits until they have ended.
//!
//! A server belongs to a directory when that is its working directory. This holds for the postmaster, for the backends that
//! it leaves behind when it is killed, and for NATS. A pid in a file would not do, because it may belong to another process
//! by now.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

const POLL: Duration = Duration::from_millis(10);

/// The signals to remaining servers, and the time that each has to work. The first one is the signal that a server gets when
/// its parent ends. It is sent again for a server whose parent ended before the two were tied together.
const STEPS: [(Option<Signal>, Duration); 3] = [
    (None, Duration::from_secs(15)),
    (Some(Signal::SIGQUIT), Duration::from_secs(5)),
    (Some(Signal::SIGKILL), Duration::from_secs(5)),
];

/// Returns when no process named `program` works in `dir`. Processes that do get `stop`, and after some time stronger
/// signals. The caller has locked the directory, so nobody needs them any more.
///
/// # Errors
/// When a process survives even `SIGKILL`.
pub(super) async fn vacate(dir: &Path, program: &str, stop: Signal) -> Result<()> {
    for (signal, patience) in STEPS {
        let signal = signal.unwrap_or(stop);
        let pids = holders(dir, program);
        if !pids.is_empty() {
            info!(program, ?pids, %signal, "stopping servers of an earlier process");
        }
        for pid in pids {
            // Fails where the process has ended since it was listed; the wait below finds out.
            let _ = kill(pid, signal);
        }
        if vacant_within(patience, dir, program).await {
            return Ok(());
        }
    }
    bail!("{program} processes {:?} in {} do not end after SIGKILL", holders(dir, program), dir.display())
}

async fn vacant_within(patience: Duration, dir: &Path, program: &str) -> bool {
    let vacant = async {
        while !holders(dir, program).is_empty() {
            sleep(POLL).await;
        }
    };
    timeout(patience, vacant).await.is_ok()
}

fn holders(dir: &Path, program: &str) -> Vec<Pid> {
    // The kernel shows directories without symbolic links, so this form is compared. A directory that does not
    // exist has no holders.
    let Ok(dir) = dir.canonicalize() else {
        return Vec::new();
    };
    if cfg!(target_os = "linux") { from_proc(&dir, program) } else { from_lsof(&dir, program) }
}

fn from_proc(dir: &Path, program: &str) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            works_in(&entry.path(), dir, program).then_some(Pid::from_raw(pid))
        })
        .collect()
}

/// The name is compared first, because reading it is cheaper. The directories of other users' processes cannot be read;
/// they are no servers of this directory.
fn works_in(process: &Path, dir: &Path, program: &str) -> bool {
    // A process that has ended since it was listed has no name.
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim_end() == program && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == dir)
}

/// The same for systems without `/proc`; lsof prints one pid per line.
fn from_lsof(dir: &Path, program: &str) -> Vec<Pid> {
    let output = Command::new("lsof").args(["-t", "-w", "-a", "-d", "cwd", "-c", program, "--"]).arg(dir).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            warn!(program, %error, "run lsof failed; servers of an earlier process are not found");
            return Vec::new();
        }
    };
    String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok().map(Pid::from_raw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_name_and_its_working_directory() {
        let here = std::env::current_dir().unwrap();
        let own = std::fs::read_to_string("/proc/self/comm").unwrap();
        let us = Pid::this();
        assert!(from_proc(&here, own.trim_end()).contains(&us));
        assert!(!from_proc(&here, "postgres").contains(&us));
        assert!(!from_proc(Path::new("/proc"), own.trim_end()).contains(&us));
    }
}
