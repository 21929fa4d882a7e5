//! The private NATS, with `JetStream`.

use std::fs::DirBuilder;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use super::child::{Daemon, Launch};
use super::credentials::{Password, SERVICE_ROLE, ServerCredentials};
use super::data_dir::DataDir;
use super::spawn::ServiceAccount;
use super::{holders, private};

const PROGRAM: &str = "nats-server";
const STORE: &str = "nats";
const STOP: Signal = Signal::SIGTERM;

/// The longest first line of a server that is read, in bytes; it is far shorter.
const MAX_INFO: u64 = 64 << 10;

/// A NATS server of our own on loopback, with `JetStream` on files. It has one user, with a password.
pub struct NatsServer {
    daemon: Daemon,
    password: Password,
}

impl NatsServer {
    /// Waits until no server of an earlier process uses the data.
    pub(super) async fn vacate(dir: &DataDir) -> Result<()> {
        holders::vacate(&dir.join(STORE), PROGRAM, STOP).await
    }

    /// Starts the server on its store, which may be missing, and returns when it accepts connections.
    pub(super) async fn start(
        dir: &DataDir,
        program: &Path,
        account: ServiceAccount,
        port: u16,
        ServerCredentials { nats: password, .. }: ServerCredentials,
    ) -> Result<Self> {
        let store = dir.join(STORE);
        DirBuilder::new().mode(0o700).recursive(true).create(&store).context("making the directory of NATS")?;
        let config = dir.join("nats.conf");
        private::write(&config, &configuration(port, &password))?;
        let daemon = Daemon::start(Launch {
            name: PROGRAM,
            program: program.to_path_buf(),
            args: ["-c".into(), config.into(), "-sd".into(), store.clone().into()].into(),
            env: &[],
            account,
            data: store,
            leftover: None,
            log: dir.join("nats.log"),
            port,
            probe: Box::new(|port| Box::pin(accepts(port))),
            stop: STOP,
            abort: Signal::SIGKILL,
        });
        Ok(Self { daemon: daemon.await?, password })
    }

    /// The URL for clients, with user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{SERVICE_ROLE}:{}@127.0.0.1:{}", self.password.reveal(), self.daemon.port())
    }

    /// Its pid; none once its end was noticed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.pid()
    }

    /// Resolves when the server has ended, at once if it already has. May be dropped and called again.
    pub async fn wait_exit(&mut self) {
        self.daemon.wait_exit().await;
    }

    /// Stops it in order; by force after 20 s.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub async fn stop(&mut self) -> Result<()> {
        self.daemon.stop().await
    }

    /// `kill -9`, for crash tests.
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

/// The store's path is an argument, where it needs no quoting. The password is not, because every user of the machine can
/// read arguments. A single user has the account in which streams were made before there was a password.
fn configuration(port: u16, password: &Password) -> String {
    let password = password.reveal();
    format!(
        "# Written at every start.\n\
         listen: \"127.0.0.1:{port}\"\n\
         max_payload: 8MB\n\
         authorization {{\n    user: \"{SERVICE_ROLE}\"\n    password: \"{password}\"\n}}\n\
         jetstream {{\n    max_file_store: 20GB\n}}\n"
    )
}

/// The server sends its capabilities in the first line, once the streams on disk are recovered.
async fn accepts(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return false;
    };
    let mut line = String::new();
    let read = BufReader::new(stream.take(MAX_INFO)).read_line(&mut line).await;
    read.is_ok() && ["INFO ", "\"jetstream\":true", "\"auth_required\":true"].iter().all(|part| line.contains(part))
}
