//! The configuration: defaults, then a TOML file, then `UNIFICUS_SECTION__KEY` of the environment. All settings are checked
//! before a port is bound. The only module that reads the environment.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use crate::console_config::{ConsoleConfig, MailConfig, SmtpUrl};
use crate::domain::brand;
use crate::domain::tier::Tiers;

/// All settings. `deploy/unificus.example.toml` explains each one and has the defaults.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each section is its name in the file")]
pub struct Config {
    pub brand: BrandConfig,
    pub http: Http,
    pub metrics: MetricsListener,
    pub database: Database,
    pub commands: Commands,
    pub nats: NatsConfig,
    pub push: PushConfig,
    pub feed: FeedConfig,
    pub quota: Quota,
    pub secrets: Secrets,
    pub console: ConsoleConfig,
    pub mail: MailConfig,
    pub log: LogConfig,
    pub traces: Traces,
}

/// The service's brand, as customers see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct BrandConfig {
    pub name: String,
    pub color: String,
    pub slug: String,
}

impl BrandConfig {
    /// The brand as the public pages show it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "another colour than the configured one would be shown")]
    pub fn shown(&self) -> brand::Brand {
        let color = brand::Color::parse(&self.color).expect("the settings were checked");
        brand::Brand { name: self.name.trim().to_owned(), color, logo: None, support_url: None }
    }
}

/// The API's listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct Http {
    pub listen: SocketAddr,
    pub body_limit_bytes: usize,
    pub header_timeout_s: u64,
    pub body_timeout_s: u64,
    pub write_timeout_s: u64,
    pub min_bytes_per_s: u64,
    pub request_timeout_s: u64,
    pub max_connections: usize,
    pub connections_per_address: usize,
    pub drain_timeout_s: u64,
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// The listener of `/metrics`, `/livez` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct MetricsListener {
    pub listen: SocketAddr,
    pub top_accounts: bool,
}

/// PostgreSQL. Its URLs hold passwords: `Debug` shows them without.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct Database {
    pub url: String,
    pub read_url: String,
    pub pool: usize,
    pub searches: usize,
    pub searches_per_account: usize,
    pub statement_timeout_s: u64,
    pub connect_timeout_s: u64,
}

impl Database {
    /// The number of the pool's connections that searches may use at once.
    #[must_use]
    pub fn search_count(&self) -> usize {
        match self.searches {
            0 => (self.pool * 3 / 4).max(1),
            searches => searches,
        }
    }

    /// Connections for changes outside the lanes: a quarter of the pool, and at least four. A change of an endpoint holds
    /// one for several round trips and waits up to 5 s for its account's lock; the attempt log, the search index, the
    /// sweeps and the times of keys' last use, each of which holds at most one, must go on meanwhile.
    #[must_use]
    pub fn write_connections(&self) -> usize {
        (self.pool / 4).max(4)
    }

    /// Connections that only read: the pool without its writing connections, and at least one beyond the searches', so
    /// that searches never hold all of them.
    #[must_use]
    pub fn read_connections(&self) -> usize {
        // A small pool has no more connections than those that write.
        self.pool.saturating_sub(self.write_connections()).max(self.search_count() + 1)
    }
}

/// The write path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct Commands {
    pub lanes: usize,
    pub batch_commands: usize,
    pub batch_bytes: usize,
    pub queued_per_account: usize,
    pub queued_per_lane: usize,
}

impl Commands {
    /// The number of lanes.
    #[must_use]
    pub fn lane_count(&self) -> usize {
        match self.lanes {
            0 => std::thread::available_parallelism().map_or(1, usize::from).min(16),
            lanes => lanes,
        }
    }
}

/// NATS JetStream. Its URLs may hold passwords, and the seed is a secret: `Debug` shows the first URL without its password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct NatsConfig {
    pub url: String,
    pub ca_file: String,
    pub stream: String,
    pub subject_root: String,
    pub replicas: usize,
    pub max_age_s: u64,
    pub issuer_seed: IssuerSeed,
    pub clients_account: String,
    pub system_url: String,
}

/// The seed of the key that signs logins to NATS; empty where there is none.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IssuerSeed(String);

impl IssuerSeed {
    /// The seed of this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself; `None` where no seed is configured.
    #[must_use]
    pub fn reveal(&self) -> Option<&str> {
        Some(self.0.trim()).filter(|seed| !seed.is_empty())
    }
}

impl fmt::Debug for IssuerSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerSeed")
    }
}

/// Webhooks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct PushConfig {
    pub allow_http: bool,
    pub allow_networks: Vec<ipnet::IpNet>,
    pub user_agent: String,
    pub endpoints_per_account: usize,
    pub window: usize,
    pub in_flight: usize,
    pub attempts_days: u16,
}

/// The change feed and its streams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct FeedConfig {
    pub page_bytes: usize,
    pub in_flight_bytes: usize,
    pub streams_per_key: usize,
    pub streams_per_account: usize,
    pub long_polls_per_account: usize,
}

/// How often accounts may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct Quota {
    pub enforced: bool,
    pub burst_per_second: u64,
    pub tiers: Tiers,
}

/// Secrets at rest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct Secrets {
    pub master_keys: Vec<MasterKey>,
}

/// 32 bytes, written in base64 (RFC 4648, section 4).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MasterKey(pub [u8; 32]);

impl TryFrom<String> for MasterKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The errors of both steps are left out: they quote the key.
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("a master key is the base64 of 32 bytes")
    }
}

impl From<MasterKey> for String {
    fn from(key: MasterKey) -> Self {
        STANDARD.encode(key.0)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

/// The log's filter and format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct LogConfig {
    pub filter: String,
    pub format: LogFormat,
}

/// Spans that are sent to an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct Traces {
    pub endpoint: String,
    pub ratio: f64,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each variant is its name in the file")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for BrandConfig {
    fn default() -> Self {
        Self { name: "Unificus".to_owned(), color: brand::Color::NEUTRAL.to_string(), slug: "unificus".to_owned() }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            body_limit_bytes: 1 << 20,
            header_timeout_s: 30,
            body_timeout_s: 20,
            write_timeout_s: 30,
            min_bytes_per_s: 512,
            request_timeout_s: 60,
            max_connections: 10_000,
            connections_per_address: 8_000,
            drain_timeout_s: 25,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for MetricsListener {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 9464)), top_accounts: false }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "postgresql://unificus@127.0.0.1:5432/unificus".to_owned(),
            read_url: String::new(),
            pool: 8,
            searches: 0,
            searches_per_account: 2,
            statement_timeout_s: 20,
            connect_timeout_s: 5,
        }
    }
}

impl Default for Commands {
    fn default() -> Self {
        Self { lanes: 0, batch_commands: 500, batch_bytes: 1 << 20, queued_per_account: 1_000, queued_per_lane: 10_000 }
    }
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: "nats://127.0.0.1:4222".to_owned(),
            ca_file: String::new(),
            stream: "EVENTS".to_owned(),
            subject_root: "crm.v1".to_owned(),
            replicas: 1,
            max_age_s: 7 * 24 * 3_600,
            issuer_seed: IssuerSeed::default(),
            clients_account: "CRM_CLIENTS".to_owned(),
            system_url: String::new(),
        }
    }
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_networks: Vec::new(),
            user_agent: String::new(),
            endpoints_per_account: 20,
            window: 32,
            in_flight: 1_024,
            attempts_days: 30,
        }
    }
}

impl Default for FeedConfig {
    fn default() -> Self {
        Self {
            page_bytes: 1 << 20,
            in_flight_bytes: 128 << 20,
            streams_per_key: 100,
            streams_per_account: 500,
            long_polls_per_account: 100,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self { enforced: true, burst_per_second: 1_000, tiers: Tiers::default() }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self { endpoint: String::new(), ratio: 0.01 }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read_url = if self.read_url.is_empty() { String::new() } else { without_password(&self.read_url) };
        f.debug_struct("Database")
            .field("url", &without_password(&self.url))
            .field("read_url", &read_url)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("url", &without_password(&self.url)).finish_non_exhaustive()
    }
}

/// A server's URL for people and logs: `***` replaces its password, and the query is left out, because it may have a
/// password too.
#[must_use]
pub fn without_password(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return "***".to_owned() };
    url.set_query(None);
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    url.to_string()
}

/// The URLs of the servers of a cluster, which commas separate.
pub fn server_urls(urls: &str) -> Vec<&str> {
    urls.split(',').map(str::trim).collect()
}

/// The prefix of settings in the environment.
const PREFIX: &str = "UNIFICUS_";

impl Config {
    /// Reads the settings of this process from a file and the environment.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let text = match file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("cannot read the configuration {}", file.display()))?,
            None => String::new(),
        };
        Self::from_parts(&text, environment())
    }

    /// Reads the settings from a file's text and an environment. `UNIFICUS_HTTP__LISTEN` is key `listen` of section `[http]`.
    pub fn from_parts(text: &str, environment: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let mut table: toml::Table = text.parse().map_err(unquoted).context("the configuration is not valid")?;
        let defaults = toml::Table::try_from(Self::default()).context("the defaults cannot be written as TOML")?;
        for (name, value) in environment {
            // Names without a double underscore (UNIFICUS_BASE_URL, …) are printed for scripts, and are no settings.
            let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|name| name.split_once("__")) else {
                continue;
            };
            set(&mut table, &defaults, &section.to_lowercase(), &key.to_lowercase(), &value)
                .with_context(|| format!("the environment's {name} cannot be used"))?;
        }
        let config: Self = table.try_into().map_err(unkeyed).context("the configuration cannot be used")?;
        config.check()?;
        Ok(config)
    }

    /// The user-agent of deliveries: made of the brand's slug, unless another text is set.
    #[must_use]
    pub fn user_agent(&self) -> String {
        match self.push.user_agent.as_str() {
            "" => brand::user_agent(&self.brand.slug),
            set => set.to_owned(),
        }
    }

    /// The address under which people reach the console, without a slash at its end.
    #[must_use]
    pub fn console_url(&self) -> String {
        match self.console.url.trim_end_matches('/') {
            "" => format!("http://{}", self.http.listen),
            set => set.to_owned(),
        }
    }

    fn check(&self) -> anyhow::Result<()> {
        ensure!(brand::parse_name(&self.brand.name).is_ok(), "brand.name must be 1 to 60 characters on one line");
        ensure!(brand::Color::parse(&self.brand.color).is_ok(), "brand.color must be like #1f6f54");
        let slug = self.brand.slug.as_bytes();
        let plain = slug.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        ensure!((1..=30).contains(&slug.len()) && plain, "brand.slug must be 1 to 30 of a to z and 0 to 9");
        ensure!(self.commands.lanes <= 64, "commands.lanes must be 0 to 64");
        ensure!((1..=10_000).contains(&self.commands.batch_commands), "commands.batch_commands must be 1 to 10000");
        ensure!(self.commands.batch_bytes > 0, "commands.batch_bytes must not be 0");
        ensure!(self.http.header_timeout_s > 0, "http.header_timeout_s must not be 0");
        ensure!(self.http.body_timeout_s > 0, "http.body_timeout_s must not be 0");
        let sent_within = 1..=u64::from(u32::MAX) / 1_000;
        ensure!(sent_within.contains(&self.http.write_timeout_s), "http.write_timeout_s must be 1 to 4294967");
        ensure!(self.http.request_timeout_s > 30, "http.request_timeout_s must be more than 30, the longest wait");
        ensure!(self.commands.queued_per_account > 0, "commands.queued_per_account must not be 0");
        ensure!(
            self.commands.queued_per_lane >= self.commands.queued_per_account,
            "commands.queued_per_lane must not be less than commands.queued_per_account"
        );
        ensure!((2..=200).contains(&self.database.pool), "database.pool must be 2 to 200");
        ensure!(self.database.searches < self.database.pool, "database.searches must be less than database.pool");
        ensure!(self.database.searches_per_account > 0, "database.searches_per_account must not be 0");
        ensure!(
            (1..self.http.request_timeout_s).contains(&self.database.statement_timeout_s),
            "database.statement_timeout_s must be 1 or more, and less than http.request_timeout_s"
        );
        url::Url::parse(&self.database.url).context("database.url is not a URL")?;
        if !self.database.read_url.is_empty() {
            url::Url::parse(&self.database.read_url).context("database.read_url is not a URL")?;
        }
        for url in server_urls(&self.nats.url) {
            url::Url::parse(url).context("nats.url is not a URL, nor several with commas between them")?;
        }
        if !self.nats.system_url.is_empty() {
            for url in server_urls(&self.nats.system_url) {
                url::Url::parse(url).context("nats.system_url is not a URL, nor several with commas between them")?;
            }
        }
        let ca_file = Path::new(&self.nats.ca_file);
        ensure!(self.nats.ca_file.is_empty() || ca_file.is_file(), "nats.ca_file {} is not a file", ca_file.display());
        ensure!(matches!(self.nats.replicas, 1 | 3 | 5), "nats.replicas must be 1, 3 or 5");
        ensure!(self.http.max_connections > 0, "http.max_connections must not be 0");
        ensure!(self.http.body_limit_bytes >= 1_024, "http.body_limit_bytes must be 1024 or more");
        ensure!((1..=1_000).contains(&self.push.window), "push.window must be 1 to 1000");
        ensure!(self.push.in_flight >= self.push.window, "push.in_flight must not be less than push.window");
        ensure!(self.push.attempts_days > 0, "push.attempts_days must not be 0");
        ensure!(self.feed.page_bytes >= 65_536, "feed.page_bytes must be 65536 or more");
        ensure!(
            self.feed.in_flight_bytes / 4 >= self.feed.page_bytes,
            "feed.in_flight_bytes must be four times feed.page_bytes or more"
        );
        ensure!(self.feed.streams_per_key > 0, "feed.streams_per_key must not be 0");
        ensure!(
            self.feed.streams_per_account >= self.feed.streams_per_key,
            "feed.streams_per_account must not be less than feed.streams_per_key"
        );
        ensure!(self.feed.long_polls_per_account > 0, "feed.long_polls_per_account must not be 0");
        let token = |text: &str| text.split('.').all(|t| !t.is_empty() && !t.contains(['*', '>', ' ']));
        ensure!(token(&self.nats.subject_root), "nats.subject_root must be a subject without wildcards");
        let account = &self.nats.clients_account;
        let is_name = token(account) && !account.contains('.');
        ensure!(is_name, "nats.clients_account must be the name of an account of the NATS server, without a dot");
        self.console.check()?;
        self.mail.check()?;
        let has_address = self.mail.smtp_url.reveal().is_empty() || !self.console.url.is_empty();
        ensure!(has_address, "console.url must be set where mail.smtp_url is, because mails have links to it");
        tracing_subscriber::EnvFilter::try_new(&self.log.filter).context("log.filter is not a filter")?;
        if !self.traces.endpoint.is_empty() {
            let endpoint = url::Url::parse(&self.traces.endpoint).context("traces.endpoint is not a URL")?;
            ensure!(matches!(endpoint.scheme(), "http" | "https"), "traces.endpoint must be an http or https URL");
        }
        ensure!((0.0..=1.0).contains(&self.traces.ratio), "traces.ratio must be 0 to 1");
        Ok(())
    }
}

/// Sets one value of the environment. It is read by the type of the default: a text as it stands, any other as a TOML
/// value.
fn set(table: &mut toml::Table, defaults: &toml::Table, section: &str, key: &str, value: &str) -> anyhow::Result<()> {
    let default = defaults.get(section).and_then(|section| section.get(key));
    let value = match default {
        None => bail!("there is no setting {section}.{key}"),
        Some(toml::Value::String(_)) => toml::Value::String(value.to_owned()),
        Some(_) => {
            let parsed: toml::Table = format!("value = {value}").parse().map_err(unquoted)?;
            parsed.get("value").cloned().context("it is empty")?
        }
    };
    let section = table.entry(section.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    section.as_table_mut().context("the section is not a table")?.insert(key.to_owned(), value);
    Ok(())
}

/// The error with its place; for master keys without either, because it would quote a key.
fn unkeyed(error: toml::de::Error) -> anyhow::Error {
    if error.to_string().contains("master_keys") {
        return anyhow::anyhow!("secrets.master_keys must be a list of texts, each the base64 of 32 bytes");
    }
    anyhow::Error::new(error)
}

/// The error without its line, which may hold a secret.
fn unquoted(error: toml::de::Error) -> anyhow::Error {
    anyhow::anyhow!("it is not TOML: {}", error.message())
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn environment() -> Vec<(String, String)> {
    std::env::vars().filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// `PATH` and the user's data directory, in which the launcher of private servers finds programs.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn program_path() -> (String, std::path::PathBuf) {
    // Without either variable the path is relative, and no program is looked for there.
    let home = std::env::var_os("HOME").unwrap_or_default();
    let data = std::env::var_os("XDG_DATA_HOME").map_or_else(|| Path::new(&home).join(".local/share"), Into::into);
    (std::env::var("PATH").unwrap_or_default(), data)
}
