//! An installation by the files of `deploy/postgres`.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio_postgres::{Client as Sql, NoTls};
use unificus::dev::services::Services;

use super::{repository, run, succeeded};
use crate::support::program::{lines, unificus};
use crate::support::servers::{TestEnv, binaries, directory};

/// An installation as the documentation describes it: roles, migration, rights.
pub(super) struct Installation {
    pub(super) services: Services,
    /// The database for the role that owns it.
    pub(super) owner: String,
    /// The same for the service's role.
    pub(super) service: String,
    /// The data directory of both servers.
    pub(super) dir: PathBuf,
}

const OWNER: &str = "p0wner";
const SERVICE: &str = "p5ervice";
pub(super) const BACKUP: &str = "pb4ckup";

impl Installation {
    /// Makes it on servers of its own. `prepare` may change PostgreSQL's files, which a restart then reads.
    pub(super) async fn make(name: &str, prepare: impl FnOnce(&Path)) -> Self {
        let dir = directory(name);
        let mut services = Services::start(&dir, &binaries()).await.unwrap();
        prepare(&dir.join("postgres"));
        services.postgres.restart().await.unwrap();
        // Twice, because it may be run again.
        for _ in 0..2 {
            roles(&services.postgres.superuser_url(), OWNER).await;
        }
        let address = services.postgres.superuser_url();
        let (_, address) = address.rsplit_once('@').unwrap();
        let (address, _) = address.split_once('/').unwrap();
        let owner = format!("postgresql://unificus_owner:{OWNER}@{address}/unificus");
        let service = format!("postgresql://unificus:{SERVICE}@{address}/unificus");
        let migrated = lines(&unificus("migrate --json", &[("UNIFICUS_DATABASE__URL", &owner)]).await);
        assert!(migrated[0]["applied"].as_i64().unwrap() > 0, "{migrated:?}");
        let mut rights = psql(&owner);
        succeeded(&run(rights.arg("-f").arg(repository("deploy/postgres/rights.sql"))).await);
        Self { services, owner, service, dir }
    }

    pub(super) fn env(&self) -> TestEnv {
        TestEnv {
            database: self.owner.clone(),
            least: self.service.clone(),
            superuser: self.services.postgres.superuser_url_of("unificus"),
            nats: self.services.nats.url(),
            stream: "EVENTS".to_owned(),
            subject_root: "crm.v1".to_owned(),
        }
    }
}

fn psql(url: &str) -> Command {
    let mut command = Command::new(binaries().postgres_bin.join("psql"));
    command.args(["-X", "-v", "ON_ERROR_STOP=1", url]);
    command
}

async fn roles(superuser: &str, owner: &str) {
    let mut command = psql(superuser);
    command.arg("-f").arg(repository("deploy/postgres/roles.sql"));
    command.env("UNIFICUS_OWNER_PASSWORD", owner).env("UNIFICUS_SERVICE_PASSWORD", SERVICE);
    succeeded(&run(command.env("UNIFICUS_BACKUP_PASSWORD", BACKUP)).await);
}

pub(super) async fn connect(url: &str) -> Sql {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
