//! The private Postgres.

use std::ffi::OsString;
use std::fs::{DirBuilder, remove_dir_all, remove_file, rename};
use std::io;
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::child::{Daemon, Launch};
use super::credentials::{SERVICE_ROLE, ServerCredentials};
use super::data_dir::DataDir;
use super::spawn::ServiceAccount;
use super::{access, holders, roles};
use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::process::Command;
use tokio::time::timeout;

const PROGRAM: &str = "postgres";
const CLUSTER: &str = "postgres";
const PID_FILE: &str = "postmaster.pid";
/// The directory in which a cluster is made. It is renamed when it is complete, so that an unfinished one is never used.
const UNFINISHED: &str = "postgres.new";

/// Names of the superuser and of the database that is always there.
const SUPERUSER: &str = "postgres";
const DATABASE: &str = "postgres";

/// Fast shutdown: clients are cut off, then a checkpoint is written.
const STOP: Signal = Signal::SIGINT;

const INITDB: Duration = Duration::from_mins(2);

/// Settings besides those of `initdb`. They are arguments, so that they apply to an existing cluster too. The two durability
/// settings are explicit although they are the defaults, because measurements depend on them.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    // TCP is enough. A socket file has a length limit, and its lock remains after a killed server.
    ("unix_socket_directories", ""),
    ("max_connections", "200"),
    // Allocated as it is used. With less, inserts under load soon have to write older pages first.
    ("shared_buffers", "1GB"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("max_wal_size", "4GB"),
    // Filling a new segment with zeros delayed every commit by 40 ms, several times a second under load on a new cluster.
    // Commits are as durable without it.
    ("wal_init_zero", "off"),
    ("checkpoint_timeout", "15min"),
    ("autovacuum_naptime", "1min"),
    // Standard error is the log file.
    ("logging_collector", "off"),
];

/// Settings of glibc's allocator. By default it returns the memory of each large statement to the system and takes it again
/// for the next one, which costs a tenth of the CPU time of a batch of creates. A session may keep 8 MiB with these.
const ALLOCATOR: &[(&str, &str)] =
    &[("MALLOC_TOP_PAD_", "1048576"), ("MALLOC_TRIM_THRESHOLD_", "8388608"), ("MALLOC_MMAP_THRESHOLD_", "4194304")];

/// A private, durable Postgres on loopback. Every connection needs a password. Databases belong to a role that is no
/// superuser; the superuser's password is for the launcher and for tests.
pub struct Postgres {
    daemon: Daemon,
    credentials: ServerCredentials,
}

impl Postgres {
    /// Waits until no server of an earlier process uses the data.
    pub(super) async fn vacate(dir: &DataDir) -> Result<()> {
        holders::vacate(&dir.join(CLUSTER), PROGRAM, STOP).await?;
        // An unfinished cluster is thrown away, so its processes need no orderly stop.
        holders::vacate(&dir.join(UNFINISHED), PROGRAM, Signal::SIGKILL).await
    }

    /// Makes the cluster if there is none, starts it, and returns when it accepts connections. `bin` holds the programs.
    pub(super) async fn start(
        dir: &DataDir,
        bin: &Path,
        account: ServiceAccount,
        port: u16,
        credentials: ServerCredentials,
    ) -> Result<Self> {
        let account = account.run_as(dir.owner());
        let cluster = dir.join(CLUSTER);
        if !cluster.is_dir() {
            make_cluster(dir, bin, &account).await.context("making the Postgres cluster")?;
        }
        remove_leftover(&cluster.join(PID_FILE))?;
        let superuser = (SUPERUSER, &credentials.superuser);
        access::close(&cluster, &bin.join(PROGRAM), &account, dir.owner(), superuser)
            .await
            .context("closing the Postgres cluster to connections without a password")?;
        let url = superuser_url(port, DATABASE, &credentials);
        let daemon = Daemon::start(launch(dir, bin, account, port, url)).await?;
        let postgres = Self { daemon, credentials };
        roles::ensure(&postgres.superuser_url(), SERVICE_ROLE, &postgres.credentials.service)
            .await
            .context("making the role that the service connects as")?;
        Ok(postgres)
    }

    /// The URL of the default database, for the superuser.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.superuser_url_of(DATABASE)
    }

    /// The URL of a database, for the superuser. `database` must need no escaping in a URL.
    #[must_use]
    pub fn superuser_url_of(&self, database: &str) -> String {
        superuser_url(self.daemon.port(), database, &self.credentials)
    }

    /// The URL of a database, for the role of the service. `database` must need no escaping in a URL.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let password = self.credentials.service.reveal();
        format!("postgresql://{SERVICE_ROLE}:{password}@127.0.0.1:{}/{database}", self.daemon.port())
    }

    /// Makes a database that belongs to the role of the service, where it is missing. A database that an earlier version made
    /// for the superuser is handed over to that role, with everything in it.
    ///
    /// # Errors
    /// When the server refuses, or cannot be reached.
    pub async fn ensure_database(&self, database: &str) -> Result<()> {
        roles::ensure_database(&self.superuser_url(), &self.superuser_url_of(database), database, SERVICE_ROLE)
            .await
            .with_context(|| format!("making the database {database}"))
    }

    /// The postmaster's pid; none once its end was noticed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.pid()
    }

    /// Resolves when the postmaster has ended, at once if it already has. May be dropped and called again.
    pub async fn wait_exit(&mut self) {
        self.daemon.wait_exit().await;
    }

    /// Stops it by a fast shutdown; immediately after 20 s, and by force after 5 s more.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        self.daemon.stop().await
    }

    /// `kill -9` of the postmaster, for crash tests. Its backends end by themselves when they notice.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn kill(&mut self) -> Result<()> {
        self.daemon.kill().await
    }

    /// Starts it again on the same data and port, whether it runs or has ended.
    ///
    /// # Errors
    /// When it does not come up within a minute: with the last lines of its log.
    pub async fn restart(&mut self) -> Result<()> {
        self.daemon.restart().await
    }

    pub(super) async fn supervise(&mut self) {
        self.daemon.supervise().await;
    }
}

fn superuser_url(port: u16, database: &str, credentials: &ServerCredentials) -> String {
    format!("postgresql://{SUPERUSER}:{}@127.0.0.1:{port}/{database}", credentials.superuser.reveal())
}

/// Removes the pid file of a killed server. Its pid may belong to another process of the same user by now, which Postgres
/// would take for a running server.
fn remove_leftover(pid_file: &Path) -> Result<()> {
    match remove_file(pid_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing the stale {}", pid_file.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn launch(dir: &DataDir, bin: &Path, account: ServiceAccount, port: u16, superuser_url: String) -> Launch {
    let data = dir.join(CLUSTER);
    let mut args: Vec<OsString> = vec!["-D".into(), data.clone().into(), "-p".into(), port.to_string().into()];
    for (name, value) in SETTINGS {
        args.extend(["-c".into(), format!("{name}={value}").into()]);
    }
    Launch {
        name: PROGRAM,
        program: bin.join(PROGRAM),
        args,
        env: ALLOCATOR,
        account,
        leftover: Some(data.join(PID_FILE)),
        data,
        log: dir.join("postgres.log"),
        port,
        // Ready means that a login succeeds; until then the server says that it is starting up.
        probe: Box::new(move |_| {
            let url = superuser_url.clone();
            Box::pin(async move { roles::connects(&url).await })
        }),
        stop: STOP,
        abort: Signal::SIGQUIT,
    }
}

async fn make_cluster(dir: &DataDir, bin: &Path, account: &ServiceAccount) -> Result<()> {
    let unfinished = dir.join(UNFINISHED);
    if unfinished.exists() {
        remove_dir_all(&unfinished).context("removing an unfinished cluster")?;
    }
    DirBuilder::new().mode(0o700).create(&unfinished).context("making its directory")?;
    if let Some(owner) = dir.owner() {
        chown(&unfinished, Some(owner.uid), Some(owner.gid)).context("giving its directory to its user")?;
    }
    // Not every system has the locale `C.UTF-8`, in which text sorts by code point; `C` sorts the same, by byte.
    let in_utf8 = initdb(initdb_command(dir, bin, account, "C.UTF-8")).await;
    if let Err(first) = in_utf8 {
        initdb(initdb_command(dir, bin, account, "C")).await.context(first)?;
    }
    rename(&unfinished, dir.join(CLUSTER)).context("putting the finished cluster in place")
}

fn initdb_command(dir: &DataDir, bin: &Path, account: &ServiceAccount, locale: &str) -> Command {
    let mut command = account.command(&bin.join("initdb"), Signal::SIGKILL);
    // Connections are rejected until there are passwords.
    command
        .args(["--no-sync", "--auth=reject", "--encoding=UTF8", "-U", SUPERUSER, "--locale", locale, "-D"])
        .arg(dir.join(UNFINISHED))
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn initdb(mut command: Command) -> Result<()> {
    let ended = timeout(INITDB, command.output()).await.context("initdb does not end")?;
    let output = ended.context("running initdb")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "initdb ended with {}: {}", output.status, stderr.trim());
    Ok(())
}
