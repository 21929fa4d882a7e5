//! Keeps the contacts of an account and a CardDAV address book equal: `carddav --config FILE [--once]`.
//!
//! A separate program that uses nothing but the public API. Its guide is `docs/connectors.md`; the recipe that it follows is
//! the module `connector` beside it.

#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the recipe is a whole: an address book merges no cards and gets no pushed events"
)]
#[path = "../connector/mod.rs"]
mod connector;
mod dav;
mod http;
mod round;
mod service;
mod state;
mod vcard;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use connector::Connector;
use round::{Bridge, kind};
use serde::Deserialize;
use state::{State, StateFile};

/// The longest pause after errors.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// Keeps the contacts of an account and a CardDAV address book equal.
#[derive(Debug, Parser)]
struct Arguments {
    /// The configuration, in TOML.
    #[arg(long)]
    config: PathBuf,
    /// Run one round and exit, with status 1 if it failed.
    #[arg(long)]
    once: bool,
}

/// The configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    service: service::Access,
    book: dav::Access,
    /// The file of the connector's state.
    state: PathBuf,
    /// Seconds between two looks at the address book. Changes of the account are waited for meanwhile.
    #[serde(default = "interval")]
    interval: u64,
}

/// The longest wait that the feed allows is 30 seconds.
fn interval() -> u64 {
    20
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let Arguments { config, once } = Arguments::parse();
    let text = std::fs::read_to_string(&config).with_context(|| format!("{} cannot be read", config.display()))?;
    let config: Config = toml::from_str(&text).with_context(|| format!("{} is invalid", config.display()))?;
    if once {
        return report(open(&config)?.round(0).await);
    }
    let mut pause = Duration::from_secs(1);
    loop {
        // The state is read again in every round: after an error, the saved one counts.
        match report(open(&config)?.round(config.interval.min(30)).await) {
            Ok(()) => pause = Duration::from_secs(1),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "a round failed; will retry");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

fn open(config: &Config) -> anyhow::Result<Bridge> {
    let Config { service, book, state: path, interval: _ } = config;
    let file = StateFile::open(path)?;
    let pair = format!("account {} and {book}", service.public_id);
    let new = || {
        let instance = uuid::Uuid::from_u128(rand::random()).simple().to_string();
        State {
            connector: Connector::new(kind(), &service.origin, &instance),
            seen: dav::Seen::default(),
            pair: pair.clone(),
        }
    };
    let state = file.load(&pair)?.unwrap_or_else(new);
    Ok(Bridge { service: service::Service::new(service)?, book: dav::Book::new(book)?, file, state })
}

fn report(round: anyhow::Result<round::Figures>) -> anyhow::Result<()> {
    let round::Figures { scanned, applied, pushed, refused } = round?;
    tracing::info!(scanned, applied, pushed, refused, "a round ended");
    Ok(())
}
