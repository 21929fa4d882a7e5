//! Where everything is: printed for people, and written for scripts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::demo::DemoCredentials;
use super::services::private;
use crate::config::without_password;
use crate::http::BASE;

/// The addresses of what runs.
pub(super) struct Places {
    pub(super) address: SocketAddr,
    pub(super) metrics_address: SocketAddr,
    pub(super) database_url: String,
    pub(super) nats_url: String,
}

impl Places {
    fn base_url(&self) -> String {
        format!("http://{}{BASE}", self.address)
    }

    fn metrics_url(&self) -> String {
        format!("http://{}/metrics", self.metrics_address)
    }
}

#[expect(clippy::print_stdout, reason = "a command's result goes to standard output")]
pub(super) fn print(places: &Places, credentials: &DemoCredentials, env_file: &Path) {
    let base_url = places.base_url();
    println!(
        "
  Unificus is running. Ctrl-C stops it; its data stays.

  Base URL            {base_url}
  Public ID           {id}
  Secret Key          {secret}
  Live documentation  {base_url}/swagger
  Metrics             {metrics}
  NATS                {nats}
  PostgreSQL          {database}
  Passwords           {env_file}

  Create a contact:

curl -sS {base_url}/contact \\
  -H 'X-Public-ID: {id}' -H 'X-Secret-Key: {secret}' \\
  -d '{{\"role\":\"Lead\",\"first_name\":\"John\",\"last_name\":\"Doe\",\"email\":\"john.doe@email.com\"}}'
",
        id = credentials.public_id,
        secret = credentials.secret_key,
        metrics = places.metrics_url(),
        nats = without_password(&places.nats_url),
        database = without_password(&places.database_url),
        env_file = env_file.display(),
    );
}

/// Writes shell lines to a file that only its owner may read. It appears whole, once everything accepts.
pub(super) fn write_env_file(file: &Path, places: &Places, credentials: &DemoCredentials) -> anyhow::Result<()> {
    let mut text = String::new();
    for (name, value) in [
        ("BASE_URL", places.base_url()),
        ("PUBLIC_ID", credentials.public_id.to_string()),
        ("SECRET_KEY", credentials.secret_key.clone()),
        ("METRICS_URL", places.metrics_url()),
        ("NATS_URL", places.nats_url.clone()),
        ("DATABASE_URL", places.database_url.clone()),
    ] {
        writeln!(text, "UNIFICUS_{name}={value}")?;
    }
    private::write(file, &text)
}
