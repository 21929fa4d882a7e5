//! PostgreSQL: reached, recent, migrated, with the settings and rights that the service needs.

use std::path::Path;

use super::diagnosis::Findings;
use super::machine;
use crate::clock::Clock;
use crate::config::{Config, without_password};
use crate::store::diagnosis::{ServerDiagnosis, connections_of};
use crate::store::migrate::SchemaError;
use crate::store::{Store, StoreError};

/// The oldest version that the service is tested with.
const OLDEST_VERSION: i32 = 150_000;

const EXTENSIONS: &[&str] = &["btree_gin", "pg_trgm"];

/// Settings without which a response does not mean that the write is stored, and the values that they must not have.
const DURABILITY: &[(&str, &[&str], &str)] = &[
    ("fsync", &["off"], "a crash of the machine can destroy the database"),
    ("full_page_writes", &["off"], "a crash of the machine can destroy the database"),
    ("synchronous_commit", &["off"], "a crash loses writes that got a response"),
];

/// The isolation that the service's transactions are written for.
const ISOLATION: &str = "read committed";

/// `shared_buffers` is counted in pages of 8 KiB. This is PostgreSQL's default, 128 MiB.
const DEFAULT_BUFFERS: i64 = 16_384;

/// A transaction that is older than this keeps vacuums from removing dead rows.
const OLD_TRANSACTION_S: f64 = 3_600.0;

/// The lag of a standby beyond which its lists are noticeably old.
const STANDBY_LAG_S: f64 = 60.0;

/// Examines the primary and the standby. Returns whether the schema is the build's own or a newer one that it can use.
pub(super) async fn examine(config: &Config, store: &Store, clock: &Clock, findings: &mut Findings) -> bool {
    let names = ["autovacuum", "default_transaction_isolation", "max_connections", "superuser_reserved_connections"];
    let mut names = names.to_vec();
    names.extend(DURABILITY.iter().map(|(name, ..)| *name));
    names.push("shared_buffers");
    let server = match store.diagnose(&names, EXTENSIONS).await {
        Ok(server) => server,
        Err(error) => {
            findings.error(
                "database.reached",
                format!("PostgreSQL cannot be used at {}: {}", without_password(&config.database.url), error.report()),
                "start PostgreSQL, let the role in by pg_hba.conf, or correct the address, role, password and database in \
                 database.url; the service connects without TLS, so sslmode=require cannot work",
            );
            return false;
        }
    };
    findings.ok("database.reached", format!("connected to {}", without_password(&config.database.url)));
    version(&server, findings);
    settings(&server, findings);
    role(&server, findings);
    space(config, &server, findings);
    archive(&server, findings);
    let has_schema = schema(store, findings).await;
    if has_schema {
        rights(store, &server.role, findings).await;
        connections(config, store, &server, findings).await;
    }
    skew(store, clock, findings).await;
    standby(config, store, findings).await;
    has_schema
}

fn version(server: &ServerDiagnosis, findings: &mut Findings) {
    let version = &server.version;
    if server.version_number < OLDEST_VERSION {
        findings.error("database.version", format!("PostgreSQL has version {version}"), "upgrade it to 15 or newer");
    } else {
        findings.ok("database.version", format!("PostgreSQL {version}"));
    }
    if server.missing_extensions.is_empty() {
        findings.ok("database.extensions", format!("{} are there", EXTENSIONS.join(" and ")));
    } else {
        findings.error(
            "database.extensions",
            format!("the server has no extension {}", server.missing_extensions.join(", ")),
            "install PostgreSQL's contrib package on the server",
        );
    }
}

fn settings(server: &ServerDiagnosis, findings: &mut Findings) {
    let set = |name: &str| server.settings.get(name).map_or("", String::as_str);
    for (name, wrong, effect) in DURABILITY {
        if wrong.contains(&set(name)) {
            findings.error(
                "database.settings",
                format!("{name} is {}: {effect}", set(name)),
                format!(
                    "set {name} = on in postgresql.conf, and look for `alter role` or `alter database` that set it"
                ),
            );
        }
    }
    let isolation = set("default_transaction_isolation");
    if isolation != ISOLATION {
        findings.error(
            "database.settings",
            format!("default_transaction_isolation is {isolation}: concurrent writes of one account fail"),
            format!("set default_transaction_isolation = '{ISOLATION}' for the database and the role"),
        );
    }
    if server.encoding != "UTF8" {
        findings.error(
            "database.settings",
            format!("the database has the encoding {}: texts are refused", server.encoding),
            "create the database again with `encoding 'UTF8' template template0`",
        );
    }
    if set("autovacuum") != "on" {
        findings.warning(
            "database.settings",
            "autovacuum is off: small tables that every write updates grow without end",
            "set autovacuum = on in postgresql.conf",
        );
    }
    if set("shared_buffers").parse().is_ok_and(|pages: i64| pages <= DEFAULT_BUFFERS) {
        findings.warning(
            "database.settings",
            "shared_buffers is 128 MB or less: pages that every write changes are written again and again",
            "set shared_buffers to a quarter of the machine's memory, and restart PostgreSQL",
        );
    }
    findings.ok_unless_reported("database.settings", "durable, read committed, UTF8, autovacuum");
    match server.oldest_transaction_s {
        Some(age) if age > OLD_TRANSACTION_S => findings.warning(
            "database.transactions",
            format!("a transaction has been open for {} minutes: dead rows are kept since then", minutes(age)),
            "end it: `select pid, xact_start, query from pg_stat_activity order by xact_start`, then \
             `select pg_terminate_backend(pid)`",
        ),
        Some(_) | None => findings.ok("database.transactions", "no transaction that is seen is old"),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the age of a transaction in minutes is far below 2^63")]
fn minutes(seconds: f64) -> i64 {
    (seconds / 60.0) as i64
}

fn role(server: &ServerDiagnosis, findings: &mut Findings) {
    let ServerDiagnosis { role, surplus_rights, .. } = server;
    if surplus_rights.is_empty() {
        findings.ok("database.role", format!("the role {role} has no rights beyond its database"));
    } else {
        findings.warning(
            "database.role",
            format!(
                "the role {role} is {}: an error of the service could change other databases",
                surplus_rights.join(", ")
            ),
            format!("take it away: `alter role {role} nosuperuser nocreaterole nocreatedb noreplication nobypassrls`"),
        );
    }
}

async fn schema(store: &Store, findings: &mut Findings) -> bool {
    let check = "database.schema";
    match store.check_schema().await {
        Ok(()) => {
            findings.ok(check, "the schema has all that this build uses");
            return true;
        }
        Err(error @ SchemaError::Behind(_)) => findings.error(check, error.to_string(), "run `unificus migrate`"),
        Err(error @ SchemaError::Contracted(_)) => findings.error(check, error.to_string(), "run a newer build"),
        Err(error) => findings.error(check, chain(error), "let the role read refinery_schema_history"),
    }
    false
}

fn chain(error: impl Into<anyhow::Error>) -> String {
    format!("{:#}", error.into())
}

async fn rights(store: &Store, role: &str, findings: &mut Findings) {
    let check = "database.rights";
    match store.missing_rights().await {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let rights: Vec<_> = missing.iter().map(|on| format!("{} on {}", on.rights, on.table)).collect();
            let grants: Vec<_> = rights.iter().map(|rights| format!("grant {rights} to {role}")).collect();
            findings.error(
                check,
                format!("the role {role} lacks the rights {}", rights.join("; ")),
                format!("as the owner: `{}`", grants.join("; ")),
            );
        }
        Err(error) => unreadable(check, &error, findings),
    }
    match store.may_change_partitions().await {
        Ok(true) => {}
        Ok(false) => findings.error(
            check,
            format!("the role {role} may not make partitions of the attempt log: attempts are lost from tomorrow on"),
            "as a superuser: run deploy/postgres/roles.sql again, which makes functions for that",
        ),
        Err(error) => unreadable(check, &error, findings),
    }
    findings.ok_unless_reported(check, "the role may do all that the service does, with every table");
}

async fn connections(config: &Config, store: &Store, server: &ServerDiagnosis, findings: &mut Findings) {
    let check = "database.connections";
    let replicas = match store.living_replicas().await {
        Ok(replicas) => replicas,
        Err(error) => return unreadable(check, &error, findings),
    };
    let number = |name: &str| server.settings.get(name).and_then(|set| set.parse::<i64>().ok()).unwrap_or(0);
    let free = number("max_connections") - number("superuser_reserved_connections");
    let each = i64::try_from(connections_of(config)).unwrap_or(i64::MAX);
    // One more than there are: an upgrade starts a replica before it stops one.
    let wanted = each.saturating_mul(replicas.max(1) + 1);
    if wanted > free {
        findings.warning(
            check,
            format!(
                "a replica opens up to {each} connections; {} replicas need {wanted}, and the server has {free}",
                replicas.max(1) + 1
            ),
            "raise max_connections in postgresql.conf, or lower database.pool",
        );
    } else {
        let used = server.connections;
        findings.ok(check, format!("{used} of {free} are open; a replica opens up to {each}"));
    }
}

async fn skew(store: &Store, clock: &Clock, findings: &mut Findings) {
    let check = "database.clock";
    if let Err(error) = store.set_clock(clock).await {
        return unreadable(check, &error, findings);
    }
    let ahead = clock.system_ahead();
    if ahead.abs() > time::Duration::SECOND {
        findings.warning(
            check,
            format!("this machine's clock is {:+.1} s away from the database's", ahead.as_seconds_f64()),
            "synchronise the clocks of both machines (chrony or systemd-timesyncd); stored times follow the database's",
        );
    } else {
        findings.ok(check, "this machine's clock agrees with the database's");
    }
}

fn space(config: &Config, server: &ServerDiagnosis, findings: &mut Findings) {
    let check = "database.disk";
    let size = machine::size(u64::try_from(server.bytes).unwrap_or(0));
    match server.directory.as_deref().filter(|_| machine::is_here(&config.database.url)) {
        Some(directory) => machine::space(check, Path::new(directory), &format!("the database has {size}; "), findings),
        None => findings.ok(check, format!("the database has {size}; the free space of its disk is not known here")),
    }
}

fn archive(server: &ServerDiagnosis, findings: &mut Findings) {
    let check = "database.archive";
    match &server.unarchived {
        Some(file) => findings.error(
            check,
            format!(
                "PostgreSQL could not archive {file} of its write-ahead log: its disk fills, and no backup can be \
                 restored beyond that"
            ),
            "look at PostgreSQL's log, then at the space and the rights of the archive's directory",
        ),
        None if server.is_archiving => findings.ok(check, "the write-ahead log is archived"),
        None => findings.ok(check, "archive_mode is off: backups alone can be restored"),
    }
}

async fn standby(config: &Config, store: &Store, findings: &mut Findings) {
    let check = "database.standby";
    if config.database.read_url.is_empty() {
        return;
    }
    match store.diagnose_standby().await {
        Err(error) => findings.error(
            check,
            format!("the server of database.read_url cannot be used, so lists fail: {}", error.report()),
            "start the standby, or empty database.read_url",
        ),
        Ok(standby) if !standby.is_standby => findings.warning(
            check,
            "the server of database.read_url is no standby",
            "let it follow the primary, or empty database.read_url",
        ),
        Ok(standby) if standby.lag_s.is_none_or(|lag| lag > STANDBY_LAG_S) => findings.warning(
            check,
            "the standby is more than a minute behind: lists are old",
            "look at pg_stat_wal_receiver on the standby, and pg_stat_replication on the primary",
        ),
        Ok(_) => findings.ok(check, "the standby follows the primary"),
    }
}

fn unreadable(check: &'static str, error: &StoreError, findings: &mut Findings) {
    findings.error(
        check,
        format!("it cannot be checked: {}", error.report()),
        "mend the errors above, then run this again",
    );
}
