//! The addresses of a running service: printed for people, and written to a file for scripts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::demo::{self, DemoCredentials};
use super::services::private;
use crate::config::without_password;
use crate::console;
use crate::http::BASE;

/// The addresses of the service and its servers.
pub(super) struct Addresses {
    pub(super) address: SocketAddr,
    pub(super) metrics_address: SocketAddr,
    pub(super) database_url: String,
    /// For the service.
    pub(super) nats_url: String,
    /// For clients of accounts.
    pub(super) nats_client_url: String,
    pub(super) subject_root: String,
}

impl Addresses {
    fn base_url(&self) -> String {
        format!("http://{}{BASE}", self.address)
    }

    /// Under the name localhost, for which every browser keeps the console's cookies.
    fn console_url(&self) -> String {
        format!("http://localhost:{}{}", self.address.port(), console::PATH)
    }

    fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.metrics_address)
    }
}

#[expect(clippy::print_stdout, reason = "a command's result goes to standard output")]
pub(super) fn print(addresses: &Addresses, credentials: &DemoCredentials, env_file: &Path) {
    let base_url = addresses.base_url();
    println!(
        "
  Unificus is running. Ctrl-C stops it; its data is kept.

  Base URL            {base_url}
  Public ID           {id}
  Secret Key          {secret}
  Live documentation  {base_url}/swagger
  Console             {console}
    Email             {email}
    Password          {password}
  Metrics             {metrics}
  NATS                {nats}
  PostgreSQL          {database}
  Passwords           {env_file}

  Create a contact:

curl -sS {base_url}/contact \\
  -H 'X-Public-ID: {id}' -H 'X-Secret-Key: {secret}' \\
  -d '{{\"role\":\"Lead\",\"first_name\":\"John\",\"last_name\":\"Doe\",\"email\":\"john.doe@email.com\"}}'

  Follow the account's events over NATS; the token is both credentials with a colon between them:

nats --server {nats_client} --user '{id}:{secret}' sub '{root}.{id}.evt.>'
",
        nats_client = addresses.nats_client_url,
        root = addresses.subject_root,
        id = credentials.public_id,
        secret = credentials.secret_key,
        metrics = addresses.metrics_url(),
        console = addresses.console_url(),
        email = demo::EMAIL,
        password = credentials.password,
        nats = without_password(&addresses.nats_url),
        database = without_password(&addresses.database_url),
        env_file = env_file.display(),
    );
}

/// Writes shell assignments to a file that only its owner can read. The file appears complete, when all servers accept connections.
pub(super) fn write_env_file(file: &Path, addresses: &Addresses, credentials: &DemoCredentials) -> anyhow::Result<()> {
    let mut text = String::new();
    for (name, value) in [
        ("BASE_URL", addresses.base_url()),
        ("PUBLIC_ID", credentials.public_id.to_string()),
        ("SECRET_KEY", credentials.secret_key.clone()),
        ("CONSOLE_URL", addresses.console_url()),
        ("CONSOLE_EMAIL", demo::EMAIL.to_owned()),
        ("CONSOLE_PASSWORD", credentials.password.clone()),
        ("METRICS_URL", addresses.metrics_url()),
        ("NATS_URL", addresses.nats_url.clone()),
        ("NATS_CLIENT_URL", addresses.nats_client_url.clone()),
        ("DATABASE_URL", addresses.database_url.clone()),
    ] {
        writeln!(text, "UNIFICUS_{name}={value}")?;
    }
    private::write(file, &text)
}
