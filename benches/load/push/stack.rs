//! The service as replicas in their own processes on a private Postgres and NATS, so that each can be killed alone.

use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use unificus::config::program_path;
use unificus::dev::services::{Binaries, SERVICE_ROLE, Services};

use crate::accounts::{self, Account};
use crate::contact::Target;
use crate::database;
use crate::service::{Dir, QUOTA};

/// The timeout of a start, which usually takes a second.
const START: Duration = Duration::from_secs(30);
const DATABASE: &str = "unificus";

/// Fields drop in order: replicas, then servers, then their data.
pub(crate) struct Stack {
    pub(crate) replicas: Vec<Replica>,
    pub(crate) services: Services,
    dir: Dir,
}

/// One process of the service, on the same ports after each start.
pub(crate) struct Replica {
    child: Option<Child>,
    settings: Vec<(&'static str, String)>,
    log: PathBuf,
    listens: Listens,
}

#[derive(Clone)]
struct Listens {
    api: String,
    metrics: String,
}

impl Stack {
    /// Fresh servers with `pg_stat_statements`, a migrated database, and this many running replicas.
    pub(crate) async fn start(name: &str, replicas: usize) -> Result<Self> {
        let dir = Dir::make(name)?;
        let (path, data_home) = program_path();
        let binaries = Binaries::find(&path, &data_home)?;
        let mut services = Services::start(&dir.path().join("data"), &binaries).await?;
        let postgres = database::connect(&services.postgres.superuser_url()).await?;
        postgres.batch_execute("alter system set shared_preload_libraries = 'pg_stat_statements'").await?;
        drop(postgres);
        services.postgres.ensure_database(DATABASE).await?;
        services.postgres.stop().await?;
        services.postgres.restart().await?;
        let mut stack = Self { replicas: Vec::new(), services, dir };
        let url = stack.database_url();
        let migrated = Command::new(env!("CARGO_BIN_EXE_unificus"))
            .arg("migrate")
            .env("UNIFICUS_DATABASE__URL", &url)
            .stdout(Stdio::null())
            .status()
            .await?;
        ensure!(migrated.success(), "unificus migrate ended with {migrated}");
        // Statistics are read as the service's role, which needs this right to see the texts of others' statements.
        let postgres = database::connect(&stack.services.postgres.superuser_url_of(DATABASE)).await?;
        postgres.batch_execute("create extension pg_stat_statements").await?;
        postgres.batch_execute(&format!("grant pg_read_all_stats to {SERVICE_ROLE}")).await?;
        for number in 0..replicas {
            let log = stack.dir.path().join(format!("replica-{number}.log"));
            stack.replicas.push(Replica::start(stack.settings(), log).await?);
        }
        Ok(stack)
    }

    pub(crate) fn database_url(&self) -> String {
        self.services.postgres.url_of(DATABASE)
    }

    /// The address of a replica's API.
    pub(crate) fn target(&self, replica: usize) -> Result<Target> {
        let replica = self.replicas.get(replica).context("there is no such replica")?;
        Target::parse(&format!("http://{}/secure-api", replica.listens.api))
    }

    pub(crate) async fn accounts(&self, name: &str, count: usize) -> Result<Vec<Account>> {
        accounts::make(name, count, &self.database_url()).await
    }

    /// Stops everything gracefully.
    pub(crate) async fn stop(self) -> Result<()> {
        let Self { replicas, services, dir } = self;
        drop(replicas);
        services.stop().await?;
        drop(dir);
        Ok(())
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        [
            ("UNIFICUS_DATABASE__URL", self.database_url().as_str()),
            ("UNIFICUS_NATS__URL", &self.services.nats.url()),
            // A fresh key, because the sealed data is removed with the directory.
            ("UNIFICUS_SECRETS__MASTER_KEYS", "[\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"]"),
            ("UNIFICUS_PUSH__ALLOW_HTTP", "true"),
            ("UNIFICUS_PUSH__ALLOW_NETWORKS", "[\"127.0.0.0/8\"]"),
            ("UNIFICUS_LOG__FORMAT", "json"),
        ]
        .into_iter()
        .chain(QUOTA)
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
    }
}

impl Replica {
    async fn start(settings: Vec<(&'static str, String)>, log: PathBuf) -> Result<Self> {
        let anywhere = "127.0.0.1:0".to_owned();
        let listens = Listens { api: anywhere.clone(), metrics: anywhere };
        let mut replica = Self { child: None, settings, log, listens };
        replica.restart().await?;
        Ok(replica)
    }

    /// Its pid while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Sends `kill -9`, and waits for its end.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill().await.context("killing a replica")?;
        }
        Ok(())
    }

    /// Starts it with the same ports as before, and returns when it serves.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        let log = File::create(&self.log).context("creating a replica's log")?;
        let child = Command::new(env!("CARGO_BIN_EXE_unificus"))
            .arg("serve")
            .envs(self.settings.iter().map(|(name, value)| (*name, value)))
            .env("UNIFICUS_HTTP__LISTEN", &self.listens.api)
            .env("UNIFICUS_METRICS__LISTEN", &self.listens.metrics)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("starting unificus serve")?;
        let child = self.child.insert(child);
        let until = Instant::now() + START;
        loop {
            if let Some(listens) = serving(&self.log) {
                self.listens = listens;
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                bail!("a replica ended with {status}:\n{}", read_to_string(&self.log).unwrap_or_default());
            }
            ensure!(Instant::now() < until, "a replica does not serve after {} s", START.as_secs());
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The addresses that the log reports.
fn serving(log: &Path) -> Option<Listens> {
    let text = read_to_string(log).ok()?;
    let mut entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let entry = entries.find(|entry| entry.pointer("/fields/message").is_some_and(|message| message == "serving"))?;
    let field = |name: &str| entry.pointer(&format!("/fields/{name}"))?.as_str().map(str::to_owned);
    Some(Listens { api: field("address")?, metrics: field("metrics_address")? })
}
