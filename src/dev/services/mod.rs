//! A private Postgres and a private NATS, as children of this process, with a data directory of their own.
//!
//! `unificus dev` and the integration tests use them, so that neither needs installed services.
//!
//! **Guaranteed.** Both listen on loopback only. Their ports stay the same from start to start as long as they are free.
//! Any end of this process, including `kill -9`, ends the children too; the next start waits until they have ended, and
//! uses the same data. Two processes never use one directory. The data is as durable as in production: fsync and
//! synchronous commit are on, so that measurements are valid.
//!
//! Other users of the machine can reach the ports, but both servers require a password. It is made with the directory and
//! kept in it; only the owner can read it and the servers' logs. The service's role is no superuser of Postgres. A
//! directory of a version without passwords gets them at its next start, before its servers listen.
//!
//! NATS asks the service about everybody else's login (auth callout), so that nobody without a key reads anything.
//!
//! **Not guaranteed.** There is no TLS. That suits development and tests on loopback, and nothing else.
//!
//! **Knows nothing of** the service itself: no schema, no stream, no account.

mod access;
mod binaries;
mod child;
mod credentials;
mod data_dir;
mod holders;
mod log;
mod nats;
mod ports;
mod postgres;
pub(in crate::dev) mod private;
mod roles;
mod spawn;

use std::path::Path;

use anyhow::Result;

pub use binaries::Binaries;
pub use credentials::{SERVICE_ROLE, SYSTEM_USER};
pub use nats::NatsServer;
pub use postgres::Postgres;

use credentials::ServerCredentials;
use data_dir::DataDir;
use ports::Ports;
use spawn::ServiceAccount;

/// Both servers, accepting connections. Dropping it stops them in order without waiting for their end.
pub struct Services {
    /// On `dir/postgres`.
    pub postgres: Postgres,
    /// On `dir/nats`.
    pub nats: NatsServer,
    /// The lock on the directory, which is held as long as the servers run. Fields are dropped in order, so it is last.
    _dir: DataDir,
}

impl Services {
    /// Starts both concurrently on the data in `dir`, which is made if it is missing. Returns when both accept connections.
    ///
    /// # Errors
    /// When `dir` cannot be used (another process uses it, it belongs to another user, or Postgres's user cannot reach it),
    /// or when a server does not start within a minute. The error then ends with the last lines of that server's log.
    pub async fn start(dir: &Path, binaries: &Binaries) -> Result<Self> {
        let dir = DataDir::open(dir).await?;
        // A server that is still ending holds its old port, so its end is awaited before ports are checked.
        tokio::try_join!(Postgres::vacate(&dir), NatsServer::vacate(&dir))?;
        let ports = Ports::claim(dir.path())?;
        let credentials = ServerCredentials::of(dir.path())?;
        let account = ServiceAccount::new(binaries.setpriv.clone());
        let (postgres, nats) = tokio::try_join!(
            Postgres::start(&dir, &binaries.postgres_bin, account.clone(), ports.postgres, credentials.clone()),
            NatsServer::start(&dir, &binaries.nats, account, ports.nats, credentials),
        )?;
        Ok(Self { postgres, nats, _dir: dir })
    }

    /// Watches both, and restarts one that ends. Never returns. Dropping the future at any point leaves `self` usable: a
    /// caller selects on it beside its stop signal, and then calls [`Self::stop`].
    pub async fn supervise(&mut self) {
        tokio::join!(self.postgres.supervise(), self.nats.supervise());
    }

    /// Stops both in order and returns when both have ended.
    ///
    /// # Errors
    /// When a server could not be signalled; the other one is stopped all the same.
    pub async fn stop(mut self) -> Result<()> {
        let (postgres, nats) = tokio::join!(self.postgres.stop(), self.nats.stop());
        postgres.and(nats)
    }
}
