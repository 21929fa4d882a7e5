//! Queries to the service's own Postgres: its process id, and the length of the log.

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};

use crate::machine;

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to Postgres")?;
    // The task ends with its client.
    tokio::spawn(connection);
    Ok(client)
}

/// The pid of a server's postmaster, if it runs on this machine.
pub(crate) async fn postmaster(url: &str) -> Result<Option<u32>> {
    let row = connect(url).await?.query_one("SELECT pg_backend_pid()", &[]).await;
    let backend: i32 = row.and_then(|row| row.try_get(0)).context("reading a backend's pid")?;
    Ok(u32::try_from(backend).ok().and_then(machine::parent))
}

/// The number of events of all accounts: positions have no gaps, so it is the sum of the heads.
pub(crate) async fn events(url: &str) -> Result<u64> {
    let row = connect(url).await?.query_one("SELECT coalesce(sum(seq), 0)::bigint FROM head", &[]).await;
    let events: i64 = row.and_then(|row| row.try_get(0)).context("reading the length of the log")?;
    Ok(u64::try_from(events).unwrap_or_default())
}
