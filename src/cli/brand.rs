//! `unificus brand`: the white label of an account.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use uuid::Uuid;

use super::{operator, say};
use crate::domain::AccountId;
use crate::domain::brand::{Color, Logo, parse_host, parse_name, parse_support_url};
use crate::store::Store;
use crate::store::brands::{AccountBrand, NewBrand, SetBrand};

#[derive(Debug, Subcommand)]
pub(super) enum BrandCommand {
    /// Set or change an account's brand. Options that are not given stay as they are.
    Set {
        /// The account's Public ID.
        account: Uuid,
        /// The product's name, as partners see it: up to 60 characters. A new brand has its account's name.
        #[arg(long, value_parser = parse_name)]
        name: Option<String>,
        /// The color, as #rrggbb. Text on it is white or black, whichever is readable.
        #[arg(long, value_parser = Color::parse)]
        color: Option<Color>,
        /// A host name that shows the brand; repeat the option for more. They replace the present ones.
        #[arg(long, value_parser = parse_host)]
        host: Vec<String>,
        /// A file with an SVG or PNG of at most 256 KiB.
        #[arg(long)]
        logo: Option<PathBuf>,
        /// The page, or the address with mailto:, at which users get help. Empty removes it.
        #[arg(long, value_parser = support)]
        support: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print an account's brand.
    Show {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete an account's brand and its host names.
    Clear {
        /// The account's Public ID.
        account: Uuid,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(store: &Store, command: BrandCommand) -> anyhow::Result<()> {
    match command {
        BrandCommand::Set { account, name, color, host, logo, support, json } => {
            let logo = logo.as_deref().map(read_logo).transpose()?;
            let hosts = (!host.is_empty()).then_some(host);
            let new = NewBrand { name, color, logo, hosts, support_url: support, remove_logo: false };
            match store.set_brand(AccountId(account), &new, operator(store).await?).await? {
                SetBrand::Done => show(store, account, json).await,
                SetBrand::NoAccount => bail!("there is no account {account}"),
                SetBrand::HostTaken(host) => bail!("the host {host} belongs to another account's brand"),
            }
        }
        BrandCommand::Show { account, json } => show(store, account, json).await,
        BrandCommand::Clear { account, json } => {
            if !store.clear_brand(AccountId(account), operator(store).await?).await? {
                bail!("account {account} has no brand");
            }
            if json {
                say(format_args!("{}", json!({"public_id": account, "cleared": true})));
            } else {
                say(format_args!("The account's hosts show the installation's brand now."));
            }
            Ok(())
        }
    }
}

async fn show(store: &Store, account: Uuid, json: bool) -> anyhow::Result<()> {
    let Some(brand) = store.brand(AccountId(account)).await? else { bail!("account {account} has no brand") };
    let AccountBrand { account, name, color, logo, support_url, hosts } = brand;
    let color = color.map(|color| color.to_string());
    let logo = logo.map(|logo| (logo.format.name(), logo.bytes.len()));
    if json {
        let logo = logo.map(|(media_type, bytes)| json!({"media_type": media_type, "bytes": bytes}));
        let shown = json!({"public_id": account, "name": name, "color": color, "logo": logo, "support_url": support_url,
            "hosts": hosts});
        say(format_args!("{shown}"));
    } else {
        let color = color.as_deref().unwrap_or("the installation's");
        let logo = logo.map_or_else(|| "the installation's".to_owned(), |(kind, bytes)| format!("{kind}, {bytes} B"));
        let hosts = if hosts.is_empty() { "none".to_owned() } else { hosts.join(", ") };
        say(format_args!("{name}\n  Colour: {color}\n  Logo:   {logo}\n  Hosts:  {hosts}"));
    }
    Ok(())
}

fn support(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Ok(String::new()) } else { parse_support_url(text) }
}

fn read_logo(file: &Path) -> anyhow::Result<Logo> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read the logo {}", file.display()))?;
    Logo::parse(&bytes).map_err(|wrong| anyhow::anyhow!("{}: {wrong}", file.display()))
}
