//! The relay publishes each account's log to JetStream, in order, and each event at least once. A subscriber that reads the
//! stream sees each event once.
//!
//! Only the log says what there is to publish. The relay's cursor in PostgreSQL may lag behind, after a crash or because it
//! is written at most once a second. A replica that takes an account over therefore compares the account's messages
//! in the stream with the log (`decide`): messages that the log does not have are ignored, and where messages are missing
//! that the retention would have kept, the account is published again. A new stream is recognised by its creation time,
//! which is stored beside each cursor.
//!
//! The server stores a message only directly after the one that the relay takes for the account's last. A replica that was
//! replaced, or that takes a new stream for the old one, therefore stores nothing. The log must still have the event that
//! was published last. Where it does not, it was restored from a backup, and the account is stopped until an operator runs
//! `unificus log restored`.

mod decide;
mod passes;
mod publisher;
#[cfg(test)]
mod tests;
mod upkeep;
pub mod verify;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::broker::{Broker, StreamInfo};
use crate::clock::{self, Clock};
use crate::domain::AccountId;
use crate::feed::{Behind, Feed};
use crate::metrics::Metrics;
use crate::shard::{Owned, ShardLease, Shards};
use crate::store::Store;
use crate::store::owner::RelayMove;
use crate::traces::Tracer;
use crate::worker::{Step, Worker};
use passes::RunningPasses;
use publisher::Progress;

/// Cursors are saved at most this often: a replica that continues from an older cursor compares it with the stream, and
/// publishes nothing twice.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Publishes the logs of the shards that this replica owns.
pub struct Relay {
    store: Store,
    feed: Feed,
    broker: Broker,
    shards: Shards,
    clock: Clock,
    metrics: Metrics,
    tracer: Tracer,
    /// The owner session and the connection to NATS under which `known` was learnt; nothing where it must be renewed.
    known_under: Option<(u64, u64)>,
    /// The stream, and the time of its last check.
    stream: Option<(StreamInfo, Instant)>,
    known: HashMap<AccountId, Known>,
    /// Accounts that the next pass publishes.
    due: HashSet<AccountId>,
    /// The passes that run, and the session, connection and stream under which they began.
    running: RunningPasses,
    running_under: Option<(u64, u64, i64)>,
    /// Accounts whose last pass failed, and its time.
    failed: HashMap<AccountId, Instant>,
    /// Accounts whose log lacks published events, and the time of the last check.
    stopped: HashMap<AccountId, Instant>,
    /// Accounts whose cursor moved and is not saved yet.
    unsaved: HashSet<AccountId>,
    saved_at: Instant,
    /// The last account of the last audit, and its time.
    audited: (AccountId, Instant),
}

/// How far an account is published. It is valid as long as this replica has owned the shard without a break.
struct Known {
    progress: Progress,
    lease: Weak<()>,
    /// The last time that its cursor was known to be saved by this replica.
    saved_at: Option<Instant>,
}

impl Known {
    fn under(&self, lease: &ShardLease) -> Option<Progress> {
        self.lease.upgrade().filter(|own| Arc::ptr_eq(own, lease)).map(|_| self.progress)
    }

    /// Whether a sweep found the account behind only because its cursor is not saved yet, or was saved after the sweep began.
    /// Otherwise every account that was written to during a second would be read again. A cursor that an operator moved
    /// meanwhile is found by the next sweep.
    fn explains(&self, behind: &Behind, lease: &ShardLease) -> bool {
        let Some(progress) = self.under(lease) else { return false };
        let is_unseen = !progress.is_saved() || self.saved_at.is_some_and(|saved_at| saved_at >= behind.seen_at);
        progress.published >= behind.head && is_unseen
    }
}

impl Relay {
    /// The first step reads how far accounts are.
    #[must_use]
    pub fn new(
        store: Store,
        feed: Feed,
        broker: Broker,
        shards: Shards,
        clock: Clock,
        metrics: Metrics,
        tracer: Tracer,
    ) -> Self {
        Self {
            store,
            feed,
            broker,
            shards,
            clock,
            metrics,
            tracer,
            known_under: None,
            stream: None,
            known: HashMap::new(),
            due: HashSet::new(),
            running: RunningPasses::default(),
            running_under: None,
            failed: HashMap::new(),
            stopped: HashMap::new(),
            unsaved: HashSet::new(),
            saved_at: clock::instant(),
            audited: (AccountId(uuid::Uuid::nil()), clock::instant()),
        }
    }

    fn is_save_due(&self) -> bool {
        self.saved_at.elapsed() >= SAVE_INTERVAL
    }

    /// The second half of a step: saves the cursors that moved. Returns whether any moved. The cursors of accounts with a pass
    /// are saved later, because the pass began with the saved cursor and ends with another progress.
    pub async fn save(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let Some((stream, _)) = self.stream else { return Ok(false) };
        let to_move = |account: AccountId| {
            let Progress { published, saved, repaired, .. } =
                self.known.get(&account)?.under(&owned.lease(account)?)?;
            Some(RelayMove { account, from: saved, to: published, repair: repaired })
        };
        let now = self.unsaved.extract_if(|account| !self.running.has(*account));
        let moved: Vec<RelayMove> = now.filter_map(to_move).collect();
        if moved.is_empty() {
            if !self.unsaved.is_empty() {
                self.saved_at = clock::instant();
            }
            return Ok(false);
        }
        let written = owned.owner.save_relay(&moved, stream.created_at_ns).await?;
        let written: HashSet<AccountId> = written.into_iter().collect();
        for RelayMove { account, to, .. } in moved {
            match self.known.get_mut(&account) {
                Some(known) if written.contains(&account) => {
                    (known.progress.saved, known.progress.repaired) = (to, None);
                    known.saved_at = Some(clock::instant());
                }
                // An operator moved the cursor meanwhile: the next pass reads it.
                _ => {
                    self.known.remove(&account);
                    self.due.insert(account);
                }
            }
        }
        self.saved_at = clock::instant();
        Ok(true)
    }
}

impl Worker for Relay {
    const NAME: &'static str = "relay";
    /// Cursors are saved by a step.
    const SWEEP: Duration = SAVE_INTERVAL;

    async fn step(&mut self) -> anyhow::Result<Step> {
        let owned = self.shards.owned().filter(|_| self.broker.is_connected());
        let Some(owned) = owned else {
            self.abandon();
            return Ok(Step::Idle);
        };
        let published = self.publish(&owned).await?;
        let saved = self.is_save_due() && self.save(&owned).await?;
        Ok(if published || saved { Step::Advanced } else { Step::Idle })
    }

    async fn finish(&mut self) -> anyhow::Result<()> {
        if let Some(owned) = self.shards.owned() {
            self.drain().await;
            self.save(&owned).await?;
        }
        Ok(())
    }

    fn wake(&self) -> Arc<Notify> {
        self.feed.relay().wake()
    }
}
