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
use super::credentials::{SERVICE_ROLE, SYSTEM_USER, ServerCredentials};
use super::data_dir::DataDir;
use super::spawn::ServiceAccount;
use super::{holders, private};
use crate::config::{IssuerSeed, NatsConfig};

const PROGRAM: &str = "nats-server";
const STORE: &str = "nats";
const STOP: Signal = Signal::SIGTERM;

/// The longest first line of a server that is read, in bytes; it is far shorter.
const MAX_INFO: u64 = 64 << 10;

/// A NATS server of our own on loopback, with `JetStream` on files. Its two users, the service and the one of the system
/// account, have passwords. It asks the service about all other logins.
pub struct NatsServer {
    daemon: Daemon,
    credentials: ServerCredentials,
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
        credentials: ServerCredentials,
    ) -> Result<Self> {
        let store = dir.join(STORE);
        DirBuilder::new().mode(0o700).recursive(true).create(&store).context("making the directory of NATS")?;
        let config = dir.join("nats.conf");
        private::write(&config, &configuration(port, &credentials)?)?;
        move_streams(&store)?;
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
        Ok(Self { daemon: daemon.await?, credentials })
    }

    /// The URL for the service, with user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{SERVICE_ROLE}:{}@127.0.0.1:{}", self.credentials.nats.reveal(), self.daemon.port())
    }

    /// The URL for clients of accounts, who log in with their keys.
    #[must_use]
    pub fn client_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.daemon.port())
    }

    /// The URL of the system account, with user and password.
    #[must_use]
    pub fn system_url(&self) -> String {
        format!("nats://{SYSTEM_USER}:{}@127.0.0.1:{}", self.credentials.nats_system.reveal(), self.daemon.port())
    }

    /// The seed of the key that signs logins.
    #[must_use]
    pub fn issuer_seed(&self) -> &IssuerSeed {
        &self.credentials.nats_issuer
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

/// The account of the server that the service and its streams are in.
const SERVICE_ACCOUNT: &str = "CRM";

/// The directory of the account that a server without accounts has, below the store.
const DEFAULT_ACCOUNT: &str = "jetstream/$G";

/// Streams of a version that had one account for everybody become those of the service's account. The relay would publish
/// them again, but the files would stay.
fn move_streams(store: &Path) -> Result<()> {
    let (before, after) = (store.join(DEFAULT_ACCOUNT), store.join("jetstream").join(SERVICE_ACCOUNT));
    if before.join("streams").is_dir() && !after.exists() {
        std::fs::rename(&before, &after).context("moving the streams of NATS to the service's account")?;
    }
    Ok(())
}

/// The configuration that docs/nats.md explains. The store's path is an argument, where it needs no quoting. Passwords are
/// not, because every user of the machine can read arguments.
fn configuration(port: u16, credentials: &ServerCredentials) -> Result<String> {
    let (password, system_password) = (credentials.nats.reveal(), credentials.nats_system.reveal());
    let issuer = credentials.issuer()?;
    let issuer = issuer.public_key();
    let NatsConfig { subject_root: root, stream, clients_account: clients, .. } = NatsConfig::default();
    Ok(format!(
        r#"# Written at every start.
listen: "127.0.0.1:{port}"
max_payload: 8MB
jetstream {{
    max_file_store: 20GB
}}
accounts {{
    {SERVICE_ACCOUNT} {{
        jetstream: enabled
        users: [{{user: "{SERVICE_ROLE}", password: "{password}"}}]
        exports: [
            {{stream: "{root}.*.evt.>", accounts: [{clients}]}}
            {{service: "{root}.*.cmd.*.*", accounts: [{clients}]}}
            {{service: "$JS.API.>", response_type: stream, accounts: [{clients}]}}
            {{service: "$JS.ACK.{stream}.>", accounts: [{clients}]}}
            {{service: "$JS.ACK.*.*.{stream}.>", accounts: [{clients}]}}
        ]
    }}
    {clients} {{
        imports: [
            {{stream: {{account: {SERVICE_ACCOUNT}, subject: "{root}.*.evt.>"}}}}
            {{service: {{account: {SERVICE_ACCOUNT}, subject: "{root}.*.cmd.*.*"}}, share: true}}
            {{service: {{account: {SERVICE_ACCOUNT}, subject: "$JS.API.>"}}}}
            {{service: {{account: {SERVICE_ACCOUNT}, subject: "$JS.ACK.{stream}.>"}}}}
            {{service: {{account: {SERVICE_ACCOUNT}, subject: "$JS.ACK.*.*.{stream}.>"}}}}
        ]
    }}
    SYS {{
        users: [{{user: "{SYSTEM_USER}", password: "{system_password}"}}]
    }}
}}
system_account: SYS
authorization {{
    auth_callout {{
        issuer: "{issuer}"
        account: {SERVICE_ACCOUNT}
        auth_users: ["{SERVICE_ROLE}", "{SYSTEM_USER}"]
    }}
}}
"#
    ))
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
