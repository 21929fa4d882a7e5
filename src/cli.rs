//! The command line.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use serde_json::json;
use uuid::Uuid;

use crate::app::App;
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::contract::moment;
use crate::domain::AccountId;
use crate::domain::account::Tier;
use crate::lifecycle::StopSignal;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::accounts::{By, NewAccount};
use crate::{dev, keys, telemetry};

/// The Secure API for contacts and companies.
#[derive(Debug, Parser)]
#[command(name = "unificus", version)]
struct Cli {
    /// The configuration file (TOML); `UNIFICUS_SECTION__KEY` in the environment goes before it.
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
    /// Bring the database's schema forward.
    Migrate {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Accounts.
    #[command(subcommand)]
    Account(Account),
    /// Secret keys.
    #[command(subcommand)]
    Key(Key),
    /// The relay to NATS JetStream.
    #[command(subcommand)]
    Relay(Relay),
}

#[derive(Debug, Subcommand)]
enum Account {
    /// Make an account and its first key.
    Create {
        /// Its name.
        name: String,
        /// free-trial, start, thrive or pinnacle.
        #[arg(long, default_value = "free-trial", value_parser = tier)]
        tier: Tier,
        /// Make so many of them, with a number after the name.
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Print JSON, a line per account.
        #[arg(long)]
        json: bool,
    },
    /// List all accounts.
    List {
        /// Print JSON, a line per account.
        #[arg(long)]
        json: bool,
    },
    /// Move an account to another tier.
    Tier {
        /// Its Public ID.
        account: Uuid,
        /// free-trial, start, thrive or pinnacle.
        #[arg(value_parser = tier)]
        tier: Tier,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Key {
    /// Add a key to an account.
    Add {
        /// The account's Public ID.
        account: Uuid,
        /// The key's name; also the origin of what is written with it.
        name: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum Relay {
    /// Publish again what the stream lacks, after it lost messages.
    Rewind {
        /// This account only, by its Public ID.
        #[arg(long)]
        account: Option<Uuid>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Carries out the command line.
pub async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let config = Config::load(cli.config.as_deref())?;
    telemetry::start(&config.log)?;
    match cli.command {
        Command::Dev(options) => Box::pin(dev::run(config, options)).await,
        Command::Serve => serve(config).await,
        Command::Migrate { json } => migrate(&config, json).await,
        Command::Account(command) => account(&store(&config)?, command).await,
        Command::Key(command) => key(&store(&config)?, command).await,
        Command::Relay(command) => relay(&store(&config)?, command).await,
    }
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

async fn account(store: &Store, command: Account) -> anyhow::Result<()> {
    match command {
        Account::Create { name, tier, count, json } => create(store, &name, tier, count, json).await,
        Account::List { json } => list(store, json).await,
        Account::Tier { account, tier, json } => {
            if !store.set_tier(AccountId(account), tier, operator()).await? {
                bail!("there is no account {account}");
            }
            if json {
                say(format_args!("{}", json!({"public_id": account, "tier": tier.name()})));
            } else {
                say(format_args!("The account is on tier {tier} now."));
            }
            Ok(())
        }
    }
}

async fn create(store: &Store, name: &str, tier: Tier, count: u32, json: bool) -> anyhow::Result<()> {
    let mut accounts = Vec::new();
    let mut secrets = Vec::new();
    for number in 1..=count {
        let (secret, key) = keys::make("default");
        let name = if count == 1 { name.to_owned() } else { format!("{name} {number}") };
        accounts.push(NewAccount { account: AccountId(clock::fresh_uid().0), name, key });
        secrets.push(secret);
    }
    store.create_accounts(&accounts, tier, operator()).await?;
    for (new, secret) in accounts.iter().zip(secrets) {
        if json {
            let shown = json!({"public_id": new.account, "secret_key": secret, "name": new.name, "tier": tier.name()});
            say(format_args!("{shown}"));
        } else {
            say(format_args!("{} ({tier})\n  Public ID:  {}\n  Secret Key: {secret}", new.name, new.account));
        }
    }
    Ok(())
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    for listed in store.accounts().await? {
        let created = moment::seconds(listed.created_at);
        if json {
            let shown = json!({"public_id": listed.account, "name": listed.name, "tier": listed.tier,
                "created": created, "events": listed.events});
            say(format_args!("{shown}"));
        } else {
            say(format_args!("{}  {:<10}  {:>9} events  {}", listed.account, listed.tier, listed.events, listed.name));
        }
    }
    Ok(())
}

async fn key(store: &Store, command: Key) -> anyhow::Result<()> {
    let Key::Add { account, name, json } = command;
    let (secret, key) = keys::make(&name);
    if !store.add_key(AccountId(account), &key, operator()).await? {
        bail!("there is no account {account}");
    }
    if json {
        say(format_args!(
            "{}",
            json!({"public_id": account, "key_id": key.key_id, "name": name, "secret_key": secret})
        ));
    } else {
        say(format_args!("Secret Key {name}: {secret}"));
    }
    Ok(())
}

async fn relay(store: &Store, command: Relay) -> anyhow::Result<()> {
    let Relay::Rewind { account, json } = command;
    let rewound = store.rewind_relay(account.map(AccountId)).await?;
    if json {
        say(format_args!("{}", json!({"rewound": rewound})));
    } else {
        say(format_args!("{rewound} accounts will be compared with the stream."));
    }
    Ok(())
}

fn store(config: &Config) -> anyhow::Result<Store> {
    let metrics = Metrics::new().context("cannot register the metrics")?;
    Ok(Store::new(&config.database, 1, metrics)?)
}

fn operator() -> By<'static> {
    By { actor: "operator", at: Clock::system().now() }
}

fn tier(text: &str) -> Result<Tier, String> {
    Tier::from_name(text).ok_or_else(|| format!("one of {}", Tier::ALL.map(Tier::name).join(", ")))
}

#[expect(clippy::print_stdout, reason = "a command's result goes to standard output")]
fn say(text: std::fmt::Arguments<'_>) {
    println!("{text}");
}
