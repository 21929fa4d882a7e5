//! The relay: the account's log into JetStream, in order, every event at least once and, as the stream shows it, once.
//!
//! Its cursor in PostgreSQL may lag behind what is published, by a crash or because it is written at most every tenth
//! of a second. So whoever takes an account over asks the stream itself for the account's last event and goes on from
//! there; the cursor counts only where the stream holds nothing of the account. A stream that was lost and made anew
//! is filled again from the log.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;

use crate::broker::{BATCH, Broker, StreamWas};
use crate::clock::{self, Clock};
use crate::domain::{AccountId, Seq, Timestamp};
use crate::feed::{EventPage, Feed, PAGE_BYTES, PageLimit};
use crate::metrics::Metrics;
use crate::shard::{Lease, Owned, Shards};
use crate::store::Store;
use crate::store::owner::RelayMove;
use crate::worker::{Step, Worker};

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
    known: HashMap<AccountId, Known>,
    todo: HashSet<AccountId>,
    /// Accounts that met trouble, and when they did.
    troubled: HashMap<AccountId, Instant>,
    /// Accounts whose cursor moved and is not written yet.
    unsaved: HashSet<AccountId>,
    saved_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    published: Seq,
    saved: Seq,
}

/// How far an account is, as long as its shard is ours without a break.
struct Known {
    progress: Progress,
    lease: Weak<()>,
}

impl Known {
    fn under(&self, lease: &Lease) -> Option<Progress> {
        self.lease.upgrade().filter(|own| Arc::ptr_eq(own, lease)).map(|_| self.progress)
    }
}

/// What one look at one account came to.
struct Look {
    account: AccountId,
    lease: Lease,
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
            known: HashMap::new(),
            todo: HashSet::new(),
            troubled: HashMap::new(),
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
        if self.broker.look_for_stream().await? == StreamWas::Missing {
            // Before it is made: a crash in between finds it missing again.
            self.store.rewind_relay(None).await?;
        }
        self.broker.ensure_stream().await?;
        // What this process published through the old connection may not have outlived the server.
        self.todo.extend(self.known.keys().copied());
        self.known.clear();
        self.unsaved.clear();
        self.under = Some(now);
        Ok(())
    }

    /// The first half of a step: publishes what there is for the accounts that were marked; those that met trouble are
    /// left to be done. Whether there was any.
    pub async fn publish(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        self.renew(owned).await?;
        self.todo.extend(self.feed.relay().take(|account| owned.lease(account).is_some()));
        let over = |met: &mut Instant| met.elapsed() >= AFTER_TROUBLE;
        self.todo.extend(self.troubled.extract_if(|_, met| over(met)).map(|(account, _)| account));
        let accounts: Vec<AccountId> = self.todo.drain().collect();
        let looked = !accounts.is_empty();
        let ours = accounts.into_iter().filter_map(|account| Some((account, owned.lease(account)?)));
        let looks = stream::iter(ours)
            .map(|(account, lease)| {
                let known = self.known.get(&account).and_then(|known| known.under(&lease));
                look(&self.feed, &self.broker, owned, &self.metrics, &self.clock, account, lease, known)
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
            if let Some(error) = look.trouble {
                tracing::warn!(account = %look.account, error = format!("{error:#}"), "not relayed, will be repeated");
                self.troubled.insert(look.account, clock::instant());
                // The stream itself may be what is missing.
                self.under = None;
            } else if look.unpublished.is_some() {
                self.todo.insert(look.account);
            }
            if let Some(progress) = look.progress {
                self.known.insert(look.account, Known { progress, lease: Arc::downgrade(&look.lease) });
                if progress.saved != progress.published {
                    self.unsaved.insert(look.account);
                }
            } else {
                self.known.remove(&look.account);
            }
        }
        let lag = oldest.map_or(0.0, |at| (self.clock.now() - at).as_seconds_f64());
        self.metrics.relay_lag_seconds.set(lag);
    }

    /// The second half: writes the cursors that moved.
    pub async fn save(&mut self, owned: &Owned) -> anyhow::Result<bool> {
        let place = |account: AccountId| {
            let progress = self.known.get(&account)?.under(&owned.lease(account)?)?;
            Some(RelayMove { account, from: progress.saved, to: progress.published })
        };
        let moved: Vec<RelayMove> = self.unsaved.drain().filter_map(place).collect();
        if moved.is_empty() {
            return Ok(false);
        }
        let written: HashSet<AccountId> = owned.owner.save_relay(&moved).await?.into_iter().collect();
        for RelayMove { account, to, .. } in moved {
            match self.known.get_mut(&account) {
                Some(known) if written.contains(&account) => known.progress.saved = to,
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

/// Publishes one batch of one account's log.
#[expect(clippy::too_many_arguments, reason = "what it needs of the relay, which is borrowed by many looks at once")]
async fn look(
    feed: &Feed,
    broker: &Broker,
    owned: &Owned,
    metrics: &Metrics,
    clock: &Clock,
    account: AccountId,
    lease: Lease,
    known: Option<Progress>,
) -> Look {
    let mut look = Look { account, lease, progress: known, unpublished: None, trouble: None };
    let progress = match known {
        Some(progress) => Ok(progress),
        None => take_over(broker, owned, account).await,
    };
    let published = async {
        let progress = progress?;
        let limit = PageLimit { events: BATCH, bytes: PAGE_BYTES };
        let EventPage { events, more } = feed.after(account, progress.published, limit).await?;
        look.progress = Some(progress);
        let Some(last) = events.last().map(|event| event.seq) else {
            return rewound(owned, account, progress).await;
        };
        look.unpublished = events.first().map(|event| event.at);
        // When it fails, how far it came is not known here, and the next look asks the stream.
        look.progress = None;
        broker.publish(&events).await?;
        let now = clock.now();
        for event in &events {
            metrics.write_to_nats_seconds.observe((now - event.at).as_seconds_f64());
        }
        metrics.relay_published_total.inc_by(u64::try_from(events.len()).unwrap_or(0));
        look.unpublished = look.unpublished.filter(|_| more);
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
