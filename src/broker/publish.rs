//! Publishing an account's events so that the stream never has a hole.

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use serde::Deserialize;

use super::{Broker, BrokerError, unavailable};
use crate::contract::event::CONTENT_TYPE;
use crate::contract::{EncodedEvent, Identity};

/// Events of one account that are published at once. A server takes 1,000 messages in one atomic batch (ADR-50).
pub const BATCH: usize = 500;

/// Lists of this length go as one atomic batch. The server stages a batch in files of its own, which makes it dear for
/// short lists and, against awaiting each acknowledgement, worth it for long ones.
const ATOMIC_FROM: usize = 200;

/// The message is stored only where this is the stream sequence of the last one on the subjects of the next header.
const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_LAST_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<Refusal>,
    /// Where the last message lies in the stream.
    #[serde(default)]
    seq: u64,
    /// A message of this `Nats-Msg-Id` was stored within the stream's duplicate window, at `seq`, and this one was not.
    #[serde(default)]
    duplicate: bool,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    description: String,
}

impl Broker {
    /// Stores events of one account, in order, directly behind its message at stream sequence `behind`, or as its first
    /// ones where that is zero. At most [`BATCH`] of them. Returns the stream sequence of the last one.
    ///
    /// Whoever was replaced as the account's owner and does not know it yet, and whoever takes a stream that was made
    /// anew for the one it knows, stores nothing: for them another message is the account's last, or none.
    ///
    /// Were all of a list sent before the first is acknowledged, the stream could get a hole: a connection that breaks
    /// takes what is in its socket along, and what waits behind that goes out on the next one. So each event awaits
    /// its predecessor's acknowledgement; a long list goes as one atomic batch where the server has that (2.12).
    pub async fn publish(&self, events: &[EncodedEvent], behind: u64) -> Result<u64, BrokerError> {
        let mut behind = behind;
        if let Some(first) = events.first().filter(|_| !self.has_fence()) {
            // Such a server cannot compare and store at once. It is asked before, which leaves a moment in between.
            let last = self.last_of(first.account).await?.map_or(0, |last| last.sequence);
            if last != behind {
                return Err(BrokerError::Moved);
            }
        }
        let atomic = events.len() >= ATOMIC_FROM && self.client.is_server_compatible(2, 12, 0);
        let Some((last, before)) = events.split_last().filter(|_| atomic) else {
            for event in events {
                behind = self.store(event, self.fenced(headers(event), event, behind)).await?;
            }
            return Ok(behind);
        };
        // A batch that was given up must not be gone on with: the connection's number tells them apart.
        let id = format!("{}:{}:{}", last.account, last.seq, self.connections());
        for (index, event) in before.iter().enumerate() {
            let mut headers = batch_headers(event, &id, index + 1);
            if index == 0 {
                // For all of the batch, which is stored whole or not at all.
                headers = self.fenced(headers, event, behind);
            }
            self.client
                .publish_with_headers(self.subject(event), headers, event.body.clone())
                .await
                .map_err(|error| unavailable("publishing", error))?;
        }
        let mut headers = batch_headers(last, &id, events.len());
        headers.insert("Nats-Batch-Commit", "1");
        self.store(last, headers).await
    }

    async fn store(&self, event: &EncodedEvent, headers: HeaderMap) -> Result<u64, BrokerError> {
        let answer = self
            .client
            .request_with_headers(self.subject(event), headers, event.body.clone())
            .await
            .map_err(|error| unavailable("publishing", error))?;
        let Acknowledgement { error, seq, duplicate } = serde_json::from_slice(&answer.payload)
            .map_err(|error| BrokerError::Refused(format!("its answer cannot be read: {error}")))?;
        match error {
            Some(refusal) if is_moved(refusal.err_code) => Err(BrokerError::Moved),
            Some(refusal) => Err(BrokerError::Refused(refusal.description)),
            None if duplicate => self.is_stored(event, seq).await,
            None => Ok(seq),
        }
    }

    /// A message that the server takes for a duplicate may be gone from the stream since, or be another message under the same id.
    async fn is_stored(&self, event: &EncodedEvent, sequence: u64) -> Result<u64, BrokerError> {
        let stored = self.message_at(sequence).await?;
        if stored.is_some_and(|stored| stored.identity == Some(Identity::of(event))) {
            return Ok(sequence);
        }
        Err(BrokerError::Refused(format!("it takes {} for a duplicate of another message", event.id())))
    }

    fn fenced(&self, mut headers: HeaderMap, event: &EncodedEvent, behind: u64) -> HeaderMap {
        if self.has_fence() {
            headers.insert(EXPECTED_LAST, behind.to_string());
            headers.insert(EXPECTED_LAST_OF, self.subjects_of(event.account));
        }
        headers
    }

    /// Whether the server compares the last message of many subjects before it stores one (2.11).
    pub(super) fn has_fence(&self) -> bool {
        self.client.is_server_compatible(2, 11, 0)
    }

    fn subject(&self, event: &EncodedEvent) -> String {
        self.subject_of(&Identity::of(event))
    }
}

fn is_moved(code: u64) -> bool {
    [ErrorCode::STREAM_WRONG_LAST_SEQUENCE, ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT].contains(&ErrorCode(code))
}

fn headers(event: &EncodedEvent) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(async_nats::header::NATS_MESSAGE_ID, event.id());
    headers.insert("Content-Type", CONTENT_TYPE);
    if let Some(traceparent) = event.traceparent() {
        headers.insert("traceparent", traceparent);
    }
    headers
}

fn batch_headers(event: &EncodedEvent, id: &str, index: usize) -> HeaderMap {
    let mut headers = headers(event);
    headers.insert("Nats-Batch-Id", id);
    headers.insert("Nats-Batch-Sequence", index.to_string());
    headers
}
