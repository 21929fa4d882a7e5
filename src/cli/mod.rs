//! The command line. Each command does one thing with the database and prints the result, as text or as JSON.

mod account;
mod brand;
mod define;
mod doctor;
mod files;
mod key;
mod log;
mod master_key;
mod progress;
mod rebuild;
mod relay;
mod user;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::app::App;
use crate::broker::Issuer;
use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::StopSignal;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::audit::By;
use crate::{dev, telemetry};

/// The Secure API for contacts and companies.
#[derive(Debug, Parser)]
#[command(name = "unificus", version)]
struct Cli {
    /// The configuration file (TOML). `UNIFICUS_SECTION__KEY` in the environment overrides it.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service with a private PostgreSQL and NATS and a demo account.
    Dev(dev::Options),
    /// Run the service in production.
    Serve,
    /// Apply the migrations of the database's schema.
    Migrate {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check the deployment from inside: PostgreSQL, NATS, master keys, ports and limits. Says what is wrong and how to mend
    /// it. Changes nothing, and may run beside the service. Exits with 1 where something is an error.
    Doctor(doctor::DoctorOptions),
    /// Accounts.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Secret keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// People who sign in to the console.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Seal all secrets again under the first of `secrets.master_keys`. The other keys are needed until it has ended, and for
    /// a day after that.
    RotateMasterKey {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Draw a key that signs logins of clients to NATS: the seed for `nats.issuer_seed`, and the public key for the `issuer`
    /// of the servers' `auth_callout`. Stores nothing.
    NatsIssuer {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// The white label of an account.
    #[command(subcommand)]
    Brand(brand::BrandCommand),
    /// Custom fields: attributes that an account adds to its records.
    #[command(subcommand)]
    Field(define::FieldCommand),
    /// Audiences that contacts subscribe to.
    #[command(subcommand)]
    Audience(define::AudienceCommand),
    /// Companies that are listed without contacts.
    #[command(subcommand)]
    Company(define::CompanyCommand),
    /// Workspaces of an account.
    #[command(subcommand)]
    World(define::WorldCommand),
    /// Import contacts or companies from a file of comma-separated values. Started again after an interruption, it continues.
    Import(files::ImportOptions),
    /// Export all contacts or companies to a file that `import` reads.
    Export(files::ExportOptions),
    /// The relay to NATS JetStream.
    #[command(subcommand)]
    Relay(relay::RelayCommand),
    /// The event logs of accounts.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Compare the read models with the logs: every record, link, lookup key and count. Changes nothing, and may run beside
    /// the service. Exits with 0 where all is equal, with 1 where something differs, and with 2 where it could not be
    /// compared.
    Verify(verify::VerifyOptions),
    /// Compute the read models from the logs into tables beside the live ones, and swap them in one transaction, while the
    /// service runs. A run that was killed is continued by the next one. Refuses a damaged log.
    Rebuild(rebuild::RebuildOptions),
}

/// A command that failed, with the exit status of its process.
#[derive(Debug)]
pub struct CommandFailure {
    /// The cause, with its sources.
    pub error: anyhow::Error,
    /// 1, or the status by which the command tells its failures from its results.
    pub status: u8,
}

/// Runs the command line. Returns the exit status.
pub async fn run() -> Result<ExitCode, CommandFailure> {
    let cli = Cli::parse();
    let status = if let Command::Verify(_) = cli.command { verify::NOT_COMPARED } else { 1 };
    Box::pin(execute(cli)).await.map_err(|error| CommandFailure { error, status })
}

async fn execute(cli: Cli) -> anyhow::Result<ExitCode> {
    let config = Config::load(cli.config.as_deref())?;
    telemetry::start(&config.log)?;
    let executed = match cli.command {
        Command::Dev(options) => Box::pin(dev::run(config, options)).await,
        Command::Serve => serve(config).await,
        Command::Migrate { json } => migrate(&config, json).await,
        Command::Account(command) => account::run(&config, &store(&config)?, command).await,
        Command::Key(command) => key::run(&config, &store(&config)?, command).await,
        Command::User(command) => user::run(&config, &store(&config)?, command).await,
        Command::RotateMasterKey { json } => master_key::rotate(&config, &store(&config)?, json).await,
        Command::NatsIssuer { json } => {
            draw_issuer(json);
            Ok(())
        }
        Command::Brand(command) => brand::run(&store(&config)?, command).await,
        Command::Field(command) => define::field(&store(&config)?, command).await,
        Command::Audience(command) => define::audience(&store(&config)?, command).await,
        Command::Company(command) => define::company(&store(&config)?, command).await,
        Command::World(command) => define::world(&store(&config)?, command).await,
        Command::Import(options) => Box::pin(files::import(&store(&config)?, options)).await,
        Command::Export(options) => Box::pin(files::export(&store(&config)?, options)).await,
        Command::Relay(command) => relay::run(&config, &store(&config)?, command).await,
        Command::Log(command) => log::run(&config, &store(&config)?, command).await,
        Command::Rebuild(options) => Box::pin(rebuild::run(&store(&config)?, options)).await,
        Command::Doctor(options) => return Box::pin(doctor::run(&config, options)).await,
        Command::Verify(options) => return Box::pin(verify::run(&store(&config)?, options)).await,
    };
    executed.map(|()| ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = StopSignal::listen()?;
    let app = App::start(config, Clock::system()).await?;
    stop.received().await;
    app.stop().await
}

async fn migrate(config: &Config, json: bool) -> anyhow::Result<()> {
    let applied = store(config)?.migrate().await?;
    if json {
        say(format_args!("{}", json!({"applied": applied})));
    } else {
        say(format_args!("{applied} migrations were applied."));
    }
    Ok(())
}

fn draw_issuer(json: bool) {
    let (issuer, seed) = Issuer::generate();
    let public_key = issuer.public_key();
    if json {
        say(format_args!("{}", json!({"seed": seed, "public_key": public_key})));
    } else {
        say(format_args!("seed       {seed}\npublic key {public_key}"));
    }
}

fn store(config: &Config) -> anyhow::Result<Store> {
    let metrics = Metrics::new().context("cannot register the metrics")?;
    Ok(Store::new(&config.database, 1, metrics)?)
}

/// The database's clock, because this machine's clock may differ from those of the replicas.
async fn clock_of(store: &Store) -> anyhow::Result<Clock> {
    let clock = Clock::system();
    store.set_clock(&clock).await?;
    Ok(clock)
}

async fn operator(store: &Store) -> anyhow::Result<By<'static>> {
    Ok(By::new("operator", clock_of(store).await?.now()))
}

#[expect(clippy::print_stdout, reason = "a command's result goes to standard output")]
fn say(text: std::fmt::Arguments<'_>) {
    println!("{text}");
}
