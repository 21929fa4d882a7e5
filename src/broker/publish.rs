//! Publishes an account's events so that the stream never has a gap.

use async_nats::HeaderMap;
use async_nats::jetstream::ErrorCode;
use serde::Deserialize;

use super::{Broker, BrokerError, unavailable};
use crate::contract::event::CONTENT_TYPE;
use crate::contract::{EncodedEvent, Identity};

/// The largest number of events that are published at once. A server accepts 1,000 messages in one atomic batch (ADR-50).
pub const BATCH: usize = 500;

/// Lists of at least this length are published as one atomic batch. The server stages a batch in files of its own, which
/// costs more than single acknowledgements for short lists, and less for long ones.
const ATOMIC_FROM: usize = 200;

/// The server stores a message only where this header is the stream sequence of the last message on the subjects of the
/// next header.
const EXPECTED_LAST: &str = "Nats-Expected-Last-Subject-Sequence";
const EXPECTED_LAST_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";

/// The abilities of a server that publishing depends on.
#[derive(Debug, Clone, Copy)]
pub struct PublishFeatures {
    /// It compares the last message of many subjects before it stores one (2.11).
    pub(super) has_fence: bool,
    /// It stores a batch of messages whole or not at all (2.12).
    pub(super) has_batches: bool,
}

#[derive(Deserialize)]
struct Acknowledgement {
    error: Option<Refusal>,
    /// The stream sequence of the last message.
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
    /// Stores at most [`BATCH`] events of one account, in order, directly after its message at stream sequence
    /// `expected_last`, or as its first ones where that is zero. Returns the stream sequence of the last one.
    ///
    /// A replica that was replaced as the account's owner, or that takes a new stream for the old one, stores nothing:
    /// another message is the account's last, or none is.
    ///
    /// Each event waits for the acknowledgement of the one before it. Otherwise a connection that breaks could lose the
    /// messages in its socket and send the later ones on the next connection, which would leave a gap. A long list is
    /// published as one atomic batch where the server supports that (2.12).
    pub async fn publish(
        &self,
        events: &[EncodedEvent],
        expected_last: u64,
        features: PublishFeatures,
    ) -> Result<u64, BrokerError> {
        let mut expected_last = expected_last;
        if let Some(first) = events.first().filter(|_| !features.has_fence) {
            // A server before 2.11 cannot compare and store in one step. The last message is read first, which leaves a
            // moment in between.
            let last = self.last_of(first.account).await?.map_or(0, |last| last.sequence);
            if last != expected_last {
                return Err(BrokerError::WrongLastMessage);
            }
        }
        let atomic = events.len() >= ATOMIC_FROM && features.has_batches;
        let Some((last, before)) = events.split_last().filter(|_| atomic) else {
            for event in events {
                let mut headers = headers(event);
                if features.has_fence {
                    self.fence(&mut headers, event, expected_last);
                }
                expected_last = self.store(event, headers).await?;
            }
            return Ok(expected_last);
        };
        // The connection's number makes the id unique, so that no event is added to a batch that was abandoned.
        let id = format!("{}:{}:{}", last.account, last.seq, self.connections());
        for (index, event) in before.iter().enumerate() {
            let mut headers = batch_headers(event, &id, index + 1);
            if index == 0 {
                // One comparison is enough for a batch, because it is stored whole or not at all.
                self.fence(&mut headers, event, expected_last);
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
            .map_err(|error| BrokerError::Refused(format!("its response cannot be read: {error}")))?;
        match error {
            Some(refusal) if is_moved(refusal.err_code) => Err(BrokerError::WrongLastMessage),
            Some(refusal) => Err(BrokerError::Refused(refusal.description)),
            None if duplicate => self.is_stored(event, seq).await,
            None => Ok(seq),
        }
    }

    /// Checks that a message that the server calls a duplicate is in the stream. It may have been removed since, or be
    /// another message under the same id.
    async fn is_stored(&self, event: &EncodedEvent, sequence: u64) -> Result<u64, BrokerError> {
        let stored = self.message_at(sequence).await?;
        if stored.is_some_and(|stored| stored.identity == Some(Identity::of(event))) {
            return Ok(sequence);
        }
        Err(BrokerError::Refused(format!("{} has the id of another message", event.id())))
    }

    fn fence(&self, headers: &mut HeaderMap, event: &EncodedEvent, expected_last: u64) {
        headers.insert(EXPECTED_LAST, expected_last.to_string());
        headers.insert(EXPECTED_LAST_OF, self.subjects_of(event.account));
    }

    /// The features of the connected server. They are not read for each list, because the client parses the server's version
    /// for each question.
    #[must_use]
    pub fn publish_features(&self) -> PublishFeatures {
        let is_at_least = |minor| self.client.is_server_compatible(2, minor, 0);
        PublishFeatures { has_fence: is_at_least(11), has_batches: is_at_least(12) }
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
