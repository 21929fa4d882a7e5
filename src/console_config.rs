//! The settings of the console and of its mail.

use std::fmt;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::domain::user::parse_email;

/// The console.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct ConsoleConfig {
    pub enabled: bool,
    pub url: String,
    pub show_components: bool,
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self { enabled: true, url: String::new(), show_components: false }
    }
}

impl ConsoleConfig {
    /// Checks the address.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.url.is_empty() {
            return Ok(());
        }
        let url = url::Url::parse(&self.url).context("console.url is not a URL")?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        ensure!(is_web && url.path() == "/", "console.url must be like https://console.example.org");
        Ok(())
    }
}

/// Mail. The URL may hold a password.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in deploy/unificus.example.toml")]
pub struct MailConfig {
    pub smtp_url: SmtpUrl,
    pub from: String,
}

impl MailConfig {
    /// Checks the sender's address.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.smtp_url.reveal().is_empty() {
            return Ok(());
        }
        ensure!(parse_email(&self.from).is_ok(), "mail.from must be an email address where mail.smtp_url is set");
        let url = url::Url::parse(self.smtp_url.reveal()).ok();
        let is_smtp = url.is_some_and(|url| matches!(url.scheme(), "smtp" | "smtps") && url.has_host());
        ensure!(is_smtp, "mail.smtp_url must be like smtp://user:password@host:587?tls=required, or empty");
        Ok(())
    }
}

/// The URL of a mail server; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SmtpUrl(String);

impl SmtpUrl {
    /// The URL of this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself; empty where no server is configured.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.trim()
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmtpUrl")
    }
}
