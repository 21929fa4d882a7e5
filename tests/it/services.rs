//! The private Postgres and NATS of `unificus dev` and of these tests.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use unificus::config::Config;
use unificus::dev::services::{SERVICE_ROLE, Services};
use unificus::metrics::Metrics;
use unificus::store::Store;

use crate::support::servers::{binaries, connect_to_nats, directory};

/// A data directory, removed at the end of the test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        Self(directory(name))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

async fn start(dir: &Dir) -> anyhow::Result<Services> {
    Services::start(&dir.0, &binaries()).await
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn rows(client: &Client) -> i64 {
    client.query_one("select count(*) from kept", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn data_and_ports_outlive_a_stop_and_a_kill() {
    let dir = Dir::new("outlive");
    let mut services = start(&dir).await.unwrap();
    services.postgres.ensure_database("kept").await.unwrap();
    let urls = (services.postgres.url_of("kept"), services.nats.url());
    let client = connect(&urls.0).await.unwrap();
    client.batch_execute("create table kept (); insert into kept default values").await.unwrap();

    services.postgres.kill().await.unwrap();
    services.nats.kill().await.unwrap();
    assert_eq!((services.postgres.pid(), services.nats.pid()), (None, None));
    services.postgres.restart().await.unwrap();
    services.nats.restart().await.unwrap();
    assert_eq!(rows(&connect(&urls.0).await.unwrap()).await, 1);

    services.stop().await.unwrap();
    let services = start(&dir).await.unwrap();
    assert_eq!((services.postgres.url_of("kept"), services.nats.url()), urls);
    assert_eq!(rows(&connect(&urls.0).await.unwrap()).await, 1);
    services.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let dir = Dir::new("dies");
    let mut services = start(&dir).await.unwrap();
    let url = services.postgres.superuser_url();
    let (postgres, nats) = (services.postgres.pid().unwrap(), services.nats.pid().unwrap());
    let client = connect(&url).await.unwrap();
    for pid in [postgres, nats] {
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    let recovered = async {
        while !client.is_closed() {
            tokio::task::yield_now().await;
        }
        while connect(&url).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = services.supervise() => unreachable!("supervision ends with its caller"),
        () = recovered => {}
    }
    assert_ne!(services.postgres.pid(), Some(postgres));
    services.stop().await.unwrap();
}

#[tokio::test]
async fn two_never_run_on_one_directory() {
    let dir = Dir::new("two");
    let services = start(&dir).await.unwrap();
    let refused = start(&dir).await.err().unwrap();
    assert!(format!("{refused:#}").contains("another process already runs"), "{refused:#}");
    services.stop().await.unwrap();
}

#[tokio::test]
async fn a_half_made_cluster_and_a_foreign_pid_are_no_obstacle() {
    let dir = Dir::new("obstacle");
    std::fs::create_dir_all(dir.0.join("postgres.new/base")).unwrap();
    start(&dir).await.unwrap().stop().await.unwrap();
    // This very process, which is alive and not Postgres.
    std::fs::write(dir.0.join("postgres/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    start(&dir).await.unwrap().stop().await.unwrap();
}

#[test]
fn the_services_may_be_moved_to_any_thread() {
    fn sent<T: Send>(_: T) {}
    let dir = Dir::new("thread");
    let binaries = binaries();
    sent(async {
        let mut services = Services::start(&dir.0, &binaries).await.unwrap();
        services.supervise().await;
        services.postgres.restart().await.unwrap();
        services.nats.wait_exit().await;
        services.stop().await.unwrap();
    });
}

fn password(url: &str) -> &str {
    url.split_once("://").unwrap().1.split_once('@').unwrap().0.split_once(':').unwrap().1
}

/// The error of a refused statement.
async fn refusal(client: &Client, statement: &str) -> SqlState {
    client.batch_execute(statement).await.expect_err(statement).code().unwrap().clone()
}

#[tokio::test]
async fn postgres_refuses_connections_without_the_password_and_the_services_role_is_no_superuser() {
    let dir = Dir::new("password");
    let services = start(&dir).await.unwrap();
    services.postgres.ensure_database("ours").await.unwrap();
    let (url, superuser) = (services.postgres.url_of("ours"), services.postgres.superuser_url());
    assert_ne!(password(&url), password(&superuser));
    for (url, role) in [(&url, SERVICE_ROLE), (&superuser, "postgres")] {
        let word = password(url);
        assert!(word.len() >= 32, "{word}");
        connect(&url.replace(&format!(":{word}@"), "@")).await.map(drop).expect_err("without a password");
        for other in ["wrong", role, password(&superuser).get(1..).unwrap()] {
            let refused = connect(&url.replace(word, other)).await.map(drop).expect_err("with a wrong password");
            assert_eq!(refused.code(), Some(&SqlState::INVALID_PASSWORD), "{role}");
        }
    }

    let client = connect(&url).await.unwrap();
    client
        .batch_execute("create table t (line text); create extension pg_trgm; create extension btree_gin")
        .await
        .unwrap();
    for statement in [
        "copy t from program 'id'",
        "copy t to program 'cat'",
        "copy t from '/etc/passwd'",
        "create extension file_fdw",
        "create role other superuser",
        "alter role unificus superuser",
        "create database other",
        "alter system set log_statement = 'all'",
        "select pg_read_file('/etc/passwd')",
        "set role postgres",
    ] {
        assert_eq!(refusal(&client, statement).await, SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    // The role may end its own sessions, as a replica does with those of a stopped one.
    let other = connect(&url).await.unwrap();
    let pid: i32 = other.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let ended: bool = client.query_one("select pg_terminate_backend($1, 5000)", &[&pid]).await.unwrap().get(0);
    assert!(ended);
    services.stop().await.unwrap();
}

#[tokio::test]
async fn nats_refuses_connections_without_the_password() {
    let dir = Dir::new("nats-password");
    let services = start(&dir).await.unwrap();
    let url = services.nats.url();
    let word = password(&url);
    let address = url.split_once('@').unwrap().1.to_owned();
    for url in [format!("nats://{address}"), format!("nats://{SERVICE_ROLE}:wrong@{address}")] {
        let refused = unificus::broker::connect_options(&url).connect(&url).await.map(drop).expect_err(&url);
        assert!(format!("{refused:?}").to_lowercase().contains("auth"), "{refused:?}");
    }
    connect_to_nats(&url).await.flush().await.unwrap();

    let arguments = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    for pid in [services.nats.pid(), services.postgres.pid()] {
        let arguments = arguments(pid.unwrap());
        for url in [&url, &services.postgres.superuser_url(), &services.postgres.url_of("postgres")] {
            assert!(!arguments.contains(password(url)), "arguments are shown to every user of the machine");
        }
    }
    assert!(word.len() >= 32, "{word}");
    services.stop().await.unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn logs_and_passwords_in_the_data_directory_are_for_their_owner_alone() {
    let dir = Dir::new("modes");
    std::fs::create_dir_all(&dir.0).unwrap();
    // As the previous version left them.
    std::fs::set_permissions(&dir.0, std::fs::Permissions::from_mode(0o711)).unwrap();
    for name in ["postgres.log", "nats.log", "nats.conf"] {
        std::fs::write(dir.0.join(name), "").unwrap();
        std::fs::set_permissions(dir.0.join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    start(&dir).await.unwrap().stop().await.unwrap();
    for name in ["postgres.log", "nats.log", "nats.conf", "credentials.toml", "postgres/pg_hba.conf"] {
        assert_eq!(mode(&dir.0.join(name)), 0o600, "{name}");
    }
    for name in ["postgres", "nats"] {
        assert_eq!(mode(&dir.0.join(name)), 0o700, "{name}");
    }
    let fresh = Dir::new("modes-fresh");
    start(&fresh).await.unwrap().stop().await.unwrap();
    assert_eq!(mode(&fresh.0) & 0o007, 0, "others may not even pass through");
}

#[tokio::test]
async fn lost_passwords_are_replaced_at_the_next_start() {
    let dir = Dir::new("lost");
    let services = start(&dir).await.unwrap();
    services.postgres.ensure_database("ours").await.unwrap();
    let before = services.postgres.url_of("ours");
    services.stop().await.unwrap();
    std::fs::remove_file(dir.0.join("credentials.toml")).unwrap();

    let services = start(&dir).await.unwrap();
    connect(&services.postgres.url_of("ours")).await.unwrap();
    assert!(connect(&before).await.is_err());
    services.stop().await.unwrap();
}

/// A directory of the previous version: every connection is trusted, and the superuser owns the service's database.
#[tokio::test]
async fn a_directory_that_trusted_everybody_is_taken_over() {
    let dir = Dir::new("takeover");
    let services = start(&dir).await.unwrap();
    let superuser = services.postgres.superuser_url();
    let sql = connect(&superuser).await.unwrap();
    sql.batch_execute("create database unificus").await.unwrap();
    let database = services.postgres.superuser_url_of("unificus");
    let mut config = Config::default();
    database.clone_into(&mut config.database.url);
    let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
    store.migrate().await.unwrap();
    let inside = connect(&database).await.unwrap();
    inside
        .batch_execute(
            "create function f() returns int language sql as 'select 1'; create sequence s; create view v as select 1;
             create table numbered (n bigint generated always as identity, t bigserial); create extension if not exists pg_trgm;
             insert into numbered default values; alter role postgres password null",
        )
        .await
        .unwrap();
    let jetstream = async_nats::jetstream::new(connect_to_nats(&services.nats.url()).await);
    let stream = |subject: &str| async_nats::jetstream::stream::Config {
        name: "KEPT".to_owned(),
        subjects: vec![subject.to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(stream("kept")).await.unwrap();
    jetstream.publish("kept", "one".into()).await.unwrap().await.unwrap();
    drop((store, inside, sql));
    services.stop().await.unwrap();
    std::fs::remove_file(dir.0.join("credentials.toml")).unwrap();
    let rules = dir.0.join("postgres/pg_hba.conf");
    std::fs::write(&rules, "local all all trust\nhost all all 127.0.0.1/32 trust\n").unwrap();

    for start_number in 0..2 {
        let services = start(&dir).await.unwrap();
        services.postgres.ensure_database("unificus").await.unwrap();
        let url = services.postgres.url_of("unificus");
        for trusted in [&url, &services.postgres.superuser_url()] {
            let without = trusted.replace(&format!(":{}@", password(trusted)), "@");
            assert!(connect(&without).await.is_err(), "start {start_number}");
        }
        let client = connect(&url).await.unwrap();
        let foreign = "select c.relname::text from pg_class c where c.relnamespace = 'public'::regnamespace
            and pg_get_userbyid(c.relowner) <> current_user";
        let foreign: Vec<String> = client.query(foreign, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(foreign, [""; 0], "start {start_number}");
        client.batch_execute("alter table head add column more int; alter table head drop column more").await.unwrap();
        client.batch_execute("create or replace function f() returns int language sql as 'select 2'").await.unwrap();
        client
            .batch_execute("insert into numbered default values; create extension if not exists btree_gin")
            .await
            .unwrap();
        config.database.url.clone_from(&url);
        let store = Store::new(&config.database, 1, Metrics::new().unwrap()).unwrap();
        assert_eq!(store.migrate().await.unwrap(), 0);
        let jetstream = async_nats::jetstream::new(connect_to_nats(&services.nats.url()).await);
        let kept = jetstream.get_stream("KEPT").await.unwrap();
        assert_eq!(kept.cached_info().state.messages, 1, "the stored message still exists");
        services.stop().await.unwrap();
    }
}
