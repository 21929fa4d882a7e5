//! Keeps the stream's consumers equal to the table: makes those that the stream lost, removes those that were deleted, and
//! writes their progress, which is the position at which a lost one begins again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use super::service::durable;
use crate::broker::{Broker, DurableState, durable_name};
use crate::domain::{AccountId, Seq};
use crate::keys::public_id;
use crate::shard::{Owned, Shards};
use crate::store::Store;
use crate::store::sync::consumers::{ConsumerPosition, StoredConsumer};
use crate::worker::{Step, Worker};

/// Consumers that one statement reads.
const PAGE: i64 = 500;

/// Compares the table with the stream, for the accounts of the shards that this replica owns.
pub(crate) struct ConsumerUpkeep {
    store: Store,
    broker: Broker,
    shards: Shards,
    /// The stream sequence up to which each consumer had acknowledged when its progress was written.
    written: BTreeMap<Uuid, u64>,
}

impl ConsumerUpkeep {
    pub(crate) fn new(store: Store, broker: Broker, shards: Shards) -> Self {
        Self { store, broker, shards, written: BTreeMap::new() }
    }

    async fn stored(&self, owned: &Owned) -> anyhow::Result<Vec<StoredConsumer>> {
        let mut position = ConsumerPosition { account: AccountId(Uuid::nil()), name: String::new() };
        let mut consumers = Vec::new();
        loop {
            let page = self.store.consumers_after(&position, PAGE).await?;
            let Some(last) = page.last() else { return Ok(consumers) };
            position = ConsumerPosition { account: last.account, name: last.name.clone() };
            consumers.extend(page.into_iter().filter(|consumer| owned.lease(consumer.account).is_some()));
        }
    }

    /// Makes a consumer again behind the events that it had acknowledged.
    async fn provision(&self, consumer: &StoredConsumer) -> anyhow::Result<()> {
        // A log that was restored from a backup may end before.
        let head = self.store.head(consumer.account).await?.map_or(Seq::ZERO, |head| head.seq);
        let after = consumer.acknowledged.min(head);
        self.broker.provision(&durable(consumer), after).await?;
        tracing::info!(account = %consumer.account, consumer = consumer.name, after = after.0, "consumer made on the stream");
        Ok(())
    }

    async fn write_progress(&mut self, progress: Vec<(StoredConsumer, DurableState)>) -> anyhow::Result<()> {
        let mut acknowledged = Vec::new();
        for (consumer, state) in &progress {
            if self.written.get(&state.id) == Some(&state.acknowledged) {
                continue;
            }
            let last = self.broker.last_of(consumer.account).await?;
            // Read after `last`, so that no message that comes meanwhile counts as acknowledged.
            let Some(state) = self.broker.durable_state(&state.durable).await? else { continue };
            let seq = self.broker.log_position(consumer.account, state.acknowledged, last.as_ref()).await?;
            acknowledged.push((consumer.account, consumer.consumer_id, seq));
            self.written.insert(state.id, state.acknowledged);
        }
        if !acknowledged.is_empty() {
            self.store.consumers_acknowledged(&acknowledged).await?;
        }
        self.written.retain(|id, _| progress.iter().any(|(_, state)| state.id == *id));
        Ok(())
    }
}

/// The account of a consumer on the stream.
fn account_of(durable: &str) -> Option<AccountId> {
    public_id(durable.split_once('_')?.0)
}

impl Worker for ConsumerUpkeep {
    const NAME: &'static str = "consumers";
    const SWEEP: Duration = Duration::from_secs(5);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let Some(owned) = self.shards.owned().filter(|_| self.broker.is_connected()) else { return Ok(Step::Idle) };
        if self.broker.stream_info().await?.is_none() {
            // The relay makes the stream first.
            return Ok(Step::Idle);
        }
        // The stream is read before the table: a consumer is in the table before it is on the stream.
        let listed = self.broker.durables().await?;
        let stored = self.stored(&owned).await?;
        let mut on_stream: BTreeMap<String, DurableState> =
            listed.into_iter().map(|state| (state.durable.clone(), state)).collect();
        let mut progress = Vec::new();
        for consumer in stored {
            match on_stream.remove(&durable_name(consumer.account, &consumer.name)) {
                Some(state) if state.id == consumer.consumer_id => progress.push((consumer, state)),
                Some(_) | None => self.provision(&consumer).await?,
            }
        }
        for name in on_stream.into_keys() {
            if account_of(&name).is_some_and(|account| owned.lease(account).is_some()) {
                self.broker.remove_durable(&name).await?;
                tracing::info!(durable = name, "consumer removed from the stream: it was deleted");
            }
        }
        self.write_progress(progress).await?;
        Ok(Step::Idle)
    }

    /// Never notified: the interval alone runs it.
    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}
