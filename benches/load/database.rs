//! Queries to the service's own Postgres.

use anyhow::{Context, Result};
use tokio_postgres::{Client, NoTls};

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("connecting to Postgres")?;
    // The task ends with its client.
    tokio::spawn(connection);
    Ok(client)
}

/// The number of events of all accounts: positions have no gaps, so it is the sum of the heads.
pub(crate) async fn events(url: &str) -> Result<u64> {
    let row = connect(url).await?.query_one("SELECT coalesce(sum(seq), 0)::bigint FROM head", &[]).await;
    let events: i64 = row.and_then(|row| row.try_get(0)).context("reading the length of the log")?;
    Ok(u64::try_from(events).unwrap_or_default())
}
