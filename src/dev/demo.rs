//! The demo account: made once with some records; its credentials are kept in the data directory.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::services::private;
use crate::app::App;
use crate::clock::{self, Clock};
use crate::command::{CommandEnvelope, Failure};
use crate::config::{Config, MasterKey};
use crate::contract::input::{self, InputKind};
use crate::domain::user::UserRole;
use crate::domain::{AccountId, Command, Entity, ValidationErrors, named};
use crate::keys::{self, SecretKey, Terms};
use crate::secrets::MasterKeys;
use crate::store::Store;
use crate::store::accounts::NewAccount;
use crate::store::audit::By;
use crate::store::lists::List;
use crate::users::{Mailer, PasswordHasher, Users};

const FILE: &str = "demo.json";
const MASTER_KEY_FILE: &str = "master.key";

/// The login of the demo's Super Admin in the console.
pub(super) const EMAIL: &str = "demo@example.com";

const COMPANIES: [(&str, &str, &str); 6] = [
    ("Blauwe Reiger BV", "Utrecht", "https://blauwereiger.example"),
    ("Northwind Bakery", "Leeds", "https://northwind.example"),
    ("Sato & Daughters", "Osaka", "https://sato.example"),
    ("Ateliê Marília", "Porto", "https://marilia.example"),
    ("Fjordlys AS", "Bergen", "https://fjordlys.example"),
    ("Kestrel Analytics", "Denver", "https://kestrel.example"),
];

const FIRST: [&str; 8] = ["Ann", "Björn", "Chiara", "Dewi", "Emre", "Farida", "Grace", "Hiroshi"];
const LAST: [&str; 6] = ["de Vries", "Okafor", "Rossi", "Lindqvist", "Yılmaz", "Tanaka"];
const ROLES: [&str; 3] = ["Lead", "Prospect", "Client"];

const AUDIENCES: [&str; 3] = ["Newsletter", "Product news", "Events"];
const PROJECTS: [(&str, &str); 3] =
    [("New bakery ovens", "Open"), ("Website relaunch", "Planned"), ("Audit 2026", "Done")];

/// The demo's credentials, which are kept in clear text on development machines only.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DemoCredentials {
    pub(super) public_id: Uuid,
    pub(super) secret_key: String,
    /// The password of [`EMAIL`] in the console; empty before it is made.
    #[serde(default)]
    pub(super) password: String,
}

impl DemoCredentials {
    pub(super) fn account(&self) -> AccountId {
        AccountId(self.public_id)
    }
}

/// The demo account. It is made where the data directory or the database does not have it.
pub(super) async fn account(store: &Store, config: &Config, dir: &Path) -> anyhow::Result<DemoCredentials> {
    let file = dir.join(FILE);
    if let Some(credentials) = kept(&file)?
        && store.credentials(credentials.account()).await?.is_some()
    {
        return Ok(credentials);
    }
    let (account, secret) = (AccountId(clock::fresh_uid().0), SecretKey::make(&config.brand.slug));
    let masters = MasterKeys::new(&config.secrets.master_keys);
    let key = keys::prepare(account, &secret, Terms::named("demo"), &masters);
    let by = By::new("dev", Clock::system().now());
    let new = NewAccount { account, name: "Demo".to_owned(), key };
    store.create_accounts(&[new], config.quota.tiers.largest().0, by).await?;
    let credentials =
        DemoCredentials { public_id: account.0, secret_key: secret.text().to_owned(), password: String::new() };
    private::write(&file, &serde_json::to_string(&credentials)?)?;
    Ok(credentials)
}

/// Makes the demo's login to the console, where the account or the data directory does not have it.
pub(super) async fn login(
    store: &Store,
    config: &Config,
    dir: &Path,
    credentials: &mut DemoCredentials,
) -> anyhow::Result<()> {
    let account = credentials.account();
    let known = store.user_of_email(account, EMAIL).await?;
    if known.is_some() && !credentials.password.is_empty() {
        return Ok(());
    }
    let clock = Clock::system();
    let by = By::new("dev", clock.now());
    let masters = MasterKeys::new(&config.secrets.master_keys);
    let users = Users::new(store.clone(), PasswordHasher::new()?, masters, clock, Mailer::default());
    // As hard to guess as a key, because the database may have the demo's data for years.
    let password: String = SecretKey::make("demo").text().chars().skip("demo_live_".len()).take(16).collect();
    if let Some(user) = known {
        users.set_password((account, user.user_id), (EMAIL, &password), by).await?;
    } else {
        let invitation = users.invite(account, EMAIL, UserRole::SuperAdmin, by).await?;
        users.choose_password(&invitation, &password, by).await?;
    }
    credentials.password = password;
    private::write(&dir.join(FILE), &serde_json::to_string(credentials)?)
}

/// The credentials in the data directory; none before the first start.
fn kept(file: &Path) -> anyhow::Result<Option<DemoCredentials>> {
    let bytes = match std::fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    let read = serde_json::from_slice(&bytes);
    if let Err(error) = &read {
        tracing::warn!(file = %file.display(), %error, "read demo credentials failed; another demo account is made");
    }
    Ok(read.ok())
}

/// The master key of the data directory, which is made once.
pub(super) fn master_key(dir: &Path) -> anyhow::Result<MasterKey> {
    let file = dir.join(MASTER_KEY_FILE);
    let context = || format!("cannot use {}", file.display());
    match std::fs::read_to_string(&file) {
        Ok(text) => return MasterKey::try_from(text).map_err(anyhow::Error::msg).with_context(context),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // A new key would not open the secrets that were sealed before.
        Err(error) => return Err(error).with_context(context),
    }
    let key = MasterKey(rand::random());
    private::write(&file, &String::from(key.clone()))?;
    Ok(key)
}

/// Makes the demo's records where the account has no contact.
pub(super) async fn fill(app: &App, store: &Store, account: AccountId) -> anyhow::Result<()> {
    if store.page(account, &List::first(Entity::Contact, 1)).await?.counted.total > 0 {
        return Ok(());
    }
    for (name, city, website) in COMPANIES {
        let body = json!({"name": name, "role": "Client", "website": website, "tags": ["demo"],
            "address": {"city": city}});
        create(app, account, InputKind::Company, body).await?;
    }
    for (number, name) in (1..).zip(AUDIENCES) {
        define(app, account, named::CreateNamed::audience(clock::fresh_uid(), number, name)).await?;
    }
    define(app, account, named::CreateNamed::world(clock::fresh_uid(), "Main workspace")).await?;
    for field in fields() {
        create(app, account, InputKind::CustomField, field).await?;
    }
    let people = LAST.iter().flat_map(|last| FIRST.iter().map(move |first| (first, last)));
    let employers = COMPANIES.iter().cycle().zip(ROLES.iter().cycle());
    for (number, ((first, last), ((company, city, _), role))) in people.zip(employers).enumerate() {
        let body = json!({
            "role": role, "first_name": first, "last_name": last, "email": format!("person{number}@example.com"),
            "phone": format!("+31 20 555 {number:04}"), "tags": ["demo", role.to_lowercase()],
            "address": {"city": city}, "company": {"name": company}, "circles": {"add": [city]},
        });
        create(app, account, InputKind::Contact, body).await?;
    }
    for (name, status) in PROJECTS {
        create(app, account, InputKind::Project, json!({"name": name, "status": status, "team": ["Ann", "Emre"]}))
            .await?;
    }
    Ok(())
}

/// One custom field of each entity.
fn fields() -> [serde_json::Value; 4] {
    [
        json!({"entity": "contact", "type": "dropdown", "name": "Preferred channel",
            "allowed_values": ["Email", "Phone", "Post"]}),
        json!({"entity": "company", "type": "currency", "name": "Credit limit", "visibility": "private"}),
        json!({"entity": "project", "type": "number", "name": "Hours sold"}),
        json!({"entity": "target", "type": "date", "name": "Contract until"}),
    ]
}

async fn define(
    app: &App,
    account: AccountId,
    create: Result<named::CreateNamed, ValidationErrors>,
) -> anyhow::Result<()> {
    let create = create.map_err(|invalid| anyhow::anyhow!("the demo's own data is refused: {invalid:?}"))?;
    submit(app, account, Command::CreateNamed(create)).await
}

async fn create(app: &App, account: AccountId, kind: InputKind, body: serde_json::Value) -> anyhow::Result<()> {
    let command = input::create(kind, body, &mut clock::fresh_uid)
        .map_err(|refusal| anyhow::anyhow!("the demo's own data is refused: {refusal:?}"))?;
    submit(app, account, command).await
}

async fn submit(app: &App, account: AccountId, command: Command) -> anyhow::Result<()> {
    let envelope = CommandEnvelope { bytes: 512, ..CommandEnvelope::new(account, Arc::from("demo"), command) };
    match app.lanes().submit(envelope).await {
        // A refused command made a record that exists already: an earlier start was interrupted.
        Ok(_) | Err(Failure::Refused { .. }) => Ok(()),
        Err(failure) => Err(failure).context("cannot fill the demo account"),
    }
}
