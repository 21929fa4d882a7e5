//! A private Postgres and a private NATS, run as children of this process on a data directory of their own.
//!
//! `unificus dev` and the integration tests stand on them, so that neither needs a service that somebody installed.
//!
//! **Guaranteed.** Both listen on loopback only, on ports that stay the same from start to start as long as they are
//! free. Whatever ends this process, a `kill -9` included, ends the children too; the next start waits until the old
//! ones have left the data, and goes on with it. Two processes never run on one directory. The data is as durable as
//! in production: fsync and synchronous commit are on, so figures measured here count.
//!
//! Other users of the machine can reach the ports, and get no further: both servers ask for a password, which is drawn
//! when the directory is made and kept in it for its owner alone, as are the servers' logs. The service's role is no
//! superuser of Postgres. A directory that a version without passwords made is taken over at its next start, before its
//! servers listen.
//!
//! **Not guaranteed.** There is no TLS, and one user of NATS sees all accounts. That suits development and tests on
//! loopback, and nothing else.
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
pub use credentials::SERVICE_ROLE;
pub use nats::NatsServer;
pub use postgres::Postgres;

use credentials::ServerCredentials;
use data_dir::DataDir;
use ports::Ports;
use spawn::ServiceAccount;

/// Both servers, accepting connections. Dropping it ends them in good order, but does not wait for that.
pub struct Services {
    /// On `dir/postgres`.
    pub postgres: Postgres,
    /// On `dir/nats`.
    pub nats: NatsServer,
    /// Held as long as the servers run: it is the lock on the directory. Fields drop in order, so it goes last.
    _dir: DataDir,
}

impl Services {
    /// Starts both at once on the data in `dir`, which is made if it is missing, and returns when both accept.
    ///
    /// # Errors
    /// When `dir` cannot be used (another process runs on it, it belongs to somebody else, or the user that Postgres
    /// runs as cannot reach it), or when a server does not come up within a minute. The error then ends in the last
    /// lines of that server's log.
    pub async fn start(dir: &Path, binaries: &Binaries) -> Result<Self> {
        let dir = DataDir::open(dir).await?;
        // A child that is still on its way out holds its old port, so the data is vacated before ports are looked at.
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

    /// Watches both for ever and starts again whichever dies. Never returns by itself; dropping the future at any
    /// point leaves `self` usable, so a caller selects on it beside its stop signal and then calls [`Self::stop`].
    pub async fn supervise(&mut self) {
        tokio::join!(self.postgres.supervise(), self.nats.supervise());
    }

    /// Stops both in good order and returns when both are gone.
    ///
    /// # Errors
    /// When a server could not be signalled. Both have been tried by then.
    pub async fn stop(mut self) -> Result<()> {
        let (postgres, nats) = tokio::join!(self.postgres.stop(), self.nats.stop());
        postgres.and(nats)
    }
}
