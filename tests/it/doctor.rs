//! `unificus doctor`: all is well with a good deployment, and each planted fault is named with its remedy.

use std::process::Output;

use serde_json::Value;
use unificus::clock::Clock;
use unificus::config::{Config, MasterKey};
use unificus::dev::services::Services;
use unificus::doctor::{self, Diagnosis, Level};

use crate::push_delivery::endpoint_at;
use crate::support::program::unificus;
use crate::support::servers::{LEAST_ROLE, Servers, TestEnv, binaries, directory};
use crate::support::service::{account, account_on};
use crate::support::{Receiver, Service, until};

/// A deployment as it should be: a service has run, and its configuration is the one of production.
async fn good() -> (Service, Config) {
    let service = Service::configured(|config| config.quota.enforced = true).await;
    let mut config = service.env.config();
    config.quota.enforced = true;
    until("the stream is made", async || !has(&examine(&config).await, "nats.stream", Level::Warning)).await;
    (service, config)
}

async fn examine(config: &Config) -> Vec<Diagnosis> {
    Box::pin(doctor::examine(config, &Clock::system(), &[])).await.unwrap()
}

fn has(findings: &[Diagnosis], check: &str, level: Level) -> bool {
    findings.iter().any(|finding| finding.check == check && finding.level == level)
}

/// The one finding that is not well.
#[track_caller]
fn only(findings: &[Diagnosis]) -> &Diagnosis {
    let unwell: Vec<&Diagnosis> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
    assert_eq!(unwell.len(), 1, "{unwell:#?}");
    let finding = unwell[0];
    assert!(finding.remedy.as_ref().is_some_and(|remedy| remedy.len() > 5), "{finding:?}");
    finding
}

/// Asserts that exactly this is not well, and that its message has these words.
#[track_caller]
fn assert_only(findings: &[Diagnosis], check: &str, level: Level, words: &str) {
    let finding = only(findings);
    assert_eq!((finding.check, finding.level), (check, level), "{finding:?}");
    assert!(finding.message.contains(words), "{finding:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_deployment_is_well_beside_the_running_service() {
    let (_service, config) = good().await;
    let findings = examine(&config).await;
    let unwell: Vec<&Diagnosis> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
    assert!(unwell.is_empty(), "{unwell:#?}");
    let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
    for check in
        ["database.version", "database.rights", "secrets.master_keys", "nats.stream", "nats.callout", "ports", "files"]
    {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_postgres_are_named() {
    let (service, good) = good().await;
    let env = &service.env;
    let superuser = env.superuser().await;

    let mut config = good.clone();
    config.database.url = config.database.url.replacen("://", "://nobody_", 1);
    let findings = examine(&config).await;
    assert!(has(&findings, "database.reached", Level::Error), "{findings:#?}");
    assert!(!findings.iter().any(|finding| finding.check == "database.version"), "{findings:#?}");

    let message = &findings[0].message;
    assert!(message.contains("28P01 password authentication failed"), "{message}");

    let mut nowhere = url::Url::parse(&good.database.url).unwrap();
    nowhere.set_port(Some(1)).unwrap();
    config.database.url = nowhere.to_string();
    let findings = examine(&config).await;
    let cause = "the database cannot be reached: error connecting to server: Connection refused";
    assert!(findings[0].message.contains(cause), "{findings:#?}");

    config.database.url.clone_from(&env.superuser);
    // The superuser also sees the disk of this machine, which may be full.
    let findings = examine(&config).await.into_iter().filter(|finding| finding.check != "database.disk");
    assert_only(&findings.collect::<Vec<_>>(), "database.role", Level::Warning, "superuser");

    let database = env.database.rsplit_once('/').unwrap().1;
    for (setting, value, level) in
        [("synchronous_commit", "off", Level::Error), ("default_transaction_isolation", "serializable", Level::Error)]
    {
        superuser.batch_execute(&format!("alter database {database} set {setting} = '{value}'")).await.unwrap();
        assert_only(&examine(&good).await, "database.settings", level, setting);
        superuser.batch_execute(&format!("alter database {database} reset {setting}")).await.unwrap();
    }

    superuser.batch_execute(&format!("revoke delete on contact from {LEAST_ROLE}")).await.unwrap();
    let findings = examine(&good).await;
    assert_only(&findings, "database.rights", Level::Error, "lacks the rights delete on contact");
    let remedy = only(&findings).remedy.as_ref().unwrap();
    assert!(remedy.ends_with(&format!("`grant delete on contact to {LEAST_ROLE}`")), "{remedy}");
    superuser.batch_execute(&format!("grant delete on contact to {LEAST_ROLE}")).await.unwrap();

    let drops = "execute on function push_attempt_drop_day(text)";
    superuser.batch_execute(&format!("revoke {drops} from {LEAST_ROLE}")).await.unwrap();
    assert_only(&examine(&good).await, "database.rights", Level::Error, "may not make partitions");
    superuser.batch_execute(&format!("grant {drops} to {LEAST_ROLE}")).await.unwrap();

    let mut config = good.clone();
    config.database.pool = 200;
    assert_only(&examine(&config).await, "database.connections", Level::Warning, "connections");

    let mut config = good.clone();
    config.database.read_url.clone_from(&env.database);
    assert_only(&examine(&config).await, "database.standby", Level::Warning, "no standby");

    let clock = Clock::system_that_is_wrong_by(time::Duration::minutes(-5));
    let findings = Box::pin(doctor::examine(&good, &clock, &[])).await.unwrap();
    assert_only(&findings, "database.clock", Level::Warning, "-300.0 s");

    superuser.batch_execute(&format!("grant pg_read_all_settings to {LEAST_ROLE}")).await.unwrap();
    let findings = examine(&good).await;
    superuser.batch_execute(&format!("revoke pg_read_all_settings from {LEAST_ROLE}")).await.unwrap();
    let disk = findings.iter().find(|finding| finding.check == "database.disk").unwrap();
    assert!(disk.message.contains(" are free at "), "{disk:?}");

    let empty = env.create_empty("doctor").await;
    let mut config = good.clone();
    config.database.url.clone_from(&empty.database);
    let findings = examine(&config).await;
    let schema = findings.iter().find(|finding| finding.check == "database.schema").unwrap();
    assert_eq!(schema.level, Level::Error);
    assert_eq!(schema.remedy.as_deref(), Some("run `unificus migrate`"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_that_an_installation_takes_away_are_not_missed() {
    let (service, good) = good().await;
    let superuser = service.env.superuser().await;
    let script = include_str!("../../deploy/postgres/rights.sql");
    let statements = script.lines().filter(|line| line.starts_with("revoke "));
    let statements: Vec<String> = statements.map(|line| line.replace(":\"service\"", LEAST_ROLE)).collect();
    assert!(statements.len() >= 3, "{statements:?}");
    superuser.batch_execute(&statements.concat()).await.unwrap();
    let findings = examine(&good).await;
    let unwell: Vec<&Diagnosis> = findings.iter().filter(|finding| finding.level != Level::Ok).collect();
    assert!(unwell.is_empty(), "{unwell:#?}");

    superuser.batch_execute(&format!("revoke insert on audit from {LEAST_ROLE}")).await.unwrap();
    assert_only(&examine(&good).await, "database.rights", Level::Error, "lacks the rights insert on audit");
}

/// A server whose command of the archive fails, and later works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_that_takes_nothing_is_an_error_until_it_works() {
    let dir = directory("doctor-archive");
    let mut services = Services::start(&dir, &binaries()).await.unwrap();
    let settings = dir.join("postgres/postgresql.auto.conf");
    let before = std::fs::read_to_string(&settings).unwrap_or_default();
    std::fs::write(&settings, format!("{before}\narchive_mode = on\narchive_command = 'false'\n")).unwrap();
    services.postgres.restart().await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let config = env.config();
    let superuser = env.superuser().await;
    let write = "create table written (); drop table written; select pg_switch_wal()";
    superuser.batch_execute(write).await.unwrap();
    until("the doctor names the archive", async || has(&examine(&config).await, "database.archive", Level::Error))
        .await;
    superuser.batch_execute("alter system set archive_command = 'true'").await.unwrap();
    superuser.batch_execute("select pg_reload_conf()").await.unwrap();
    until("the archive is well", async || has(&examine(&config).await, "database.archive", Level::Ok)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_nats_are_named() {
    let (service, good) = good().await;

    let mut config = good.clone();
    config.nats.url = "nats://127.0.0.1:1".to_owned();
    assert_only(&examine(&config).await, "nats.reached", Level::Error, "no event is published");
    config.nats.url = "nats://u:secret@127.0.0.1:1,nats://127.0.0.1:2".to_owned();
    let shown = "nats://u:***@127.0.0.1:1,nats://127.0.0.1:2: ";
    let findings = examine(&config).await;
    assert_only(&findings, "nats.reached", Level::Error, shown);
    assert_only(&findings, "nats.reached", Level::Error, "Connection refused");

    let mut config = good.clone();
    config.nats.stream = "MISSING".to_owned();
    assert_only(&examine(&config).await, "nats.stream", Level::Warning, "no stream MISSING");

    let mut config = good.clone();
    config.nats.max_age_s = 60;
    assert_only(&examine(&config).await, "nats.stream", Level::Warning, "and not for 60");

    let mut config = good.clone();
    config.nats.replicas = 3;
    assert_only(&examine(&config).await, "nats.stream", Level::Warning, "has 1 copies");

    let mut config = good.clone();
    config.nats.subject_root = "other.v1".to_owned();
    assert_only(&examine(&config).await, "nats.stream", Level::Error, "other.v1.*.evt.>");

    let mut config = good.clone();
    config.nats.issuer_seed = nkeys_seed();
    // The service's own account.
    config.nats.clients_account = "CRM".to_owned();
    let findings = examine(&config).await;
    let callout = findings.iter().find(|finding| finding.check == "nats.callout").unwrap();
    assert!(callout.level == Level::Error && callout.message.contains("clients cannot log in"), "{callout:?}");
    assert!(has(&findings, "nats.system", Level::Warning), "{findings:#?}");

    config.nats.system_url.clone_from(&config.nats.url);
    let findings = examine(&config).await;
    let system = findings.iter().find(|finding| finding.check == "nats.system").unwrap();
    assert!(system.level == Level::Error && system.message.contains("no responders"), "{system:?}");

    let jetstream = async_nats::jetstream::new(service.env.nats().await);
    let mut stream = jetstream.get_stream(&service.env.stream).await.unwrap().get_info().await.unwrap().config;
    stream.max_messages = 1_000;
    jetstream.update_stream(stream).await.unwrap();
    assert_only(&examine(&good).await, "nats.stream", Level::Error, "largest number of messages");
}

fn nkeys_seed() -> unificus::config::IssuerSeed {
    let (_, seed) = unificus::broker::Issuer::generate();
    serde_json::from_value(Value::String(seed)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_of_the_configuration_are_named() {
    let (service, good) = good().await;
    let receiver = Receiver::start().await;

    let mut config = good.clone();
    config.secrets.master_keys.clear();
    assert_only(&examine(&config).await, "secrets.master_keys", Level::Error, "no master key");

    endpoint_at(&service.client, &receiver.url(), serde_json::json!({})).await;
    config.secrets.master_keys = vec![MasterKey([7; 32])];
    assert_only(&examine(&config).await, "secrets.master_keys", Level::Error, "no master key opens 1 of 1");
    config.secrets.master_keys.extend(good.secrets.master_keys.clone());
    assert_only(&examine(&config).await, "secrets.master_keys", Level::Warning, "older master key");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = good.clone();
    config.http.listen = taken.local_addr().unwrap();
    assert_only(&examine(&config).await, "ports", Level::Error, "another program listens there");
    config.http.listen = "192.0.2.1:8080".parse().unwrap();
    assert_only(&examine(&config).await, "ports", Level::Error, "no such address");
    config.http.listen = service.app.address();
    config.metrics.listen = service.app.metrics_address();
    let findings = examine(&config).await;
    assert!(has(&findings, "ports", Level::Ok), "a running replica is no fault: {findings:#?}");
    config.http.max_connections = 100_000_000;
    assert_only(&examine(&config).await, "files", Level::Warning, "the replica may open");

    let mut config = good.clone();
    config.http.max_connections = 100_000_000;
    assert_only(&examine(&config).await, "files", Level::Warning, "this process may open");

    let directories = ["/".into(), "/missing".into()];
    let findings = Box::pin(doctor::examine(&good, &Clock::system(), &directories)).await.unwrap();
    let disks: Vec<&Diagnosis> = findings.iter().filter(|finding| finding.check == "disk").collect();
    assert!(disks[0].message.contains(" are free at /"), "{disks:?}");
    assert!(disks[1].level == Level::Warning && disks[1].message.contains("/missing"), "{disks:?}");

    account_on(&service.store, "thrive").await;
    let mut config = good.clone();
    let tiers = r#"{"pinnacle": {"title": "Pinnacle", "calls_per_month": 20000}}"#;
    config.quota.tiers = serde_json::from_str(tiers).unwrap();
    assert_only(&examine(&config).await, "quota.tiers", Level::Error, "thrive");
}

/// A JetStream that is switched off, on servers of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_that_is_away_is_an_error_of_the_program() {
    let services = Services::start(&directory("doctor"), &binaries()).await.unwrap();
    let env = Servers::of(&services).await.env().await;
    let service = Service::in_env(env.clone(), Clock::system(), |config| config.quota.enforced = true).await;
    let settings = settings(&env);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    until("the doctor says that all is well", async || {
        let output = unificus("doctor", &settings).await;
        output.status.code() == Some(0) && String::from_utf8_lossy(&output.stdout).ends_with("All is well.\n")
    })
    .await;
    account(&service.store).await;
    drop(services.nats);
    for gauge in ["unificus_nats_connected", "unificus_jetstream_up"] {
        until(gauge, async || service.gauge(gauge).await.abs() < f64::EPSILON).await;
    }

    let output = unificus("doctor --json", &settings).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = json_lines(&output);
    let (totals, findings) = lines.split_last().unwrap();
    assert_eq!(*totals, serde_json::json!({"errors": 1, "warnings": 0}));
    let reached = findings.iter().find(|finding| finding["check"] == "nats.reached").unwrap();
    assert_eq!(reached["level"], "error");
    assert!(reached["remedy"].as_str().unwrap().contains("nats.url"), "{reached}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let password = env.database.split_once("://").unwrap().1.split('@').next().unwrap().rsplit(':').next().unwrap();
    assert!(!text.contains(password), "a password is shown: {text}");
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn settings(env: &TestEnv) -> Vec<(&'static str, String)> {
    let masters: Vec<String> = env.config().secrets.master_keys.into_iter().map(String::from).collect();
    let mut settings: Vec<_> = env.settings().into_iter().map(|(name, value)| (name, value.to_owned())).collect();
    settings.push(("UNIFICUS_SECRETS__MASTER_KEYS", format!("{masters:?}")));
    settings
}
