//! Access to the private Postgres: every connection needs a password.
//!
//! A cluster of an earlier version trusts every connection. It is closed before its server listens: the superuser gets its
//! password in single-user mode, which has no port, and then the access rules are replaced. The rules contain the
//! password's hash, so that both steps are repeated after a crash in between or with another password.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::credentials::Password;
use super::data_dir::DataDirOwner;
use super::private;
use super::spawn::ServiceAccount;

/// The time for single-user mode, which may begin with recovery after a crash.
const SINGLE_USER: Duration = Duration::from_mins(2);

/// Makes `cluster`, on which no server runs, require passwords, and sets the superuser's.
pub(super) async fn close(
    cluster: &Path,
    postgres: &Path,
    account: &ServiceAccount,
    owner: Option<DataDirOwner>,
    (superuser, password): (&str, &Password),
) -> Result<()> {
    let file = cluster.join("pg_hba.conf");
    let rules = rules(password);
    if std::fs::read_to_string(&file).is_ok_and(|current| current == rules) {
        return Ok(());
    }
    set_password(cluster, postgres, account, (superuser, password))
        .await
        .context("setting the superuser's password")?;
    private::write_for(owner, &file, &rules)
}

fn rules(password: &Password) -> String {
    let hash = STANDARD.encode(Sha256::digest(password.reveal()));
    format!(
        "# Written by `unificus dev` for the password with SHA-256 {hash}.\n\
         local all all scram-sha-256\n\
         host all all 127.0.0.1/32 scram-sha-256\n\
         host all all ::1/128 scram-sha-256\n"
    )
}

/// Sets the password through standard input, because every user of the machine can read arguments.
async fn set_password(
    cluster: &Path,
    postgres: &Path,
    account: &ServiceAccount,
    (superuser, password): (&str, &Password),
) -> Result<()> {
    let mut command = account.command(postgres, Signal::SIGKILL);
    command.args(["--single", "-c", "password_encryption=scram-sha-256", "-D"]).arg(cluster).arg("postgres");
    command.current_dir(cluster).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().context("running Postgres in single-user mode")?;
    let statement = format!("alter role {superuser} password '{}'\n", password.reveal());
    let run = async {
        let mut stdin = child.stdin.take().context("opening its standard input")?;
        // The error of a server that ends early is on standard error.
        let written = stdin.write_all(statement.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.context("waiting for it")?;
        Ok::<_, anyhow::Error>((written, output))
    };
    let (written, output) = timeout(SINGLE_USER, run).await.context("it did not end in time")??;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it ended with {}: {}", output.status, stderr.trim());
    written.context("writing to it")?;
    // Its exit status is 0 also after a statement that failed.
    if ["ERROR:", "FATAL:", "PANIC:"].iter().any(|level| stderr.contains(level)) {
        bail!("it failed: {}", stderr.replace(password.reveal(), "***").trim());
    }
    Ok(())
}
