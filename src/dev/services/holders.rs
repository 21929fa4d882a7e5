//! Who still runs on a data directory: the servers of a former process that was killed, on their way out.
//!
//! A server belongs to a directory when that is its working directory, which holds for the postmaster, for every
//! backend it leaves behind when it is killed, and for NATS. It says more than a pid in a file does: such a pid may
//! by now be somebody else's.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

const POLL: Duration = Duration::from_millis(10);

/// What is done to those who are still there, and how long that may take. The first is what a server is told at its
/// parent's death anyway; said again, it reaches one whose parent died before it could be tied to it.
const STEPS: [(Option<Signal>, Duration); 3] = [
    (None, Duration::from_secs(15)),
    (Some(Signal::SIGQUIT), Duration::from_secs(5)),
    (Some(Signal::SIGKILL), Duration::from_secs(5)),
];

/// Returns when no process named `program` works in `dir`. Those who do are told `stop`, and if they stay too long,
/// more than that: the caller holds the lock on the directory, so what is left there has no owner any more.
///
/// # Errors
/// When a process survives even `SIGKILL`.
pub(super) async fn vacate(dir: &Path, program: &str, stop: Signal) -> Result<()> {
    for (signal, patience) in STEPS {
        let signal = signal.unwrap_or(stop);
        let pids = holders(dir, program);
        if !pids.is_empty() {
            info!(program, ?pids, %signal, "telling the servers that were left behind to go");
        }
        for pid in pids {
            // It may have gone by itself since the list was made; whether it has is what the wait tells.
            let _ = kill(pid, signal);
        }
        if vacant_within(patience, dir, program).await {
            return Ok(());
        }
    }
    bail!("{program} processes {:?} stay on {} whatever signal they get", holders(dir, program), dir.display())
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
    // The kernel shows directories without links on the way, so that is the form to compare. A directory that does not
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

/// The name is asked first, because it spares a look at the directory of all the others. Processes of other users
/// do not tell their directory and are none of ours.
fn works_in(process: &Path, dir: &Path, program: &str) -> bool {
    // A process that has ended since it was listed has no name, and holds nothing.
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim_end() == program && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == dir)
}

/// The same question for systems without `/proc`: prints a pid a line.
fn from_lsof(dir: &Path, program: &str) -> Vec<Pid> {
    let output = Command::new("lsof").args(["-t", "-w", "-a", "-d", "cwd", "-c", program, "--"]).arg(dir).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            warn!(program, %error, "run lsof failed; servers that a killed process left behind are not seen");
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
