//! The accounts of the load, created by the service's own command line.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::time::timeout;

use crate::service::QUOTA;

/// The timeout of the command for ten thousand accounts.
const TIMEOUT: Duration = Duration::from_mins(2);

/// An account and its key.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) public_id: String,
    pub(crate) secret_key: String,
}

/// Creates `count` accounts of the tier `load` by `unificus account create --count`.
pub(crate) async fn make(name: &str, count: usize, database_url: &str) -> Result<Vec<Account>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unificus"));
    command
        .args(["account", "create", name, "--tier", "load", "--json", "--count", &count.to_string()])
        .envs(QUOTA)
        .env("UNIFICUS_DATABASE__URL", database_url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(TIMEOUT, command.output()).await.context("unificus account create timed out")?;
    let output = output.context("running unificus account create")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "unificus account create ended with {}: {}", output.status, stderr.trim());
    let accounts = parse(&String::from_utf8_lossy(&output.stdout))?;
    ensure!(accounts.len() == count, "{} of {count} accounts were created", accounts.len());
    Ok(accounts)
}

/// Writes one JSON object per line, for the verification of the load afterwards.
pub(crate) fn write(path: &Path, accounts: &[Account]) -> Result<()> {
    let mut text = String::new();
    for account in accounts {
        text.push_str(&serde_json::to_string(account).context("encoding an account")?);
        text.push('\n');
    }
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// Reads the output of [`write`] or of the command.
fn parse(lines: &str) -> Result<Vec<Account>> {
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).context("reading a created account")).collect()
}
