//! Takes erasures from stage to stage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::broker::{Broker, StoredBody, StoredMessage};
use crate::domain::{AccountId, Seq, Uid};
use crate::store::Store;
use crate::store::erasure::{Erasure, ErasureStage};
use crate::worker::{Step, Worker};

/// Messages of the stream that are compared with the log at once.
const PAGE: usize = 200;

/// Executes the erasures of all accounts, one stage of each at a time.
pub struct ErasureWorker {
    store: Store,
    broker: Broker,
    wake: Arc<Notify>,
}

impl ErasureWorker {
    /// `wake` is notified while somebody waits for an erasure.
    #[must_use]
    pub fn new(store: Store, broker: Broker, wake: Arc<Notify>) -> Self {
        Self { store, broker, wake }
    }

    /// Takes one step of one erasure; returns whether it came forward.
    async fn advance(&self, account: AccountId, uid: Uid) -> anyhow::Result<bool> {
        let Some(erasure) = self.store.erasure(account, uid).await? else { return Ok(false) };
        Ok(match erasure.stage {
            ErasureStage::Begun => self.store.prepare_erasure(account, uid).await?,
            ErasureStage::Log => self.store.erase_from_log(account, uid).await?,
            ErasureStage::Memory => self.store.leave_memory(account, uid).await?,
            ErasureStage::Responses => self.store.erase_responses(account, uid).await?,
            ErasureStage::Stream => self.erase_from_stream(&erasure).await?,
            ErasureStage::Done => false,
        })
    }

    /// Removes messages that the log has in another form by now. They are not published again: a subscriber that has not
    /// read them sees a gap in the positions, and reads the events in the feed.
    ///
    /// Before all changed events are published, a pass of the relay may hold one in its former form. Later passes read the
    /// log, and replicas keep nothing of before: what the stream has then is final.
    async fn erase_from_stream(&self, erasure: &Erasure) -> anyhow::Result<bool> {
        let Erasure { account, uid, .. } = *erasure;
        let through = erasure.through.unwrap_or(erasure.seq);
        if !self.broker.is_connected() || self.store.relayed_through(account).await? < through {
            return Ok(false);
        }
        let mut outdated = Vec::new();
        let mut scan = self.broker.scan(account).await?;
        loop {
            let page = scan.next_bodies(PAGE).await?;
            if page.is_empty() {
                break;
            }
            outdated.extend(self.outdated(erasure, &page).await?);
        }
        let removed = outdated.len() as u64;
        if removed > 0 {
            // First, so that the relay does not take the gap for a loss.
            let seqs: Vec<Seq> = outdated.iter().filter_map(|message| Some(message.identity?.seq)).collect();
            let retained = self.store.retained_after(account, self.broker.max_age()).await?;
            self.store.add_removed_messages(account, &seqs, retained).await?;
        }
        for message in outdated {
            // The server overwrites it on its disk.
            self.broker.remove(message.sequence).await?;
        }
        let is_done = self.store.finish_erasure(account, uid, removed).await?;
        if is_done {
            tracing::info!(%account, events = erasure.events, messages = removed, "contact erased");
        }
        Ok(is_done)
    }

    /// The messages that name the person, and that are not the log's events as they are now.
    async fn outdated(&self, erasure: &Erasure, page: &[StoredBody]) -> anyhow::Result<Vec<StoredMessage>> {
        let uids: Vec<String> = erasure.eraser.uids.iter().map(Uid::to_string).collect();
        let names_person = |stored: &&StoredBody| {
            let text = String::from_utf8_lossy(&stored.body);
            uids.iter().any(|uid| text.contains(uid)) || erasure.eraser.names_person(&text)
        };
        let suspects: Vec<&StoredBody> = page.iter().filter(names_person).collect();
        let seqs: BTreeSet<Seq> = suspects.iter().filter_map(|stored| Some(stored.message.identity?.seq)).collect();
        let seqs: Vec<Seq> = seqs.into_iter().collect();
        let mut log = BTreeMap::new();
        if !seqs.is_empty() {
            for event in self.store.events_at(erasure.account, &seqs, &[], 0).await? {
                log.insert(event.seq, event.body);
            }
        }
        let is_current = |stored: &StoredBody| {
            stored.message.identity.and_then(|identity| log.get(&identity.seq)).is_some_and(|body| *body == stored.body)
        };
        Ok(suspects.into_iter().filter(|stored| !is_current(stored)).map(|stored| stored.message.clone()).collect())
    }
}

impl Worker for ErasureWorker {
    const NAME: &'static str = "erasure";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let mut has_advanced = false;
        let mut failed = None;
        for (account, uid) in self.store.pending_erasures().await? {
            // An erasure that fails delays no other.
            match self.advance(account, uid).await {
                Ok(advanced) => has_advanced |= advanced,
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) if !has_advanced => Err(error),
            Some(_) | None => Ok(if has_advanced { Step::Advanced } else { Step::Idle }),
        }
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }
}
