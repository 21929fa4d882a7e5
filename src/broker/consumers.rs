//! Durable pull consumers on the stream, and positions of an account's log in it.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::ConsumerErrorKind;
use futures_util::TryStreamExt as _;
use uuid::Uuid;

use super::survey::StoredMessage;
use super::{Broker, BrokerError, unavailable};
use crate::domain::{AccountId, Entity, Seq};

/// The time after which a message that was not acknowledged is delivered again.
const ACK_WAIT: Duration = Duration::from_secs(30);

/// Messages of a consumer that may wait for their acknowledgement.
pub const MAX_ACK_PENDING: i64 = 1_000;

/// Requests for messages that may wait at a consumer.
const MAX_WAITING: i64 = 64;

/// The longest wait of one request for messages.
const MAX_EXPIRES: Duration = Duration::from_mins(5);

/// The metadata of a consumer that this service made.
const ID: &str = "unificus-consumer";

/// Messages of other publishers that are skipped in a row when a position is looked for.
const MAX_FOREIGN: usize = 16;

/// A consumer that is to be on the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Durable {
    pub account: AccountId,
    /// Unique in the account.
    pub name: String,
    /// Tells it from an earlier consumer of the same name.
    pub id: Uuid,
    /// The kind of records whose events it gets; `None` means all.
    pub entity: Option<Entity>,
}

/// A consumer as the stream has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DurableState {
    /// Its name on the stream.
    pub durable: String,
    pub id: Uuid,
    /// Messages that it has not delivered.
    pub pending: u64,
    /// Messages that it has delivered and that are not acknowledged.
    pub ack_pending: usize,
    /// The stream sequence of the last message that it delivered.
    pub delivered: u64,
    /// The stream sequence up to which all of its messages are acknowledged.
    pub acknowledged: u64,
}

impl Durable {
    /// The name on the stream: it begins with the account's public id.
    #[must_use]
    pub fn durable(&self) -> String {
        durable_name(self.account, &self.name)
    }
}

/// The name on the stream of an account's consumer.
#[must_use]
pub fn durable_name(account: AccountId, name: &str) -> String {
    format!("{account}_{name}")
}

impl Broker {
    /// Makes a consumer that begins after an event of the account's log, unless the stream has it. Another one of the same
    /// name is removed before.
    pub async fn provision(&self, durable: &Durable, after: Seq) -> Result<(), BrokerError> {
        let name = durable.durable();
        match self.durable_state(&name).await? {
            Some(state) if state.id == durable.id => return Ok(()),
            Some(_) => self.remove_durable(&name).await?,
            None => {}
        }
        let start = self.sequence_after(durable.account, after).await?;
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: match durable.entity {
                Some(entity) => format!("{}.{}.evt.{}.>", self.config.subject_root, durable.account, entity.name()),
                None => self.subjects_of(durable.account),
            },
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start },
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: MAX_ACK_PENDING,
            max_waiting: MAX_WAITING,
            max_expires: MAX_EXPIRES,
            metadata: HashMap::from([(ID.to_owned(), durable.id.to_string())]),
            ..pull::Config::default()
        };
        let made = self.stream().await?.create_consumer_strict(config).await;
        let Err(error) = made else { return Ok(()) };
        // Another replica may have made it meanwhile, with another start.
        match self.durable_state(&name).await? {
            Some(state) if state.id == durable.id => Ok(()),
            Some(_) | None => Err(unavailable("making a consumer", error)),
        }
    }

    /// Removes a consumer. One that is not there is no error.
    pub async fn remove_durable(&self, name: &str) -> Result<(), BrokerError> {
        match self.stream().await?.delete_consumer(name).await {
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(error) if error.code() == 404 => Ok(()),
                ConsumerErrorKind::TimedOut
                | ConsumerErrorKind::Request
                | ConsumerErrorKind::InvalidConsumerType
                | ConsumerErrorKind::InvalidName
                | ConsumerErrorKind::JetStream(_)
                | ConsumerErrorKind::Other => Err(unavailable("removing a consumer", error)),
            },
        }
    }

    /// A consumer as the stream has it; `None` where it does not, or where another program made it.
    pub async fn durable_state(&self, name: &str) -> Result<Option<DurableState>, BrokerError> {
        match self.stream().await?.consumer_info(name).await {
            Ok(info) => Ok(state_of(&info)),
            Err(error) => match error.kind() {
                ConsumerInfoErrorKind::NotFound | ConsumerInfoErrorKind::StreamNotFound => Ok(None),
                ConsumerInfoErrorKind::InvalidName
                | ConsumerInfoErrorKind::Offline
                | ConsumerInfoErrorKind::Request
                | ConsumerInfoErrorKind::JetStream(_)
                | ConsumerInfoErrorKind::TimedOut
                | ConsumerInfoErrorKind::NoResponders => Err(unavailable("reading a consumer", error)),
            },
        }
    }

    /// All consumers on the stream that this service made.
    pub async fn durables(&self) -> Result<Vec<DurableState>, BrokerError> {
        let failed = |error| unavailable("listing consumers", error);
        let stream = self.stream().await?;
        let mut listed = stream.consumers();
        let mut states = Vec::new();
        while let Some(info) = listed.try_next().await.map_err(failed)? {
            states.extend(state_of(&info));
        }
        Ok(states)
    }

    /// The event of the account's log up to which all messages before and at a stream sequence are; zero without any. `last`
    /// is the account's last message, read before the sequence was.
    pub async fn log_position(
        &self,
        account: AccountId,
        sequence: u64,
        last: Option<&StoredMessage>,
    ) -> Result<Seq, BrokerError> {
        let at = |message: &StoredMessage| message.identity.map_or(Seq::ZERO, |identity| identity.seq);
        match self.next_of(account, sequence.saturating_add(1)).await? {
            Some(next) => Ok(Seq((at(&next).0 - 1).max(0))),
            None => Ok(last.filter(|last| last.sequence <= sequence).map_or(Seq::ZERO, at)),
        }
    }

    /// The account's first event that the stream has; `None` also where there is no stream yet.
    pub async fn first_retained(&self, account: AccountId) -> Result<Option<Seq>, BrokerError> {
        if self.stream_info().await?.is_none() {
            return Ok(None);
        }
        let first = self.next_of(account, 1).await?;
        Ok(first.and_then(|first| first.identity).map(|identity| identity.seq))
    }

    /// The stream sequence from which on the account has only events after `after`. It is found by halving, because an
    /// account's messages stand in the order of its log.
    async fn sequence_after(&self, account: AccountId, after: Seq) -> Result<u64, BrokerError> {
        let info = self.stream().await?.get_info().await;
        let state = info.map_err(|error| unavailable("reading the stream", error))?.state;
        let (mut low, mut high) = (state.first_sequence.max(1), state.last_sequence + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.next_of(account, middle).await? {
                Some(StoredMessage { sequence, identity: Some(identity), .. }) if identity.seq <= after => {
                    low = sequence + 1;
                }
                Some(_) | None => high = middle,
            }
        }
        Ok(low)
    }

    /// The account's first message at a stream sequence or later. Messages that are no events of the account are skipped.
    async fn next_of(&self, account: AccountId, from: u64) -> Result<Option<StoredMessage>, BrokerError> {
        let mut from = from;
        for _ in 0..MAX_FOREIGN {
            let message = self.first_from(account, from).await?;
            match message {
                Some(message) if message.identity.is_none_or(|identity| identity.account != account) => {
                    from = message.sequence + 1;
                }
                message => return Ok(message),
            }
        }
        Ok(None)
    }
}

fn state_of(info: &consumer::Info) -> Option<DurableState> {
    let id = info.config.metadata.get(ID)?;
    Some(DurableState {
        durable: info.name.clone(),
        id: Uuid::try_parse(id).ok()?,
        pending: info.num_pending,
        ack_pending: info.num_ack_pending,
        delivered: info.delivered.stream_sequence,
        acknowledged: info.ack_floor.stream_sequence,
    })
}
