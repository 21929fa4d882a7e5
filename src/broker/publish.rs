//! Publishing an account's events so that the stream never has a hole.

use async_nats::HeaderMap;
use serde::Deserialize;

use super::{Broker, BrokerError, unavailable};
use crate::contract::Wire;
use crate::contract::event::CONTENT_TYPE;

/// Events of one account that are published at once. A server takes 1,000 messages in one atomic batch (ADR-50).
pub const BATCH: usize = 500;

/// Lists of this length go as one atomic batch. The server stages a batch in files of its own, which makes it dear for
/// short lists and, against awaiting each acknowledgement, worth it for long ones.
const ATOMIC_FROM: usize = 200;

#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    description: String,
}

impl Broker {
    /// Stores events of one account, in order. At most [`BATCH`] of them.
    ///
    /// Were all of a list sent before the first is acknowledged, the stream could get a hole: a connection that breaks
    /// takes what is in its socket along, and what waits behind that goes out on the next one. So each event awaits
    /// its predecessor's acknowledgement; a long list goes as one atomic batch where the server has that (2.12).
    pub async fn publish(&self, events: &[Wire]) -> Result<(), BrokerError> {
        let atomic = events.len() >= ATOMIC_FROM && self.client.is_server_compatible(2, 12, 0);
        let Some((last, before)) = events.split_last().filter(|_| atomic) else {
            for event in events {
                self.store(event, headers(event)).await?;
            }
            return Ok(());
        };
        // A batch that was given up must not be gone on with: the connection's number tells them apart.
        let id = format!("{}:{}:{}", last.account, last.seq, self.connections());
        for (place, event) in before.iter().enumerate() {
            let headers = batch_headers(event, &id, place + 1);
            self.client
                .publish_with_headers(self.subject(event), headers, event.body.clone())
                .await
                .map_err(|error| unavailable("publishing", error))?;
        }
        let mut headers = batch_headers(last, &id, events.len());
        headers.insert("Nats-Batch-Commit", "1");
        self.store(last, headers).await
    }

    async fn store(&self, event: &Wire, headers: HeaderMap) -> Result<(), BrokerError> {
        let answer = self
            .client
            .request_with_headers(self.subject(event), headers, event.body.clone())
            .await
            .map_err(|error| unavailable("publishing", error))?;
        let acknowledgement: Acknowledgement = serde_json::from_slice(&answer.payload)
            .map_err(|error| BrokerError::Refused(format!("its answer cannot be read: {error}")))?;
        match acknowledgement.error {
            None => Ok(()),
            Some(refusal) => Err(BrokerError::Refused(refusal.description)),
        }
    }

    fn subject(&self, event: &Wire) -> String {
        format!("{}.{}.evt.{}", self.config.subject_root, event.account, event.kind())
    }
}

fn headers(event: &Wire) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, event.id());
    headers.insert("Content-Type", CONTENT_TYPE);
    if let Some(traceparent) = event.traceparent() {
        headers.insert("traceparent", traceparent);
    }
    headers
}

fn batch_headers(event: &Wire, id: &str, place: usize) -> HeaderMap {
    let mut headers = headers(event);
    headers.insert("Nats-Batch-Id", id);
    headers.insert("Nats-Batch-Sequence", place.to_string());
    headers
}
