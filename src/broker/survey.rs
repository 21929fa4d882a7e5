//! Reads and removes an account's messages in the stream.

use std::time::Duration;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{self, Stream};
use futures_util::TryStreamExt as _;

use super::{Broker, BrokerError, unavailable};
use crate::contract::Identity;
use crate::domain::AccountId;

/// A message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Its stream sequence.
    pub sequence: u64,
    /// The event in its body; `None` where this service cannot have published the message.
    pub identity: Option<Identity>,
    /// Its `Nats-Msg-Id`, for logs; cut after 120 characters, because other clients may write anything there.
    pub message_id: String,
}

/// The messages that the stream holds of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Survey {
    pub first: Option<StoredMessage>,
    pub last: Option<StoredMessage>,
    pub messages: u64,
}

/// The stream itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamInfo {
    /// Its creation time, in nanoseconds since 1970. It tells a new stream of the same name from the old one.
    pub created_at_ns: i64,
    /// The time for which it keeps a message; zero means for ever.
    pub max_age: Duration,
}

/// The longest `Nats-Msg-Id` that is kept, in characters; this service's own ids are shorter.
const MAX_MESSAGE_ID: usize = 120;

/// The largest number of readings of a survey: the retention may remove the first message in between.
const MAX_READS: usize = 3;

impl Broker {
    /// Reads an account's first and last message and the number of its messages, as of one moment.
    pub async fn survey(&self, account: AccountId) -> Result<Survey, BrokerError> {
        let mut survey = self.survey_once(account).await?;
        for _ in 1..MAX_READS {
            let again = self.first_of(account).await?;
            if again == survey.first {
                break;
            }
            survey = self.survey_once(account).await?;
        }
        Ok(survey)
    }

    async fn survey_once(&self, account: AccountId) -> Result<Survey, BrokerError> {
        let (first, last) = (self.first_of(account).await?, self.last_of(account).await?);
        let messages = if last.is_some() { self.count_of(account).await? } else { 0 };
        Ok(Survey { first, last, messages })
    }

    /// An account's last message. This and all other requests go to the stream's leader, because a follower may lag.
    pub async fn last_of(&self, account: AccountId) -> Result<Option<StoredMessage>, BrokerError> {
        let stream = self.stream().await?;
        self.optional(stream.get_last_raw_message_by_subject(&self.subjects_of(account)).await)
    }

    async fn first_of(&self, account: AccountId) -> Result<Option<StoredMessage>, BrokerError> {
        self.first_from(account, 1).await
    }

    /// An account's first message at this stream sequence or later.
    pub(super) async fn first_from(&self, account: AccountId, from: u64) -> Result<Option<StoredMessage>, BrokerError> {
        let stream = self.stream().await?;
        self.optional(stream.get_first_raw_message_by_subject(self.subjects_of(account), from).await)
    }

    pub(super) async fn message_at(&self, sequence: u64) -> Result<Option<StoredMessage>, BrokerError> {
        let stream = self.stream().await?;
        self.optional(stream.get_raw_message(sequence).await)
    }

    fn optional(
        &self,
        message: Result<StreamMessage, stream::LastRawMessageError>,
    ) -> Result<Option<StoredMessage>, BrokerError> {
        match message {
            Ok(message) => Ok(Some(self.stored(&message))),
            Err(error) if error.kind() == stream::LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(unavailable("looking for a message", error)),
        }
    }

    /// The number of an account's messages.
    pub async fn count_of(&self, account: AccountId) -> Result<u64, BrokerError> {
        let failed = |error| unavailable("counting messages", error);
        let stream = self.stream().await?;
        let mut subjects = stream.info_with_subjects(self.subjects_of(account)).await.map_err(failed)?;
        let mut messages = 0;
        while let Some((_, count)) = subjects.try_next().await.map_err(failed)? {
            messages += count as u64;
        }
        Ok(messages)
    }

    /// Removes one message.
    pub async fn remove(&self, sequence: u64) -> Result<(), BrokerError> {
        let stream = self.stream().await?;
        stream.delete_message(sequence).await.map_err(|error| unavailable("removing a message", error))?;
        Ok(())
    }

    /// Removes all messages of an account, in one step; returns their number.
    pub async fn purge(&self, account: AccountId) -> Result<u64, BrokerError> {
        let stream = self.stream().await?;
        let purged = stream.purge().filter(self.subjects_of(account)).await;
        Ok(purged.map_err(|error| unavailable("removing messages", error))?.purged)
    }

    pub(super) async fn stream(&self) -> Result<Stream<()>, BrokerError> {
        let stream = self.context.get_stream_no_info(&self.config.stream).await;
        stream.map_err(|error| unavailable("looking for the stream", error))
    }

    fn stored(&self, message: &StreamMessage) -> StoredMessage {
        let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
        self.read(message.sequence, &message.subject, &message.payload, id.map_or("", |id| id.as_str()))
    }

    /// Reads a message. It is the event in its body only where it has that event's subject.
    pub(super) fn read(&self, sequence: u64, subject: &str, payload: &[u8], message_id: &str) -> StoredMessage {
        let identity = Identity::read(payload).filter(|identity| subject == self.subject_of(identity));
        StoredMessage { sequence, identity, message_id: message_id.chars().take(MAX_MESSAGE_ID).collect() }
    }

    pub(super) fn subjects_of(&self, account: AccountId) -> String {
        format!("{}.{account}.evt.>", self.config.subject_root)
    }

    pub(super) fn subject_of(&self, event: &Identity) -> String {
        let Identity { account, entity, event_type, .. } = event;
        format!("{}.{account}.evt.{}.{}", self.config.subject_root, entity.name(), event_type.name())
    }
}
