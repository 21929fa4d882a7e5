//! One PostgreSQL and one NATS for the whole run, and a database per test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};

use tokio_postgres::NoTls;
use unificus::config::{Config, MasterKey, program_path};
use unificus::dev::services::{Binaries, SERVICE_ROLE, Services};
use unificus::metrics::Metrics;
use unificus::store::Store;

const TEMPLATE: &str = "template_unificus";
const DIRECTORY: &str = "unificus-it-";

/// The role of services under test: it reads and writes rows, owns nothing, and has the password of [`SERVICE_ROLE`].
pub(crate) const LEAST_ROLE: &str = "unificus_least";

/// The master key of every test environment.
pub(crate) const MASTER: MasterKey = MasterKey([1; 32]);

/// The URLs of the servers.
pub(crate) struct Servers {
    /// For the superuser, who creates databases.
    superuser: String,
    /// For the role that owns the databases and is no superuser.
    postgres: String,
    pub(crate) nats: String,
}

/// The environment of one test: a database, a stream and subjects on the shared servers.
#[derive(Clone)]
pub(crate) struct TestEnv {
    /// For the role that owns the database, as operators' commands connect.
    pub(crate) database: String,
    /// For the role that services connect as.
    pub(crate) least: String,
    /// The same database for the superuser.
    pub(crate) superuser: String,
    pub(crate) nats: String,
    pub(crate) stream: String,
    pub(crate) subject_root: String,
}

pub(crate) fn binaries() -> Binaries {
    let (path, data_home) = program_path();
    Binaries::find(&path, &data_home).unwrap()
}

/// A directory that user postgres can reach. Removes the directories of earlier runs.
pub(crate) fn directory(name: &str) -> PathBuf {
    let temporary = std::env::temp_dir();
    for entry in std::fs::read_dir(&temporary).into_iter().flatten().flatten() {
        let file_name = entry.file_name().into_string().unwrap_or_default();
        let pid = file_name.strip_prefix(DIRECTORY).and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists()) {
            // Another run may be removing it too.
            let _removed_already = std::fs::remove_dir_all(entry.path());
        }
    }
    temporary.join(format!("{DIRECTORY}{}-{name}", std::process::id()))
}

impl Servers {
    /// The servers of this run; the first test that needs them starts them.
    pub(crate) fn get() -> &'static Self {
        static SERVERS: OnceLock<Servers> = OnceLock::new();
        SERVERS.get_or_init(Self::start)
    }

    /// Starts the servers on a thread and a runtime that live as long as the process: the servers end with them.
    fn start() -> Self {
        let (started, servers) = mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let services = Services::start(&directory("servers"), &binaries()).await.unwrap();
                started.send(Self::of(&services).await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        servers.recv().unwrap()
    }

    /// These servers, for a test that ends one of them.
    pub(crate) async fn of(services: &Services) -> Self {
        let servers = Self {
            superuser: services.postgres.superuser_url(),
            postgres: services.postgres.url_of("postgres"),
            nats: services.nats.url(),
        };
        servers.make_template().await;
        servers
    }

    async fn make_template(&self) {
        self.execute(&format!("create database {TEMPLATE} owner {SERVICE_ROLE}")).await;
        let mut config = Config::default();
        config.database.url = at(&self.postgres, TEMPLATE);
        let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
        store.migrate().await.unwrap();
        self.make_least_role().await;
    }

    /// Makes the role that services of tests connect as, by the script for operators. [`SERVICE_ROLE`] owns the tables.
    async fn make_least_role(&self) {
        let password = url::Url::parse(&self.postgres).unwrap().password().unwrap().to_owned();
        let output = tokio::process::Command::new(binaries().postgres_bin.join("psql"))
            .args(["-X", "-v", "ON_ERROR_STOP=1", "-f"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/postgres/roles.sql"))
            .args(["-v", &format!("database={TEMPLATE}"), "-v", &format!("owner={SERVICE_ROLE}")])
            .args(["-v", &format!("service={LEAST_ROLE}"), &self.superuser])
            .env("UNIFICUS_OWNER_PASSWORD", &password)
            .env("UNIFICUS_SERVICE_PASSWORD", &password)
            .env("UNIFICUS_BACKUP_PASSWORD", &password)
            .output();
        let output = output.await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A fresh, migrated database and subjects that no other test uses.
    pub(crate) async fn env(&self) -> TestEnv {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("test_{number}");
        self.execute(&format!("create database {name} template {TEMPLATE} owner {SERVICE_ROLE}")).await;
        TestEnv {
            database: at(&self.postgres, &name),
            least: at(&self.least(), &name),
            superuser: at(&self.superuser, &name),
            nats: self.nats.clone(),
            stream: format!("EVENTS_{number}"),
            subject_root: format!("t{number}.crm.v1"),
        }
    }

    /// The server for the role of services.
    fn least(&self) -> String {
        self.postgres.replace(&format!("//{SERVICE_ROLE}:"), &format!("//{LEAST_ROLE}:"))
    }

    async fn execute(&self, statement: &str) {
        connect(&self.superuser).await.batch_execute(statement).await.unwrap();
    }
}

/// Another database of the server.
fn at(url: &str, database: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{database}")
}

impl TestEnv {
    /// The settings of the real binary for this environment: ports that the system chooses, and a log in JSON.
    pub(crate) fn settings(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("UNIFICUS_DATABASE__URL", &self.least),
            ("UNIFICUS_NATS__URL", &self.nats),
            ("UNIFICUS_NATS__STREAM", &self.stream),
            ("UNIFICUS_NATS__SUBJECT_ROOT", &self.subject_root),
            ("UNIFICUS_HTTP__LISTEN", "127.0.0.1:0"),
            ("UNIFICUS_METRICS__LISTEN", "127.0.0.1:0"),
            ("UNIFICUS_LOG__FORMAT", "json"),
        ]
    }

    /// The default configuration for this environment: ports that the system chooses, a master key, webhooks to
    /// loopback, no quota limits.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        config.http.listen.set_port(0);
        config.metrics.listen.set_port(0);
        self.least.clone_into(&mut config.database.url);
        self.nats.clone_into(&mut config.nats.url);
        self.stream.clone_into(&mut config.nats.stream);
        self.subject_root.clone_into(&mut config.nats.subject_root);
        config.quota.enforced = false;
        config.secrets.master_keys = vec![MASTER];
        config.push.allow_http = true;
        config.push.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
        config
    }

    /// A connection to inspect stored data, as the owner of the tables.
    pub(crate) async fn sql(&self) -> tokio_postgres::Client {
        connect(&self.database).await
    }

    /// The same as the superuser, for statements that the service's role may not execute.
    pub(crate) async fn superuser(&self) -> tokio_postgres::Client {
        connect(&self.superuser).await
    }

    /// Another, empty database with this suffix, owned by the service's role.
    pub(crate) async fn create_empty(&self, ending: &str) -> Self {
        let (_, name) = self.database.rsplit_once('/').unwrap();
        let empty = format!("{name}_{ending}");
        let create = format!("create database {empty} owner {SERVICE_ROLE}");
        self.superuser().await.batch_execute(&create).await.unwrap();
        Self {
            database: at(&self.database, &empty),
            // The other role has no rights in a database that no script prepared.
            least: at(&self.database, &empty),
            superuser: at(&self.superuser, &empty),
            nats: self.nats.clone(),
            stream: format!("{}_{ending}", self.stream),
            subject_root: format!("{}.{ending}", self.subject_root),
        }
    }

    /// A connection to NATS.
    pub(crate) async fn nats(&self) -> async_nats::Client {
        connect_to_nats(&self.nats).await
    }

    /// Copies the database as it is now, beside the same stream: a restored backup. Existing connections to it are
    /// closed.
    pub(crate) async fn backup(&self) -> Self {
        let (_, name) = self.database.rsplit_once('/').unwrap();
        let backup = format!("{name}_backup");
        let superuser_client = connect(&at(&self.superuser, "postgres")).await;
        let end = format!("select pg_terminate_backend(pid, 30000) from pg_stat_activity where datname = '{name}'");
        superuser_client.batch_execute(&end).await.unwrap();
        let copy = format!("create database {backup} template {name} owner {SERVICE_ROLE}");
        superuser_client.batch_execute(&copy).await.unwrap();
        Self {
            database: at(&self.database, &backup),
            least: at(&self.least, &backup),
            superuser: at(&self.superuser, &backup),
            nats: self.nats.clone(),
            stream: self.stream.clone(),
            subject_root: self.subject_root.clone(),
        }
    }

    /// Sets the database's clock, as daily counts and expiring keys read it, to a fixed time.
    pub(crate) async fn set_stored_now(&self, at: time::OffsetDateTime) {
        let timestamp = at.unix_timestamp_nanos() / 1_000;
        let stand = format!(
            "create or replace function stored_now() returns timestamptz language sql stable parallel safe
             as $$ select timestamptz 'epoch' + {timestamp} * interval '1 microsecond' $$"
        );
        self.sql().await.batch_execute(&stand).await.unwrap();
    }

    /// Makes the database refuse new connections, and closes the existing ones.
    pub(crate) async fn disconnect_database(&self) {
        let (_, name) = self.database.rsplit_once('/').unwrap();
        let superuser_client = connect(&at(&self.superuser, "postgres")).await;
        let end = format!("select pg_terminate_backend(pid, 30000) from pg_stat_activity where datname = '{name}'");
        superuser_client.batch_execute(&format!("alter database {name} allow_connections false")).await.unwrap();
        superuser_client.batch_execute(&end).await.unwrap();
    }

    /// Lets the database accept connections again.
    pub(crate) async fn reconnect_database(&self) {
        let (_, name) = self.database.rsplit_once('/').unwrap();
        let superuser_client = connect(&at(&self.superuser, "postgres")).await;
        superuser_client.batch_execute(&format!("alter database {name} allow_connections true")).await.unwrap();
    }
}

/// A connection to NATS, with the credentials of the URL.
pub(crate) async fn connect_to_nats(url: &str) -> async_nats::Client {
    unificus::broker::connect_options(url).connect(url).await.unwrap()
}

async fn connect(database: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
