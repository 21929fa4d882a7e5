//! The relay: the account's log into JetStream, in order, every event at least once and, as the stream shows it, once.
//!
//! The log alone says what there is to publish, and nothing outside it is trusted. Its cursor in PostgreSQL may lag
//! behind what is published, by a crash or because it is written at most every tenth of a second, so whoever takes an
//! account over looks at the account's messages in the stream and compares them with the log (`judge`): what the log does
//! not have counts for nothing, and where messages are missing that the retention would have kept, the account's are
//! published again. A stream that was made anew is noticed by the time of its making, which stands beside each cursor.
//!
//! Each message goes behind the one that is known as the account's last, or the server refuses it; so a replica that was
//! replaced, or that takes a new stream for the old one, stores nothing. And the log must still have the event that was
//! published last: where it has not, it was restored from a backup, and the account is stopped until an operator says so
//! (`unificus log restored`).

mod judge;
mod look;
mod tend;
#[cfg(test)]
mod tests;
pub mod verify;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use crate::broker::{Broker, StreamFacts};
use crate::clock::{self, Clock};
use crate::domain::AccountId;
use crate::feed::Feed;
use crate::metrics::{Metrics, gauge_value};
use crate::shard::{Owned, ShardLease, Shards};
use crate::store::Store;
use crate::store::owner::RelayMove;
use crate::worker::{Step, Worker};
use look::{Ending, Look, Looking, Progress};

/// Accounts that are published at once.
const PARALLEL: usize = 128;

/// An account that met trouble is looked at again after this time, unless something marks it before.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);

/// Cursors are written at most this often, as long as there is something to publish.
const SAVE_EVERY: Duration = Duration::from_millis(100);

/// One pass that finds work lasts at least this long, so that a busy log leaves in fewer and larger writes: each one
/// costs NATS and us a wake-up.
const PACE: Duration = Duration::from_millis(3);

/// Publishes the logs of the shards that this replica owns.
pub struct Relay {
    store: Store,
    feed: Feed,
    broker: Broker,
    shards: Shards,
    clock: Clock,
    metrics: Metrics,
    /// What is known, under this pair of (owner session, connection to NATS).
    under: Option<(u64, u64)>,
    /// The stream as it was when it was last looked at.
    stream: Option<(StreamFacts, Instant)>,
    known: HashMap<AccountId, Known>,
    todo: HashSet<AccountId>,
    /// Accounts that met trouble, and when they did.
    troubled: HashMap<AccountId, Instant>,
    /// Accounts whose log lacks events that were published, and when that was last seen.
    stopped: HashMap<AccountId, Instant>,
    /// Accounts whose cursor moved and is not written yet.
    unsaved: HashSet<AccountId>,
    saved_at: Instant,
    /// The last account that was compared in its turn, and when.
    audited: (AccountId, Instant),
}

/// How far an account is, as long as its shard is ours without a break.
struct Known {
    progress: Progress,
    lease: Weak<()>,
}

impl Known {
    fn under(&self, lease: &ShardLease) -> Option<Progress> {
        self.lease.upgrade().filter(|own| Arc::ptr_eq(own, lease)).map(|_| self.progress)
    }
}

impl Relay {
    /// Knows nothing yet; its first step asks.
    #[must_use]
    pub fn new(store: Store, feed: Feed, broker: Broker, shards: Shards, clock: Clock, metrics: Metrics) -> Self {
        Self {
            store,
            feed,
            broker,
            shards,
            clock,
            metrics,
            under: None,
            stream: None,
            known: HashMap::new(),
            todo: HashSet::new(),
            troubled: HashMap::new(),
            stopped: HashMap::new(),
            unsaved: HashSet::new(),
            saved_at: clock::instant(),
            audited: (AccountId(uuid::Uuid::nil()), clock::instant()),
        }
    }

    /// The first half of a step: publishes what there is for the accounts that were marked; those that met trouble are
    /// left to be done. Whether there was any.
    pub async fn publish(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let stream = self.renew(owned).await?;
        self.todo.extend(self.feed.relay().take(|account| owned.lease(account).is_some()));
        let over = |met: &mut Instant| met.elapsed() >= AFTER_TROUBLE;
        self.todo.extend(self.troubled.extract_if(|_, met| over(met)).map(|(account, _)| account));
        self.audit().await?;
        self.leave_stopped(owned);
        let accounts: Vec<AccountId> = self.todo.drain().collect();
        let looked = !accounts.is_empty();
        let ours = accounts.into_iter().filter_map(|account| Some((account, owned.lease(account)?)));
        let Self { feed, broker, metrics, clock, known, .. } = &*self;
        let looking = Looking { feed, broker, owned, metrics, clock, stream };
        let looks = stream::iter(ours)
            .map(|(account, lease)| {
                let known = known.get(&account).and_then(|known| known.under(&lease));
                looking.look(account, lease, known)
            })
            .buffer_unordered(PARALLEL);
        let looks: Vec<Look> = looks.collect().await;
        self.take_in(looks);
        Ok(looked)
    }

    /// One account's trouble is its own: the others go on.
    fn take_in(&mut self, looks: Vec<Look>) {
        let oldest = looks.iter().filter_map(|look| look.unpublished).min();
        for look in looks {
            match look.ending {
                Ending::Well => {
                    if self.stopped.remove(&look.account).is_some() {
                        tracing::info!(account = %look.account, "relayed again");
                    }
                    if look.unpublished.is_some() {
                        self.todo.insert(look.account);
                    }
                }
                Ending::Stopped(published) => self.stop(look.account, published),
                Ending::Failed(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(account = %look.account, error, "not relayed, will be repeated");
                    self.troubled.insert(look.account, clock::instant());
                    // The stream itself may be what is missing.
                    self.under = None;
                }
            }
            if let Some(progress) = look.progress {
                self.known.insert(look.account, Known { progress, lease: Arc::downgrade(&look.lease) });
                if !progress.is_saved() {
                    self.unsaved.insert(look.account);
                }
            } else {
                self.known.remove(&look.account);
            }
        }
        let lag = oldest.map_or(0.0, |at| (self.clock.now() - at).as_seconds_f64());
        self.metrics.relay_lag_seconds.set(lag);
        self.metrics.relay_stopped_accounts.set(gauge_value(self.stopped.len()));
    }

    /// The second half: writes the cursors that moved.
    pub async fn save(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let Some((stream, _)) = self.stream else { return Ok(false) };
        let to_move = |account: AccountId| {
            let Progress { published, saved, repaired, .. } =
                self.known.get(&account)?.under(&owned.lease(account)?)?;
            Some(RelayMove { account, from: saved, to: published, repair: repaired })
        };
        let moved: Vec<RelayMove> = self.unsaved.drain().filter_map(to_move).collect();
        if moved.is_empty() {
            return Ok(false);
        }
        let written = owned.owner.save_relay(&moved, stream.made_at_ns).await?;
        let written: HashSet<AccountId> = written.into_iter().collect();
        for RelayMove { account, to, .. } in moved {
            match self.known.get_mut(&account) {
                Some(known) if written.contains(&account) => {
                    (known.progress.saved, known.progress.repaired) = (to, None);
                }
                // An operator moved the cursor meanwhile: the next look asks anew.
                _ => {
                    self.known.remove(&account);
                    self.todo.insert(account);
                }
            }
        }
        self.saved_at = clock::instant();
        Ok(true)
    }
}

impl Worker for Relay {
    const NAME: &'static str = "relay";
    const SWEEP: Duration = Duration::from_secs(2);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let Some(owned) = self.shards.owned() else { return Ok(Step::Idle) };
        if !self.broker.is_connected() {
            return Ok(Step::Idle);
        }
        let began = clock::instant();
        let looked = self.publish(&owned).await?;
        if looked {
            // Not at all where the pass took longer.
            tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
        }
        let due = self.todo.is_empty() && !looked || self.saved_at.elapsed() >= SAVE_EVERY;
        let saved = due && self.save(&owned).await?;
        Ok(if looked || saved { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        self.feed.relay().wake()
    }
}
