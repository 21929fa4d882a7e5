//! The application service of consumers: creates, lists and deletes them.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use super::{ConsumerError, is_name};
use crate::audited::{AuditedChanges, ChangeError, Rendered, WriteRequest};
use crate::broker::{Broker, Durable, DurableState, durable_name};
use crate::clock;
use crate::contract::Cursor;
use crate::domain::{AccountId, Entity, Invalid, Seq, ValidationErrors};
use crate::store::sync::consumers::StoredConsumer;

/// Consumers of one account; a further one is refused. Each one's subjects stand in the rights of every login.
const MAX_PER_ACCOUNT: usize = 16;

/// Consumers of a list that are asked about at once.
const AT_ONCE: usize = 4;

/// Consumers of all accounts.
pub(crate) struct ConsumerService {
    changes: AuditedChanges,
    broker: Broker,
    stream: String,
}

/// A consumer that is to be created.
#[derive(Debug, Default)]
pub(crate) struct ConsumerInput {
    pub(crate) name: String,
    pub(crate) entity: Option<Entity>,
    pub(crate) from: StartPosition,
    /// Errors that were found while the input was read.
    pub(crate) errors: ValidationErrors,
}

/// The position in the log after which a consumer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum StartPosition {
    Start,
    #[default]
    Now,
    Cursor(Cursor),
}

/// A consumer as its owner sees it.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerView {
    pub(crate) consumer: StoredConsumer,
    pub(crate) stream: String,
    /// Its name on the stream.
    pub(crate) durable: String,
    /// `None` for one that is not on the stream at the moment.
    pub(crate) lag: Option<Lag>,
    /// Events after its start that the stream does not have any more. Only for a consumer that was just created.
    pub(crate) missing: Option<Missing>,
}

/// The progress of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lag {
    /// Events that it has not delivered.
    pub(crate) pending: u64,
    /// Events that it has delivered and that are not acknowledged.
    pub(crate) ack_pending: usize,
    /// The last event of the log up to which it has delivered everything.
    pub(crate) delivered: Seq,
}

/// A range of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) after: Seq,
    pub(crate) through: Seq,
}

impl ConsumerService {
    pub(crate) fn new(changes: AuditedChanges, broker: Broker, stream: &str) -> Self {
        Self { changes, broker, stream: stream.to_owned() }
    }

    /// Creates a consumer, and then makes it on the stream.
    pub(crate) async fn create(
        &self,
        request: &WriteRequest<'_>,
        input: ConsumerInput,
        render: impl FnOnce(&ConsumerView) -> Rendered,
    ) -> Result<Rendered, ConsumerError> {
        let ConsumerInput { name, entity, from, errors } = input;
        errors.into_result(()).map_err(ConsumerError::Invalid)?;
        self.require_nats()?;
        // Before the transaction, so that no lock is held while NATS is asked.
        let retained = self.broker.first_retained(request.account).await?;
        let write = self.changes.open(request).await?;
        let log_end = write.log_end;
        let start = match from {
            StartPosition::Start => Seq::ZERO,
            StartPosition::Now => log_end,
            StartPosition::Cursor(cursor) if cursor.epoch == write.epoch && cursor.seq <= log_end => cursor.seq,
            StartPosition::Cursor(_) => return Err(ConsumerError::Resync),
        };
        if write.change.consumer_count().await? >= MAX_PER_ACCOUNT {
            return Err(Invalid::of_body(format!("An account has at most {MAX_PER_ACCOUNT} consumers.")).into());
        }
        let consumer = StoredConsumer {
            account: request.account,
            name,
            consumer_id: clock::fresh_uid().0,
            entity,
            start,
            acknowledged: start,
            created_at: self.changes.clock.now(),
        };
        if !write.change.insert_consumer(&consumer).await? {
            return Err(Invalid::new("name", "Must not be the name of another consumer of the account.").into());
        }
        let detail = json!({"name": consumer.name, "entity": entity.map(Entity::name), "after": start});
        let mut view = self.view(consumer.clone());
        view.missing = missing(start, retained, log_end);
        let rendered = write.finish("consumer.create", &detail, render(&view)).await?;
        // The consumer exists from the commit on. Where the stream does not get it now, the upkeep makes it soon.
        if let Err(error) = self.broker.provision(&durable(&consumer), start).await {
            let (account, error) = (consumer.account, format!("{:#}", anyhow::Error::new(error)));
            tracing::warn!(%account, consumer = consumer.name, error, "make consumer on the stream failed; will retry");
        }
        Ok(rendered)
    }

    /// Lists an account's consumers by name.
    pub(crate) async fn list(&self, account: AccountId) -> Result<Vec<ConsumerView>, ConsumerError> {
        self.require_nats()?;
        let consumers = self.changes.store.consumers(account).await?;
        stream::iter(consumers).map(|consumer| self.with_lag(consumer)).buffered(AT_ONCE).try_collect().await
    }

    /// Reads one consumer.
    pub(crate) async fn get(&self, account: AccountId, name: &str) -> Result<ConsumerView, ConsumerError> {
        if !is_name(name) {
            return Err(ConsumerError::NotFound);
        }
        self.require_nats()?;
        let consumer = self.changes.store.consumer(account, name).await?;
        self.with_lag(consumer.ok_or(ConsumerError::NotFound)?).await
    }

    /// Deletes a consumer, and then removes it from the stream. Logins lose the right to read it.
    pub(crate) async fn delete(
        &self,
        request: &WriteRequest<'_>,
        name: &str,
        render: impl FnOnce() -> Rendered,
    ) -> Result<Rendered, ConsumerError> {
        if !is_name(name) {
            return Err(ConsumerError::NotFound);
        }
        self.require_nats()?;
        let write = self.changes.open(request).await?;
        if !write.change.delete_consumer(name).await? {
            return Err(ConsumerError::NotFound);
        }
        let rendered = write.finish("consumer.delete", &json!({"name": name}), render()).await?;
        if let Err(error) = self.broker.remove_durable(&durable_name(request.account, name)).await {
            let (account, error) = (request.account, format!("{:#}", anyhow::Error::new(error)));
            tracing::warn!(%account, consumer = name, error, "remove consumer from the stream failed; will retry");
        }
        Ok(rendered)
    }

    fn require_nats(&self) -> Result<(), ConsumerError> {
        if self.broker.is_connected() { Ok(()) } else { Err(ConsumerError::NoNats) }
    }

    fn view(&self, consumer: StoredConsumer) -> ConsumerView {
        let durable = durable_name(consumer.account, &consumer.name);
        ConsumerView { consumer, stream: self.stream.clone(), durable, lag: None, missing: None }
    }

    async fn with_lag(&self, consumer: StoredConsumer) -> Result<ConsumerView, ConsumerError> {
        let mut view = self.view(consumer);
        let account = view.consumer.account;
        if self.broker.durable_state(&view.durable).await?.is_none() {
            return Ok(view);
        }
        // In this order, so that no message that comes meanwhile counts as delivered.
        let last = self.broker.last_of(account).await?;
        let state = self.broker.durable_state(&view.durable).await?;
        // One of another id is an earlier consumer, which is removed soon.
        let Some(state) = state.filter(|state| state.id == view.consumer.consumer_id) else { return Ok(view) };
        let DurableState { pending, ack_pending, delivered, acknowledged, .. } = state;
        let position = |sequence| self.broker.log_position(account, sequence, last.as_ref());
        let (delivered, acknowledged) = (position(delivered).await?, position(acknowledged).await?);
        view.consumer.acknowledged = acknowledged.max(view.consumer.acknowledged);
        view.lag = Some(Lag { pending, ack_pending, delivered: delivered.max(view.consumer.start) });
        Ok(view)
    }
}

impl ConsumerError {
    /// The response of a request that was executed before.
    pub(crate) fn repeated(self) -> Result<Rendered, Self> {
        match self {
            Self::Change(ChangeError::Repeated(rendered)) => Ok(rendered),
            Self::Invalid(_) | Self::NotFound | Self::Resync | Self::NoNats | Self::Change(_) => Err(self),
        }
    }
}

pub(super) fn durable(consumer: &StoredConsumer) -> Durable {
    let StoredConsumer { account, name, consumer_id, entity, .. } = consumer;
    Durable { account: *account, name: name.clone(), id: *consumer_id, entity: *entity }
}

/// The events after `start` that a stream whose first event is `retained` does not have. Without any event in the stream, all
/// of the log counts as missing: it may still be on its way, and reading it twice does no harm.
fn missing(start: Seq, retained: Option<Seq>, log_end: Seq) -> Option<Missing> {
    let through = retained.map_or(log_end, |first| Seq(first.0 - 1)).min(log_end);
    (through > start).then_some(Missing { after: start, through })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_before_the_first_retained_one_are_missing() {
        let range = |after, through| Some(Missing { after: Seq(after), through: Seq(through) });
        assert_eq!(missing(Seq(0), Some(Seq(1)), Seq(9)), None);
        assert_eq!(missing(Seq(0), Some(Seq(5)), Seq(9)), range(0, 4));
        assert_eq!(missing(Seq(3), Some(Seq(5)), Seq(9)), range(3, 4));
        assert_eq!(missing(Seq(4), Some(Seq(5)), Seq(9)), None);
        assert_eq!(missing(Seq(9), None, Seq(9)), None);
        assert_eq!(missing(Seq(2), None, Seq(9)), range(2, 9));
        assert_eq!(missing(Seq(0), None, Seq(0)), None);
    }
}
