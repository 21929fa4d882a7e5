//! The private Postgres and NATS of `unificus dev` and of these tests.

use std::path::PathBuf;

use unificus::dev::services::Services;

use crate::support::servers::{binaries, directory};
use tokio_postgres::{Client, NoTls};

/// A data directory that goes with the test.
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
    let urls = (services.postgres.url(), services.nats.url());
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
    assert_eq!((services.postgres.url(), services.nats.url()), urls);
    assert_eq!(rows(&connect(&urls.0).await.unwrap()).await, 1);
    services.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let dir = Dir::new("dies");
    let mut services = start(&dir).await.unwrap();
    let url = services.postgres.url();
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
    // This very process, which is alive and no Postgres.
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
