//! Rules, dashboards, consoles and logs that operators watch, checked by Prometheus' own programs.

mod dashboards;
mod load;
mod logs;
mod prometheus;
mod rules;
mod traces;

use std::path::{Path, PathBuf};

use tokio::process::Command;
use unificus::config::program_path;

/// A directory of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program that `deploy/setup.sh tests` installs.
fn program(name: &str) -> Command {
    let (path, data_home) = program_path();
    let mut command = Command::new(name);
    command.env("PATH", format!("{}:{path}", data_home.join("unificus/bin").display())).kill_on_drop(true);
    command
}

/// The names that follow a key at the beginning of a line, such as `- alert: `.
fn values<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.trim_start().strip_prefix(key)).map(str::trim).collect()
}
