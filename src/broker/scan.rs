//! Reads all messages of an account.

use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::consumer::{self};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::survey::StoredMessage;
use super::{Broker, BrokerError, REQUEST_TIMEOUT, unavailable};
use crate::domain::AccountId;

/// A message with its body.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StoredBody {
    pub message: StoredMessage,
    pub body: Bytes,
}

/// An account's messages in stream order, up to the last one at the beginning of the scan.
pub struct Scan {
    broker: Broker,
    messages: Option<Ordered>,
}

impl Broker {
    /// Begins to read an account's messages.
    pub async fn scan(&self, account: AccountId) -> Result<Scan, BrokerError> {
        if self.last_of(account).await?.is_none() {
            return Ok(Scan { broker: self.clone(), messages: None });
        }
        let stream = self.stream().await?;
        let config = OrderedConfig { filter_subject: self.subjects_of(account), ..OrderedConfig::default() };
        let consumer: consumer::Consumer<OrderedConfig> = stream.create_consumer(config).await.map_err(failed)?;
        let messages = consumer.messages().await.map_err(failed)?;
        Ok(Scan { broker: self.clone(), messages: Some(messages) })
    }
}

impl Scan {
    /// The next messages, at most `limit`; none at the end.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<StoredMessage>, BrokerError> {
        Ok(self.next_bodies(limit).await?.into_iter().map(|stored| stored.message).collect())
    }

    /// The next messages with their bodies, likewise.
    pub async fn next_bodies(&mut self, limit: usize) -> Result<Vec<StoredBody>, BrokerError> {
        let mut read = Vec::new();
        while read.len() < limit {
            let Some(messages) = &mut self.messages else { break };
            let next = tokio::time::timeout(REQUEST_TIMEOUT, messages.next()).await.map_err(failed)?;
            let Some(message) = next else { break };
            let message = message.map_err(failed)?;
            let info = message.info().map_err(failed)?;
            let (sequence, pending) = (info.stream_sequence, info.pending);
            let id = message.headers.as_ref().and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID));
            let id = id.map_or("", |id| id.as_str());
            let stored = self.broker.read(sequence, &message.subject, &message.payload, id);
            read.push(StoredBody { message: stored, body: message.payload.clone() });
            if pending == 0 {
                self.messages = None;
            }
        }
        Ok(read)
    }
}

fn failed(source: impl Into<async_nats::Error>) -> BrokerError {
    unavailable("reading the stream", source)
}
