//! The measured service: one of our own on fresh data, or one that already runs.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, read_to_string, remove_dir_all};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// The timeout of the start: initdb on a cold machine takes seconds.
const START: Duration = Duration::from_mins(2);
const STOP: Duration = Duration::from_secs(40);

/// Settings with the tier `load`, whose limit per month no load reaches, and without a limit per second. The list of tiers
/// replaces the default one. `unificus account create --tier load` needs the same settings.
pub(crate) const QUOTA: [(&str, &str); 2] = [
    (
        "UNIFICUS_QUOTA__TIERS",
        "{ load = { title = 'Load', calls_per_month = 1000000000000 }, \
           pinnacle = { title = 'Pinnacle', calls_per_month = 20000 } }",
    ),
    ("UNIFICUS_QUOTA__BURST_PER_SECOND", "0"),
];

/// The environment file that the service writes when all servers accept connections.
pub(crate) struct Urls {
    pub(crate) base: String,
    pub(crate) nats: String,
    pub(crate) database: String,
}

pub(crate) struct Service {
    pub(crate) urls: Urls,
    /// Unknown for a running service unless it was given.
    pub(crate) pid: Option<u32>,
    own: Option<Own>,
}

/// Field order is drop order: the process is killed before its data is removed.
struct Own {
    child: Child,
    dir: Dir,
}

impl Service {
    /// A running service.
    pub(crate) fn attach(env_file: &Path, pid: Option<u32>) -> Result<Self> {
        let text = read_to_string(env_file).with_context(|| format!("reading {}", env_file.display()))?;
        Ok(Self { urls: Urls::parse(&text)?, pid, own: None })
    }

    /// Starts our own service, which stops with this process in any case. It takes every call from its account's month, by
    /// the settings [`QUOTA`].
    pub(crate) async fn start(name: &str) -> Result<Self> {
        let dir = Dir::make(name)?;
        let env_file = dir.0.join("env");
        let log = File::create(dir.0.join("log")).context("creating the service's log")?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_unificus"))
            .args(["dev", "--port", "0", "--data-dir"])
            .arg(dir.0.join("data"))
            .arg("--env-file")
            .arg(&env_file)
            .envs(QUOTA)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing the service's log")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting unificus dev")?;
        let until = Instant::now() + START;
        let urls = loop {
            if let Some(urls) = read_to_string(&env_file).ok().and_then(|text| Urls::parse(&text).ok()) {
                break urls;
            }
            if let Some(status) = child.try_wait().context("checking unificus dev")? {
                bail!("unificus dev ended with {status} before it accepted connections:\n{}", dir.end_of_log());
            }
            if Instant::now() > until {
                bail!("unificus dev accepts no connections after {} s:\n{}", START.as_secs(), dir.end_of_log());
            }
            sleep(Duration::from_millis(50)).await;
        };
        Ok(Self { urls, pid: child.id(), own: Some(Own { child, dir }) })
    }

    /// Stops our own service gracefully and removes its data; leaves a running one alone.
    pub(crate) async fn stop(self) -> Result<()> {
        let Some(Own { mut child, dir }) = self.own else { return Ok(()) };
        // A process that has exited gets no signal, because its pid may belong to another process by now.
        if let Some(pid) = child.id() {
            let pid = Pid::from_raw(i32::try_from(pid).context("a pid")?);
            kill(pid, Signal::SIGTERM).context("stopping unificus dev")?;
        }
        match timeout(STOP, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => bail!("unificus dev ended with {status}:\n{}", dir.end_of_log()),
            Ok(Err(error)) => Err(error).context("waiting for unificus dev"),
            Err(_) => {
                child.kill().await.context("killing unificus dev")?;
                bail!("unificus dev did not stop within {} s and was killed:\n{}", STOP.as_secs(), dir.end_of_log())
            }
        }
    }
}

impl Urls {
    /// Reads shell lines: `NAME=value`, perhaps after `export`, perhaps quoted.
    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(|line| line.trim().trim_start_matches("export ").trim());
        let lines = lines.filter_map(|line| line.split_once('='));
        let mut values: BTreeMap<_, _> =
            lines.map(|(name, value)| (name, value.trim().trim_matches(['"', '\'']).to_owned())).collect();
        let mut value = |name| values.remove(name).with_context(|| format!("the env file has no {name}"));
        Ok(Self {
            base: value("UNIFICUS_BASE_URL")?,
            nats: value("UNIFICUS_NATS_URL")?,
            database: value("UNIFICUS_DATABASE_URL")?,
        })
    }
}

/// A directory that user postgres can reach where we are root, removed when dropped.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn make(name: &str) -> Result<Self> {
        let parent = Path::new("/var/tmp");
        let parent = if parent.is_dir() { parent.to_path_buf() } else { std::env::temp_dir() };
        let path = parent.join(format!("unificus-load-{}-{name}", std::process::id()));
        DirBuilder::new().mode(0o755).create(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn end_of_log(&self) -> String {
        let log = std::fs::read(self.0.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // Postgres may still be shutting down; the remaining directory then has a name that shows its origin.
        for _ in 0..50 {
            if remove_dir_all(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
