//! Records by `/sync/batch`: 100 operations per call, as a connector sends them, on 8 connections of one account.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Bench;
use crate::accounts::Account;
use crate::bare::Bare;
use crate::connection::Connection;
use crate::contact::{Target, write_contact};
use crate::table::say;
use crate::tally::median;

pub(crate) const CONNECTIONS: usize = 8;
pub(crate) const OPERATIONS: u64 = 100;
/// The time of one measurement.
pub(crate) const LENGTH: Duration = Duration::from_secs(3);

/// Records per second.
pub(crate) struct Rates {
    pub(crate) service: f64,
    pub(crate) bare: f64,
}

/// New contacts, each by an upsert with a reference and a field to match on.
#[derive(Clone)]
pub(crate) struct Upserts {
    target: Target,
    account: Account,
    run: String,
    next: Arc<AtomicU64>,
}

impl Upserts {
    pub(crate) fn new(bench: &Bench, account: &Account) -> Self {
        let (target, account, run) = (bench.target.clone(), account.clone(), bench.run.clone());
        Self { target, account, run, next: Arc::default() }
    }

    /// The same with numbers from this one on.
    pub(crate) fn after(self, first: u64) -> Self {
        self.next.store(first, Ordering::Relaxed);
        self
    }

    /// Sends calls on all connections until `is_over` says so of the number of records before a call. Returns the number of
    /// records, and the time.
    pub(crate) async fn send(&self, is_over: impl Fn(u64) -> bool + Clone + Send + 'static) -> Result<(u64, Duration)> {
        let (from, began) = (self.next.load(Ordering::Relaxed), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (upserts, is_over) = (self.clone(), is_over.clone());
            let mut connection = Connection::open(self.target.address).await.context("connecting to the service")?;
            tasks.spawn(async move {
                let mut records = 0;
                loop {
                    let first = upserts.next.fetch_add(OPERATIONS, Ordering::Relaxed);
                    if is_over(first - from) {
                        return anyhow::Ok(records);
                    }
                    call(&mut connection, &upserts.request(first)).await?;
                    records += OPERATIONS;
                }
            });
        }
        let mut records = 0;
        while let Some(sent) = tasks.join_next().await {
            records += sent.context("a connection's task ended in a panic")??;
        }
        Ok((records, began.elapsed()))
    }

    fn request(&self, first: u64) -> Vec<u8> {
        let mut body = b"{\"ops\":[".to_vec();
        for number in first..first + OPERATIONS {
            if number > first {
                body.push(b',');
            }
            // Writing to a vector cannot fail.
            drop(write!(
                body,
                r#"{{"op_id":"{number}","op":"upsert","entity":"contact","ref":{{"id":"{number}"}},"match":["email"],"base":0,"set":"#
            ));
            write_contact(&mut body, &self.run, number);
            body.push(b'}');
        }
        body.extend_from_slice(b"]}");
        let body = String::from_utf8(body).unwrap_or_default();
        self.target.request("POST", "/sync/batch", &self.account, &body)
    }
}

/// Sends a batch, all of whose operations must be executed.
pub(crate) async fn call(connection: &mut Connection, request: &[u8]) -> Result<()> {
    let response = connection.exchange(request).await.context("sending a batch")?;
    let message = format!("{OPERATIONS} of {OPERATIONS} operations were executed.");
    let is_done = response.body.windows(message.len()).any(|window| window == message.as_bytes());
    let text = || String::from_utf8_lossy(response.body).chars().take(1_000).collect::<String>();
    ensure!(response.status == 200 && is_done, "a batch was answered with {}: {}", response.status, text());
    Ok(())
}

pub(crate) async fn measure(bench: &Bench, account: &Account) -> Result<Rates> {
    let upserts = Upserts::new(bench, account);
    // The bare client needs rows to copy, and the service is warm then.
    upserts.send(|records| records >= 5_000).await?;
    let bare = Bare::new(&bench.service.urls.database, &account.public_id).await?;
    let (mut of_service, mut of_bare) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        of_bare.push(bare.per_second(LENGTH).await?);
        let began = Instant::now();
        let (records, time) = upserts.send(move |_| began.elapsed() > LENGTH).await?;
        of_service.push(records as f64 / time.as_secs_f64());
    }
    bare.finish().await?;
    say(&format!("batches: {of_service:.0?} records/s; bare client: {of_bare:.0?}"));
    let (service, bare) = median(of_service).zip(median(of_bare)).context("a measurement")?;
    Ok(Rates { service, bare })
}
