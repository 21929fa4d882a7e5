//! The limit of Postgres: pgbench writes and reads single rows like the service's, on the same server, in a schema of its
//! own in the service's database, because the service's role may create no database.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;
use tokio::time::timeout;
use tokio_postgres::Client;
use url::Url;

use crate::database::connect;

const SCHEMA: &str = "unificus_limit";
pub(crate) const CLIENTS: u32 = 64;

/// The minimal columns of an event log. `json` as in the service's own table, which is cheaper than `jsonb`.
const TABLE: &str = "CREATE TABLE event (account_id uuid NOT NULL, seq bigint NOT NULL, body json NOT NULL, \
                     PRIMARY KEY (account_id, seq)); CREATE SEQUENCE seq CACHE 32;";
/// Inserts for one of a hundred accounts; the body is sent with every row, as by a service.
const SCRIPT: &str = "\\set account random(1, 100)\n\
                      INSERT INTO event (account_id, seq, body) \
                      VALUES (lpad((:account)::int::text, 32, '0')::uuid, nextval('seq'), (:body)::text::json);\n";
/// The columns of the service's contact table that a read needs.
const CONTACTS: &str = "CREATE TABLE contact (account_id uuid NOT NULL, uid uuid NOT NULL, version bigint NOT NULL, \
                        deleted boolean NOT NULL, record text NOT NULL, PRIMARY KEY (account_id, uid)) \
                        WITH (toast_tuple_target = 8160);";
const FILL_CONTACTS: &str = "INSERT INTO contact SELECT lpad((n % $1)::text, 32, '0')::uuid, \
                             lpad(n::text, 32, '0')::uuid, 1, false, $3 FROM generate_series(1, $2) AS n";
/// Reads a random row by both parts of its key.
const SELECT: &str = "\\set n random(1, :contacts)\n\
                      SELECT uid, version, deleted, record FROM contact \
                      WHERE account_id = lpad(((:n)::int % (:accounts)::int)::text, 32, '0')::uuid \
                      AND uid = lpad((:n)::int::text, 32, '0')::uuid;\n";
/// 500 bytes.
const BODY: &str = r#"{"role":"Lead","first_name":"Wilhelmina","last_name":"Vandenberg","email":"w.0123456789ab.0123456789@load.example","title":"Head of procurement","phone":"+31 20 555 01 23","work_phone":"+31 20 555 01 24","website":"https://www.example.com/people/vandenberg","background_info":"Met at the fair in Utrecht, asked for the new catalogue.","tags":["newsletter","north","trade fair"],"address":{"address_line_1":"Keizersgracht 123","city":"Amsterdam","country":"Netherlands","zip":"1015 CJ"}}"#;

pub(crate) struct Pgbench {
    program: PathBuf,
    admin: Client,
    url: String,
}

impl Pgbench {
    /// Creates the schema and its table beside the service's.
    pub(crate) async fn new(database_url: &str) -> Result<Self> {
        let program = program().context("pgbench not found; install the package postgresql")?;
        let admin = connect(database_url).await?;
        admin.batch_execute(&drop_schema()).await.context("dropping a former unificus_limit")?;
        admin.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await.context("creating unificus_limit")?;
        let mut url = Url::parse(database_url).context("reading the database's URL")?;
        url.query_pairs_mut().append_pair("options", &format!("-csearch_path={SCHEMA}"));
        let bench = Self { program, admin, url: url.into() };
        let made = connect(&bench.url).await?.batch_execute(TABLE).await;
        made.context("creating the table in unificus_limit")?;
        Ok(bench)
    }

    /// Inserts per second of 64 clients over `length`.
    pub(crate) async fn per_second(&self, length: Duration) -> Result<f64> {
        self.run(SCRIPT, &[("body", BODY)], length).await
    }

    /// Inserts this many contacts in this many accounts, each with this record.
    pub(crate) async fn fill(&self, accounts: u32, contacts: u32, record: &str) -> Result<()> {
        let client = connect(&self.url).await?;
        client.batch_execute(CONTACTS).await.context("creating contacts in unificus_limit")?;
        let (accounts, contacts) = (i32::try_from(accounts)?, i32::try_from(contacts)?);
        let filled = client.execute(FILL_CONTACTS, &[&accounts, &contacts, &record]).await;
        filled.context("filling contacts in unificus_limit")?;
        client.batch_execute("VACUUM ANALYZE contact").await.context("vacuuming unificus_limit")
    }

    /// Reads of a contact by its key per second, by 64 clients over `length`.
    pub(crate) async fn selects_per_second(&self, accounts: u32, contacts: u32, length: Duration) -> Result<f64> {
        let numbers = [("accounts", accounts.to_string()), ("contacts", contacts.to_string())];
        self.run(SELECT, &numbers.each_ref().map(|(name, number)| (*name, number.as_str())), length).await
    }

    async fn run(&self, text: &str, variables: &[(&str, &str)], length: Duration) -> Result<f64> {
        let script = std::env::temp_dir().join(format!("unificus-load-{}.sql", std::process::id()));
        std::fs::write(&script, text).context("writing pgbench's script")?;
        let mut command = self.command(&script, length);
        command.args(variables.iter().map(|(name, value)| format!("--define={name}={value}"))).arg(&self.url);
        let ended = timeout(length + Duration::from_mins(1), command.output()).await;
        drop(std::fs::remove_file(&script));
        let output = ended.context("pgbench timed out")?.context("running pgbench")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench ended with {}: {}", output.status, stderr.trim());
        parse(&String::from_utf8_lossy(&output.stdout)).context("pgbench printed no tps")
    }

    fn command(&self, script: &std::path::Path, length: Duration) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", &format!("--client={CLIENTS}")])
            .arg(format!("--time={}", length.as_secs().max(1)))
            .arg("--file")
            .arg(script)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Removes the schema.
    pub(crate) async fn finish(self) -> Result<()> {
        self.admin.batch_execute(&drop_schema()).await.context("dropping unificus_limit")
    }
}

fn drop_schema() -> String {
    format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
}

/// The newest version of Debian's packages, otherwise the one on the PATH.
fn program() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin/pgbench"))))
        .filter(|(_, program)| program.is_file())
        .max();
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|dir| dir.join("pgbench")).find(|program| program.is_file())
    };
    newest.map(|(_, program)| program).or_else(on_path)
}

/// Reads `tps = 11234.567890 (without initial connection time)`.
fn parse(printed: &str) -> Option<f64> {
    printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok())
}
