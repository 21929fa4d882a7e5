//! The files of `deploy/`, each run or checked as an operator uses it.

mod containers;
mod installation;
mod least_rights;
mod nats_cluster;
mod outages;
mod partner;
mod promises;
mod restore_in_time;
mod rolling;
#[cfg(target_os = "linux")]
mod systemd;

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;
use unificus::config::program_path;

use crate::support::LONG;

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program of the tests' Python environment.
fn python_tool(name: &str) -> PathBuf {
    let program = program_path().1.join("unificus/python/bin").join(name);
    assert!(program.exists(), "{name} is missing: run deploy/setup.sh tests");
    program
}

/// Runs a program to its end.
async fn run(command: &mut Command) -> Output {
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(LONG, output).await.expect("the program does not end").unwrap()
}

/// Everything that a program printed.
fn printed(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a program that must succeed; returns what it printed.
#[track_caller]
fn succeeded(output: &Output) -> String {
    let printed = printed(output);
    assert!(output.status.success(), "{}: {printed}", output.status);
    printed
}
