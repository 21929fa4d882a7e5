//! `unificus key`: an account's secret keys.

use std::io::Read as _;

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{operator, say};
use crate::config::Config;
use crate::contract::timestamp;
use crate::domain::{AccountId, Timestamp};
use crate::keys::{AddedKey, KeyError, KeyService, SecretKey, Terms, parse_key_name};
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::store::keys::ListedKey;

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Add a key to an account.
    Add {
        #[command(flatten)]
        new: NewKeyArgs,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List an account's keys, without their texts.
    List {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON, one line per key.
        #[arg(long)]
        json: bool,
    },
    /// Show a key's text again, where it is kept. This is recorded in the audit log.
    Reveal {
        /// The account's Public ID.
        account: Uuid,
        /// The key's id.
        key: Uuid,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete a key. Its next call is refused.
    Delete {
        /// The account's Public ID.
        account: Uuid,
        /// The key's id.
        key: Uuid,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct NewKeyArgs {
    /// The account's Public ID.
    account: Uuid,
    /// The key's name.
    #[arg(value_parser = parse_key_name)]
    name: String,
    /// The origin of events that are written with it; its name by default.
    #[arg(long, value_parser = parse_key_name)]
    origin: Option<String>,
    /// The time from which on it is refused, such as 2027-01-31T00:00:00+00:00.
    #[arg(long, value_parser = timestamp)]
    expires: Option<Timestamp>,
    /// Allow reading only.
    #[arg(long)]
    read_only: bool,
    /// Read the key's text from standard input instead of generating it: 8 to 255 visible ASCII characters.
    #[arg(long)]
    secret_stdin: bool,
}

pub(super) async fn run(config: &Config, store: &Store, command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Add { new, json } => add(config, store, new, json).await,
        KeyCommand::List { account, json } => list(store, account, json).await,
        KeyCommand::Reveal { account, key, json } => reveal(config, store, (account, key), json).await,
        KeyCommand::Delete { account, key, json } => {
            let deleted = service(config, store).delete(AccountId(account), key, operator(store).await?).await;
            match deleted {
                Err(KeyError::NoKey) => bail!("account {account} has no key {key}"),
                deleted => deleted?,
            }
            if json {
                say(format_args!("{}", json!({"public_id": account, "key_id": key, "deleted": true})));
            } else {
                say(format_args!("The key was deleted."));
            }
            Ok(())
        }
    }
}

async fn add(config: &Config, store: &Store, new: NewKeyArgs, json: bool) -> anyhow::Result<()> {
    let NewKeyArgs { account, name, origin, expires, read_only, secret_stdin } = new;
    let by = operator(store).await?;
    let secret = if secret_stdin { import(&config.brand.slug)? } else { SecretKey::make(&config.brand.slug) };
    let origin = origin.unwrap_or_else(|| name.clone());
    let terms = Terms { name, origin, expires_at: expires, read_only };
    let shown_terms = terms.clone();
    let AddedKey { key_id, secret } = match service(config, store).add_text(AccountId(account), secret, terms, by).await
    {
        Err(KeyError::NoAccount) => bail!("there is no account {account}"),
        Err(KeyError::Known) => bail!("account {account} has a key with this text already"),
        Err(KeyError::Expired) => bail!("the key would have expired already: choose a later --expires"),
        added => added?,
    };
    let Terms { name, origin, expires_at, read_only } = shown_terms;
    if json {
        let mut shown = json!({"public_id": account, "key_id": key_id, "name": name, "origin": origin,
            "expires_at": expires_at.map(timestamp::seconds), "read_only": read_only});
        // The caller has a text that came from standard input.
        if !secret_stdin && let Json::Object(members) = &mut shown {
            members.insert("secret_key".to_owned(), json!(secret.text()));
        }
        say(format_args!("{shown}"));
    } else if secret_stdin {
        say(format_args!("The key {name} was added."));
    } else {
        say(format_args!("Secret Key {name}: {}", secret.text()));
    }
    Ok(())
}

/// Reads a key from elsewhere.
fn import(slug: &str) -> anyhow::Result<SecretKey> {
    let mut text = String::new();
    // More than the longest key, so that a longer one is recognised.
    std::io::stdin().take(1_024).read_to_string(&mut text).context("cannot read the key from the standard input")?;
    let secret =
        SecretKey::import(text.trim_end_matches(['\r', '\n'])).context("a key is 8 to 255 visible ASCII characters")?;
    ensure!(
        !secret.is_mistyped(slug),
        "the key has the form of a generated key and a wrong checksum: check it for typing errors"
    );
    Ok(secret)
}

async fn list(store: &Store, account: Uuid, json: bool) -> anyhow::Result<()> {
    for key in store.keys(AccountId(account)).await? {
        let ListedKey { key_id, name, origin, is_kept, expires_at, read_only, created_at, last_used_at, prefix } = key;
        let (expires, used) = (expires_at.map(timestamp::seconds), last_used_at.map(timestamp::seconds));
        if json {
            let shown = json!({"key_id": key_id, "name": name, "origin": origin, "revealable": is_kept,
                "expires_at": expires, "read_only": read_only, "created": timestamp::seconds(created_at),
                "last_used_at": used, "prefix": prefix});
            say(format_args!("{shown}"));
        } else {
            let scope = if read_only { "read-only" } else { "" };
            let (expires, used) = (expires.as_deref().unwrap_or("never"), used.as_deref().unwrap_or("never"));
            say(format_args!("{key_id}  {scope:<9}  expires {expires:<25}  used {used:<25}  {prefix:<18}  {name}"));
        }
    }
    Ok(())
}

async fn reveal(config: &Config, store: &Store, (account, key): (Uuid, Uuid), json: bool) -> anyhow::Result<()> {
    let revealed = service(config, store).reveal(AccountId(account), key, operator(store).await?).await;
    let secret = match revealed {
        Err(KeyError::NoKey) => bail!("account {account} has no key {key}"),
        revealed => revealed?,
    };
    if json {
        say(format_args!("{}", json!({"public_id": account, "key_id": key, "secret_key": secret.text()})));
    } else {
        say(format_args!("{}", secret.text()));
    }
    Ok(())
}

fn service(config: &Config, store: &Store) -> KeyService {
    KeyService::new(store.clone(), MasterKeys::new(&config.secrets.master_keys), &config.brand.slug)
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    timestamp::parse(text).ok_or_else(|| "an RFC 3339 date-time with an offset".to_owned())
}
