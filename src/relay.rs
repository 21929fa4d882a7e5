//! The relay: the account's log into JetStream, in order, every event at least once and, as the stream shows it, once.
//!
//! Its cursor in PostgreSQL may lag behind what is published, by a crash or because it is written at most every tenth
//! of a second. So whoever takes an account over asks the stream itself for the account's last event and goes on from
//! there; the cursor counts only where the stream holds nothing of the account. A stream that was lost and made anew
//! is filled again from the log.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use crate::broker::{BATCH, Broker, StreamWas};
use crate::clock::{self, Clock};
use crate::domain::{AccountId, Seq, Timestamp};
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::shard::{Owned, Shards};
use crate::store::Store;
use crate::worker::{Step, Worker};

/// Accounts that are published at once.
const PARALLEL: usize = 32;

/// Cursors are written at most this often, as long as there is something to publish.
const SAVE_EVERY: Duration = Duration::from_millis(100);

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
    published: HashMap<AccountId, Progress>,
    todo: HashSet<AccountId>,
    /// Accounts whose cursor moved and is not written yet.
    unsaved: HashSet<AccountId>,
    saved_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    published: Seq,
    saved: Seq,
}

/// What one look at one account came to.
struct Look {
    account: AccountId,
    progress: Option<Progress>,
    /// The time of the first event that is not published yet, where there is one.
    unpublished: Option<Timestamp>,
    trouble: Option<anyhow::Error>,
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
            published: HashMap::new(),
            todo: HashSet::new(),
            unsaved: HashSet::new(),
            saved_at: clock::instant(),
        }
    }

    /// After a new connection the stream is looked at, and what was known is forgotten.
    async fn renew(&mut self, owned: &Owned) -> anyhow::Result<()> {
        let now = (owned.generation, self.broker.connections());
        if self.under == Some(now) {
            return Ok(());
        }
        if self.broker.ensure_stream().await? == StreamWas::Missing {
            self.store.rewind_relay(None).await?;
        }
        // What this process published through the old connection may not have outlived the server.
        self.todo.extend(self.published.keys().copied());
        self.published.clear();
        self.unsaved.clear();
        self.under = Some(now);
        Ok(())
    }

    /// The first half of a step: publishes what there is for the accounts that were marked; those that met trouble are
    /// left to be done. Whether there was any.
    pub async fn publish(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        self.renew(owned).await?;
        self.todo.extend(self.feed.relay().take(|account| owned.lease(account).is_some()));
        let accounts: Vec<AccountId> = self.todo.drain().collect();
        let looked = !accounts.is_empty();
        let ours = accounts.into_iter().filter_map(|account| Some((account, owned.lease(account)?)));
        let looks = stream::iter(ours)
            .map(|(account, lease)| {
                let known = self.published.get(&account).copied();
                let look = look(&self.feed, &self.broker, owned, &self.metrics, &self.clock, account, known);
                async move {
                    let look = look.await;
                    drop(lease);
                    look
                }
            })
            .buffer_unordered(PARALLEL);
        let looks: Vec<Look> = looks.collect().await;
        self.take_in(looks)?;
        Ok(looked)
    }

    fn take_in(&mut self, looks: Vec<Look>) -> anyhow::Result<()> {
        let mut trouble = None;
        let oldest = looks.iter().filter_map(|look| look.unpublished).min();
        for look in looks {
            if look.unpublished.is_some() || look.trouble.is_some() {
                self.todo.insert(look.account);
            }
            if let Some(progress) = look.progress {
                self.published.insert(look.account, progress);
                if progress.saved != progress.published {
                    self.unsaved.insert(look.account);
                }
            } else {
                self.published.remove(&look.account);
            }
            trouble = trouble.or(look.trouble);
        }
        let lag = oldest.map_or(0.0, |at| (self.clock.now() - at).as_seconds_f64());
        self.metrics.relay_lag_seconds.set(lag);
        trouble.map_or(Ok(()), Err)
    }

    /// The second half: writes the cursors that moved.
    pub async fn save(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let place = |account: &AccountId| Some((*account, self.published.get(account)?.published));
        let moved: Vec<(AccountId, Seq)> = self.unsaved.iter().filter_map(place).collect();
        if moved.is_empty() {
            return Ok(false);
        }
        owned.owner.save_relay(&moved).await?;
        for (account, seq) in moved {
            self.published.insert(account, Progress { published: seq, saved: seq });
        }
        self.unsaved.clear();
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
        let looked = self.publish(&owned).await?;
        let due = self.todo.is_empty() && !looked || self.saved_at.elapsed() >= SAVE_EVERY;
        let saved = due && self.save(&owned).await?;
        Ok(if looked || saved { Step::Advanced } else { Step::Idle })
    }

    fn wake(&self) -> Arc<Notify> {
        self.feed.relay().wake()
    }
}

/// Publishes one batch of one account's log.
async fn look(
    feed: &Feed,
    broker: &Broker,
    owned: &Owned,
    metrics: &Metrics,
    clock: &Clock,
    account: AccountId,
    known: Option<Progress>,
) -> Look {
    let mut look = Look { account, progress: known, unpublished: None, trouble: None };
    let progress = match known {
        Some(progress) => Ok(progress),
        None => take_over(broker, owned, account).await,
    };
    let published = async {
        let progress = progress?;
        let events = feed.after(account, progress.published, BATCH).await?;
        look.progress = Some(progress);
        let Some(last) = events.last().map(|event| event.seq) else {
            return rewound(owned, account, progress).await;
        };
        look.unpublished = events.first().map(|event| event.at);
        if let Err(error) = broker.publish(&events).await {
            // Where the server was silent, what the stream holds is not known, and the next look asks it.
            let published = error.through.unwrap_or(progress.published);
            look.progress = error.answered.then_some(Progress { published, ..progress });
            return Err(error.into());
        }
        let now = clock.now();
        for event in &events {
            metrics.write_to_nats_seconds.observe((now - event.at).as_seconds_f64());
        }
        metrics.relay_published_total.inc_by(u64::try_from(events.len()).unwrap_or(0));
        // A full batch may have more behind it.
        look.unpublished = look.unpublished.filter(|_| events.len() == BATCH);
        Ok(Some(Progress { published: last, ..progress }))
    };
    match published.await {
        Ok(progress) => look.progress = progress,
        Err(error) => look.trouble = Some(error),
    }
    look
}

async fn take_over(broker: &Broker, owned: &Owned, account: AccountId) -> anyhow::Result<Progress> {
    let saved = owned.owner.relay_cursor(account).await?;
    let published = broker.last_of(account).await?.unwrap_or(saved);
    Ok(Progress { published, saved })
}

/// Nothing to publish, yet something marked the account: where an operator moved the cursor back, start anew.
async fn rewound(owned: &Owned, account: AccountId, progress: Progress) -> anyhow::Result<Option<Progress>> {
    if progress.saved != progress.published {
        return Ok(Some(progress));
    }
    let cursor = owned.owner.relay_cursor(account).await?;
    Ok((cursor == progress.saved).then_some(progress))
}
