//! The real binary as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use unificus::domain::AccountId;
use uuid::Uuid;

use super::{Client, LONG};

/// `unificus dev` with its own servers, which are killed with it.
pub(crate) struct Process {
    child: Child,
    directory: PathBuf,
    env_file: PathBuf,
}

/// The content of the environment file that the process wrote.
pub(crate) struct Environment {
    pub(crate) client: Client,
    pub(crate) nats: String,
    pub(crate) database: String,
    pub(crate) metrics: String,
}

impl Process {
    /// Starts it without quota limits, because load tests make many calls.
    pub(crate) async fn start(directory: &Path) -> (Self, Environment) {
        Self::start_with(directory, &[("UNIFICUS_QUOTA__ENFORCED", "false")]).await
    }

    pub(crate) async fn start_with(directory: &Path, settings: &[(&str, &str)]) -> (Self, Environment) {
        let env_file = directory.join("service.env");
        let _stale = std::fs::remove_file(&env_file);
        let log = std::fs::File::options().create(true).append(true).open(directory.join("service.log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_unificus"))
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(directory.join("data"))
            .arg("--env-file")
            .arg(&env_file)
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(directory.join("service.out")).unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Self { child, directory: directory.to_owned(), env_file };
        let environment = process.environment().await;
        (process, environment)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        kill(self.pid(), signal);
    }

    /// Its exit status.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let waited = async {
            let mut pause = tokio::time::interval(Duration::from_millis(5));
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                pause.tick().await;
            }
        };
        tokio::time::timeout(LONG, waited).await.expect("the process does not end")
    }

    /// Waits for the environment file, which appears once all servers accept connections.
    async fn environment(&mut self) -> Environment {
        let written = async {
            let mut pause = tokio::time::interval(Duration::from_millis(5));
            loop {
                if let Ok(text) = std::fs::read_to_string(&self.env_file) {
                    return text;
                }
                if let Some(status) = self.child.try_wait().unwrap() {
                    let log = std::fs::read_to_string(self.directory.join("service.log")).unwrap_or_default();
                    panic!("unificus dev ended with {status}:\n{log}");
                }
                pause.tick().await;
            }
        };
        let text = tokio::time::timeout(LONG * 2, written).await.expect("unificus dev does not start");
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("UNIFICUS_{name}=")));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        let account = AccountId(Uuid::try_parse(&value("PUBLIC_ID")).unwrap());
        Environment {
            client: Client::new(&value("BASE_URL"), account, &value("SECRET_KEY")),
            nats: value("NATS_URL"),
            database: value("DATABASE_URL"),
            metrics: value("METRICS_URL"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

pub(crate) fn kill(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}
