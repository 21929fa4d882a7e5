//! Hints between replicas, over core NATS: the accounts that were written to. A lost hint costs time, never an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::connection::State;
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use uuid::Uuid;

use super::{BrokerError, unavailable};
use crate::domain::AccountId;

/// Sends and receives hints. Cloning shares the connection.
#[derive(Clone)]
pub struct Hints {
    client: Client,
    subject: String,
    /// The last known number of replicas.
    replicas: Arc<AtomicUsize>,
}

/// Hints of other replicas.
pub struct HintSubscription {
    subscriber: Subscriber,
}

impl Hints {
    pub(super) fn over(client: Client, root: &str) -> Self {
        Self { client, subject: format!("{root}.hint.written"), replicas: Arc::new(AtomicUsize::new(1)) }
    }

    /// Sets the number of replicas; a single one sends no hints.
    pub fn set_replicas(&self, replicas: usize) {
        self.replicas.store(replicas, Ordering::Relaxed);
    }

    /// Tells the other replicas that these accounts' logs have grown. Never waits: where there is no connection or its
    /// buffer is full, the hint is dropped, and the sweep of the other replicas finds the events.
    pub fn written(&self, accounts: &[AccountId]) {
        let alone = self.replicas.load(Ordering::Relaxed) < 2;
        if alone || accounts.is_empty() || self.client.connection_state() != State::Connected {
            return;
        }
        let payload: Vec<u8> = accounts.iter().flat_map(|account| account.0.into_bytes()).collect();
        let sent = self.client.publish(self.subject.clone(), Bytes::from(payload)).now_or_never();
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!(
                accounts = accounts.len(),
                "send hint failed; the sweep of the other replicas finds the events"
            );
        }
    }

    /// Waits until all hints are sent.
    pub async fn flush(&self) -> Result<(), BrokerError> {
        self.client.flush().await.map_err(|error| unavailable("sending hints", error))
    }

    /// Subscribes to the hints of other replicas.
    pub async fn subscribe(&self) -> Result<HintSubscription, BrokerError> {
        let subscriber = self
            .client
            .subscribe(self.subject.clone())
            .await
            .map_err(|error| unavailable("subscribing to hints", error))?;
        Ok(HintSubscription { subscriber })
    }
}

impl HintSubscription {
    /// The accounts of the next hint; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Vec<AccountId>> {
        let message = self.subscriber.next().await?;
        let (ids, rest) = message.payload.as_chunks::<16>();
        if !rest.is_empty() {
            tracing::warn!(bytes = message.payload.len(), "read hint failed: it is no list of account ids");
        }
        Some(ids.iter().map(|id| AccountId(Uuid::from_bytes(*id))).collect())
    }
}
