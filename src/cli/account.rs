//! `unificus account`: accounts, their tiers and settings.

use anyhow::{Context as _, ensure};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{operator, say};
use crate::clock;
use crate::config::Config;
use crate::contract::timestamp;
use crate::domain::account::OnMissing;
use crate::domain::tier::{Tier, Tiers};
use crate::domain::{AccountId, Uid};
use crate::keys::{self, SecretKey, Terms};
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::store::accounts::NewAccount;

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Make an account and its first key.
    Create {
        /// Its name.
        name: String,
        /// The name of its tier, one of `quota.tiers`. By default the one with the fewest calls.
        #[arg(long)]
        tier: Option<String>,
        /// The number of accounts to make. With more than one, a number follows each name.
        #[arg(long, default_value_t = 1)]
        count: u32,
        /// Print JSON, one line per account.
        #[arg(long)]
        json: bool,
    },
    /// List all accounts.
    List {
        /// Print JSON, one line per account.
        #[arg(long)]
        json: bool,
    },
    /// Move an account to another tier.
    Tier {
        /// Its Public ID.
        account: Uuid,
        /// The name of a tier, one of `quota.tiers`.
        tier: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set the response to a GET, PUT or DELETE of a record that does not exist.
    Behavior {
        /// The account's Public ID.
        account: Uuid,
        /// fail (404) or succeed (200 without data).
        #[arg(value_parser = on_missing)]
        on_missing: OnMissing,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Erase webhook receivers' responses about a record from the attempt log, when its person asks to be forgotten.
    EraseAttempts {
        /// The account's Public ID.
        account: Uuid,
        /// The record's uid.
        uid: Uuid,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set whether the account's secret keys are shown only once. `on` also deletes the texts that are kept.
    ShowOnce {
        /// The account's Public ID.
        account: Uuid,
        switch: Switch,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

pub(super) async fn run(config: &Config, store: &Store, command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Create { name, tier, count, json } => {
            let tier = match &tier {
                Some(tier) => configured(tier, &config.quota.tiers)?,
                None => config.quota.tiers.smallest().0,
            };
            create(config, store, &name, (tier, count), json).await
        }
        AccountCommand::List { json } => list(store, json).await,
        AccountCommand::Tier { account, tier, json } => {
            let tier = configured(&tier, &config.quota.tiers)?;
            let is_there = store.set_tier(AccountId(account), tier, operator(store).await?).await?;
            let sentence = format!("The account's tier is {tier} now.");
            changed(account, is_there, json.then(|| json!({"tier": tier.name()})), &sentence)
        }
        AccountCommand::Behavior { account, on_missing, json } => {
            let is_there = store.set_on_missing(AccountId(account), on_missing, operator(store).await?).await?;
            let name = on_missing.name();
            let sentence = format!("Requests for records that do not exist now {name}.");
            changed(account, is_there, json.then(|| json!({"behavior": name})), &sentence)
        }
        AccountCommand::EraseAttempts { account, uid, json } => {
            let is_there = store.accounts().await?.iter().any(|listed| listed.account == AccountId(account));
            ensure!(is_there, "there is no account {account}");
            let erased = store.erase_attempts(AccountId(account), Uid(uid), operator(store).await?).await?;
            let sentence = format!("The receivers' responses of {erased} attempts were erased.");
            changed(account, is_there, json.then(|| json!({"uid": uid, "erased": erased})), &sentence)
        }
        AccountCommand::ShowOnce { account, switch, json } => {
            let on = switch == Switch::On;
            let is_there = store.set_show_once(AccountId(account), on, operator(store).await?).await?;
            let sentence = if on { "New keys are shown once." } else { "New keys can be shown again." };
            changed(account, is_there, json.then(|| json!({"show_once": on})), sentence)
        }
    }
}

/// Prints the change of an account, as JSON or as a sentence.
fn changed(account: Uuid, is_there: bool, json: Option<Json>, sentence: &str) -> anyhow::Result<()> {
    ensure!(is_there, "there is no account {account}");
    match json {
        Some(Json::Object(mut members)) => {
            members.insert("public_id".to_owned(), json!(account));
            say(format_args!("{}", Json::Object(members)));
        }
        Some(_) | None => say(format_args!("{sentence}")),
    }
    Ok(())
}

async fn create(
    config: &Config,
    store: &Store,
    name: &str,
    (tier, count): (&Tier, u32),
    json: bool,
) -> anyhow::Result<()> {
    let masters = MasterKeys::new(&config.secrets.master_keys);
    let mut accounts = Vec::new();
    let mut secrets = Vec::new();
    for number in 1..=count {
        let (account, secret) = (AccountId(clock::fresh_uid().0), SecretKey::make(&config.brand.slug));
        let key = keys::prepare(account, &secret, Terms::named("default"), &masters);
        let name = if count == 1 { name.to_owned() } else { format!("{name} {number}") };
        accounts.push(NewAccount { account, name, key });
        secrets.push(secret);
    }
    store.create_accounts(&accounts, tier, operator(store).await?).await?;
    for (new, secret) in accounts.iter().zip(secrets) {
        let secret = secret.text();
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
        let created = timestamp::seconds(listed.created_at);
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

fn on_missing(text: &str) -> Result<OnMissing, String> {
    OnMissing::from_name(text).ok_or_else(|| "one of fail, succeed".to_owned())
}

/// The tier of this name. Only a configured one is accepted, because calls of an account on any other are refused.
fn configured<'a>(name: &str, tiers: &'a Tiers) -> anyhow::Result<&'a Tier> {
    tiers.named(name).with_context(|| format!("quota.tiers has no tier {name:?}, but {}", tiers.names()))
}
