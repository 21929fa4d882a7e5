//! Reads that end in PostgreSQL when their caller goes away.
//!
//! Dropping a future sends nothing to the server: the statement would continue, and its connection would return to the
//! pool before the response. Therefore a [`Reading`] that is dropped during a statement requests its cancellation, waits
//! for its end, and closes the connection. The connection is not reused, because a cancel request has no response and a
//! late one would end the next caller's statement. Until the end it occupies its slot of the pool, so that PostgreSQL never
//! executes more statements than the pool has connections. If the cancel request is lost, `statement_timeout` ends the
//! statement.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio::runtime::Handle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{NoTls, Row};

use super::searches::SearchSlot;
use super::{Store, StoreError};
use crate::domain::AccountId;
use crate::metrics::Metrics;

/// Cancel requests per statement, because a request that arrives before the statement has no effect.
const ATTEMPTS: usize = 5;
/// The timeout of a cancel request.
const ATTEMPT: Duration = Duration::from_secs(1);

/// A parameter and its type.
pub(super) type Typed<'a> = (&'a (dyn ToSql + Sync), Type);

/// Which commits a read must see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Every commit.
    Current,
    /// The commits that the standby has, where one is configured.
    MayLag,
}

/// A connection for one statement.
pub(super) struct Reading {
    account: AccountId,
    held: Option<Held>,
    /// Whether a statement was sent whose result has not arrived.
    unfinished: bool,
    metrics: Metrics,
}

struct Held {
    client: Object,
    /// Released with the connection.
    _slot: Option<SearchSlot>,
}

impl Store {
    /// Takes a connection for an indexed read.
    pub(super) async fn reading(&self, account: AccountId, from: Freshness) -> Result<Reading, StoreError> {
        self.hold(account, from, None).await
    }

    /// Takes a connection for a read that may look at all rows of an account. It counts against the account's share of
    /// searches.
    pub(super) async fn searching(&self, account: AccountId, from: Freshness) -> Result<Reading, StoreError> {
        let slot = self.searches.enter(account).await?;
        self.hold(account, from, Some(slot)).await
    }

    async fn hold(&self, account: AccountId, from: Freshness, slot: Option<SearchSlot>) -> Result<Reading, StoreError> {
        let client = match from {
            Freshness::Current => self.reader().await?,
            Freshness::MayLag => self.replica_reader().await?,
        };
        let held = Some(Held { client, _slot: slot });
        Ok(Reading { account, held, unfinished: false, metrics: self.metrics.clone() })
    }
}

impl Reading {
    /// Returns the rows of a statement that is not prepared.
    pub(super) async fn query_typed(
        mut self,
        statement: &str,
        parameters: &[Typed<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.unfinished = true;
        let rows = self.client()?.query_typed(statement, parameters).await;
        self.ended(statement, rows)
    }

    /// Returns the rows of a statement that each connection prepares once.
    pub(super) async fn query(
        mut self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.unfinished = true;
        let client = self.client()?;
        let rows = match client.prepare_cached(statement).await {
            Ok(prepared) => client.query(&prepared, parameters).await,
            Err(error) => Err(error),
        };
        self.ended(statement, rows)
    }

    fn client(&self) -> Result<&Object, StoreError> {
        self.held.as_ref().map(|held| &held.client).ok_or_else(|| StoreError::Unavailable("no connection".into()))
    }

    fn ended<T>(&mut self, statement: &str, outcome: Result<T, tokio_postgres::Error>) -> Result<T, StoreError> {
        self.unfinished = false;
        outcome.map_err(StoreError::from).inspect_err(|error| {
            if let StoreError::TimedOut(_) = error {
                self.metrics.statements_ended_total.with_label_values(&["timeout"]).inc();
                // Every statement has a first line, its name.
                let name = statement.lines().next().unwrap_or_default().trim_start_matches("-- ");
                tracing::warn!(account = %self.account, statement = name, "statement reached its timeout");
            }
        })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let Some(held) = self.held.take().filter(|_| self.unfinished) else { return };
        self.metrics.statements_ended_total.with_label_values(&["abandoned"]).inc();
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(cancel(held))),
            // The runtime has ended, and the connection's task with it.
            Err(_) => drop(Object::take(held.client)),
        }
    }
}

async fn cancel(held: Held) {
    let Held { client, _slot } = held;
    {
        let token = client.cancel_token();
        // Responses come in the order of their statements, so this statement's response shows that the one before it has
        // ended. A late cancel request may end this statement instead, which shows the same.
        let mut next = std::pin::pin!(client.batch_execute("-- store.after_cancel\nselect"));
        for _ in 0..ATTEMPTS {
            let attempt = async {
                if let Err(error) = token.cancel_query(NoTls).await {
                    tracing::warn!(error = %error, "cancel abandoned statement failed");
                }
                let _result = next.as_mut().await;
            };
            if tokio::time::timeout(ATTEMPT, attempt).await.is_ok() {
                break;
            }
        }
    }
    drop(Object::take(client));
}
