//! `unificus dev`: the service with a private PostgreSQL and NATS and a demo account.
//!
//! It is for one machine: servers listen on loopback, webhooks may go to loopback over http, and the demo's credentials are
//! printed and kept in the data directory. Everything else is as in production; for example, the service's database role
//! is no superuser.

mod demo;
mod report;
pub mod services;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use self::services::{Binaries, Services};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::lifecycle::StopSignal;
use crate::metrics::Metrics;
use crate::store::Store;

/// The service's database on the private server.
const DATABASE: &str = "unificus";

/// The options of `unificus dev`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The directory in which the private servers keep their data.
    #[arg(long)]
    data_dir: PathBuf,
    /// The API's port on loopback; with 0 the system chooses one. Metrics use the next port.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The file for the service's addresses, the passwords of its servers and the demo's credentials, written when all
    /// servers accept connections. Only its owner can read it. The default is `service.env` in the data directory.
    #[arg(long)]
    env_file: Option<PathBuf>,
}

impl Options {
    fn env_file(&self) -> PathBuf {
        self.env_file.clone().unwrap_or_else(|| self.data_dir.join("service.env"))
    }
}

/// Runs until SIGINT or SIGTERM.
pub async fn run(config: Config, options: Options) -> anyhow::Result<()> {
    let env_file = options.env_file();
    // The file of a run that was killed names a service that is not there.
    remove(&env_file);
    let mut stop = StopSignal::listen()?;
    let (path, data_home) = config::program_path();
    let binaries = Binaries::find(&path, &data_home)?;
    let mut services = Services::start(&options.data_dir, &binaries).await?;
    let served = Box::pin(serve(config, &options, &services)).await;
    let app = match served {
        Ok(app) => app,
        Err(error) => {
            services.stop().await?;
            return Err(error);
        }
    };
    tokio::select! {
        () = stop.received() => {}
        () = services.supervise() => {}
    }
    let stopped = app.stop().await;
    remove(&env_file);
    services.stop().await?;
    stopped
}

/// Removes the file that names the running service, where there is one.
fn remove(env_file: &Path) {
    match std::fs::remove_file(env_file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(file = %env_file.display(), %error, "remove env file failed; it names a service that has ended");
        }
        Ok(()) | Err(_) => {}
    }
}

async fn serve(config: Config, options: &Options, services: &Services) -> anyhow::Result<App> {
    let database_url = services.postgres.url_of(DATABASE);
    services.postgres.ensure_database(DATABASE).await?;
    let mut config = settings(config, options.port, &database_url, services)?;
    // After the configured keys, so that it seals only where there is no other.
    config.secrets.master_keys.push(demo::master_key(&options.data_dir)?);
    let store = Store::new(&config.database, 1, Metrics::new()?)?;
    store.migrate().await?;
    let mut credentials = demo::account(&store, &config, &options.data_dir).await?;
    demo::login(&store, &config, &options.data_dir, &mut credentials).await?;
    let (nats_url, nats_client_url) = (config.nats.url.clone(), services.nats.client_url());
    let app = start(config.clone(), options.port).await?;
    demo::fill(&app, &store, credentials.account()).await?;
    let addresses = report::Addresses {
        address: app.address(),
        metrics_address: app.metrics_address(),
        database_url,
        nats_url,
        nats_client_url,
        subject_root: config.nats.subject_root.clone(),
    };
    let env_file = options.env_file();
    report::print(&addresses, &credentials, &env_file);
    report::write_env_file(&env_file, &addresses, &credentials)?;
    Ok(app)
}

/// Metrics use the port after the API's, or any free port where that is in use.
async fn start(config: Config, port: u16) -> anyhow::Result<App> {
    let mut any = config.clone();
    any.metrics.listen.set_port(0);
    match App::start(config, Clock::system()).await {
        Err(error) if port != 0 && error.to_string().contains("metrics.listen") => {
            App::start(any, Clock::system()).await
        }
        started => started,
    }
}

/// Changes the settings for the private servers on one machine.
fn settings(mut config: Config, port: u16, database_url: &str, services: &Services) -> anyhow::Result<Config> {
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], port));
    // The system chooses where it chooses the API's port, and where there is no next one.
    let next = port.checked_add(1).filter(|_| port != 0).unwrap_or(0);
    config.metrics.listen = SocketAddr::from(([127, 0, 0, 1], next));
    database_url.clone_into(&mut config.database.url);
    let nats = &services.nats;
    config.nats.url = nats.url();
    config.nats.system_url = nats.system_url();
    config.nats.issuer_seed = nats.issuer_seed().clone();
    config.push.allow_http = true;
    config.console.show_components = true;
    config.push.allow_networks = ["127.0.0.0/8", "::1/128"].map(str::parse).into_iter().collect::<Result<_, _>>()?;
    Ok(config)
}
