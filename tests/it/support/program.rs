//! Runs of the real binary that end by themselves, and `unificus serve` as a child process.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStderr, Command};

use super::LONG;
use super::process::Process;
use super::servers::{TestEnv, directory};

/// A data directory, removed at the end of the test.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Self {
        let dir = directory(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // The directory of a failed test stays, because it holds the logs.
        if !std::thread::panicking() {
            let _another_run_removes_it = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Runs the binary until it exits.
pub(crate) async fn unificus(arguments: &str, settings: &[(&str, &str)]) -> Output {
    let output = command(arguments, settings).output();
    tokio::time::timeout(LONG, output).await.expect("the program does not end").unwrap()
}

/// The same, with arguments that may contain spaces.
pub(crate) async fn unificus_of(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let output = command_of(arguments, settings).output();
    tokio::time::timeout(LONG, output).await.expect("the program does not end").unwrap()
}

/// The same, with text on its standard input.
pub(crate) async fn unificus_with_input(arguments: &str, settings: &[(&str, &str)], input: &str) -> Output {
    let mut command = command(arguments, settings);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    tokio::time::timeout(LONG, child.wait_with_output()).await.expect("the program does not end").unwrap()
}

fn command(arguments: &str, settings: &[(&str, &str)]) -> Command {
    command_of(&arguments.split(' ').collect::<Vec<_>>(), settings)
}

/// A run that is not started.
pub(crate) fn command_of(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unificus"));
    command.args(arguments).envs(settings.iter().copied()).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The JSON values that the binary printed, one per line.
#[track_caller]
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    let error_text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error_text}", output.status);
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

/// The error that the binary printed when it failed.
#[track_caller]
pub(crate) fn failure_text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "the program does not fail with status 1: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Starts `unificus serve` on a database, and returns the address at which it listens.
pub(crate) async fn serve(env: &TestEnv, more: &[(&str, &str)]) -> (tokio::process::Child, String) {
    let (child, base, _) = serve_logged(env, more).await;
    (child, base)
}

/// The JSON entries that a process logs.
pub(crate) struct Log(Lines<BufReader<ChildStderr>>);

impl Log {
    /// The next entry with this message.
    pub(crate) async fn next(&mut self, message: &str) -> Value {
        let search = async {
            loop {
                let line = self.0.next_line().await.unwrap().expect("the log ended before the message");
                let entry: Value = serde_json::from_str(&line).unwrap();
                if entry["fields"]["message"] == message {
                    return entry;
                }
            }
        };
        tokio::time::timeout(LONG, search).await.unwrap_or_else(|_| panic!("{message:?} is not logged"))
    }
}

/// As [`serve`], with the log that follows.
pub(crate) async fn serve_logged(env: &TestEnv, more: &[(&str, &str)]) -> (tokio::process::Child, String, Log) {
    let mut settings = env.settings();
    settings.extend(more);
    let mut child = command("serve", &settings).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = Log(BufReader::new(child.stderr.take().unwrap()).lines());
    let address = log.next("serving").await["fields"]["address"].as_str().unwrap().to_owned();
    (child, format!("http://{address}/secure-api"), log)
}

/// Stops a process by SIGTERM, and checks that it exits with 0.
pub(crate) async fn stop(mut process: Process) {
    process.signal(Signal::SIGTERM);
    assert_eq!(process.ended().await.code(), Some(0));
}
