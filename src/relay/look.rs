//! One look at one account: how far it is, and the next events of its log into the stream.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::bail;
use uuid::Uuid;

use super::judge::{self, PublishDecision};
use crate::broker::{BATCH, Broker, BrokerError, StreamFacts, Survey};
use crate::clock::Clock;
use crate::contract::Identity;
use crate::domain::{AccountId, Seq, Timestamp};
use crate::feed::{Anchor, EventPage, Feed, PAGE_BYTES, PageLimit};
use crate::metrics::Metrics;
use crate::shard::{Owned, ShardLease};
use crate::store::owner::ShardOwner;
use crate::store::relay::{RelayStatus, Repair};

/// Messages that one look takes out of an account's end.
const REMOVED_AT_ONCE: usize = 1_000;

/// How far an account is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last event.
    pub(super) published: Seq,
    /// Which event that was: the log must still have it there.
    pub(super) last: Option<Identity>,
    /// The place of its message, which must still be the account's last; zero where there is none.
    pub(super) behind: u64,
    /// The cursor in PostgreSQL.
    pub(super) saved: Seq,
    /// A repair that was carried out and that PostgreSQL still asks for.
    pub(super) repaired: Option<Uuid>,
}

impl Progress {
    pub(super) fn is_saved(&self) -> bool {
        self.saved == self.published && self.repaired.is_none()
    }
}

/// The parts of the relay that looks need, which is borrowed by many at once.
pub(super) struct Looking<'a> {
    pub(super) feed: &'a Feed,
    pub(super) broker: &'a Broker,
    pub(super) owned: &'a Owned,
    pub(super) metrics: &'a Metrics,
    pub(super) clock: &'a Clock,
    pub(super) stream: StreamFacts,
}

/// The outcome of one look at one account.
pub(super) struct Look {
    pub(super) account: AccountId,
    pub(super) lease: ShardLease,
    pub(super) progress: Option<Progress>,
    /// The time of the first event that is not published yet, where there is one.
    pub(super) unpublished: Option<Timestamp>,
    pub(super) ending: Ending,
}

/// How it ended.
pub(super) enum Ending {
    Well,
    /// Nothing may be published: the log lacks events that were, up to this one.
    Stopped(Seq),
    Failed(anyhow::Error),
}

/// Whether an account can be published, and from where.
enum Taken {
    Over(Progress),
    Stopped(Seq),
    /// There is no such account.
    Gone,
}

impl Looking<'_> {
    /// Publishes one batch of one account's log.
    pub(super) async fn look(&self, account: AccountId, lease: ShardLease, known: Option<Progress>) -> Look {
        let mut look = Look { account, lease, progress: known, unpublished: None, ending: Ending::Well };
        match self.advance(&mut look).await {
            Ok(ending) => look.ending = ending,
            Err(error) => look.ending = Ending::Failed(error),
        }
        look
    }

    async fn advance(&self, look: &mut Look) -> anyhow::Result<Ending> {
        let account = look.account;
        // What is known may be out of date; what was just read is not, but for a moment.
        for _ in 0..2 {
            let progress = match look.progress.take() {
                Some(progress) => progress,
                None => match self.take_over(account).await? {
                    Taken::Over(progress) => progress,
                    Taken::Stopped(published) => return Ok(Ending::Stopped(published)),
                    Taken::Gone => return Ok(Ending::Well),
                },
            };
            let limit = PageLimit { events: BATCH, bytes: PAGE_BYTES };
            let onward = self.feed.onward(account, progress.published, limit).await?;
            if !is_there(&onward.anchor, progress.last) {
                // From memory it may be what is in memory that is wrong.
                self.feed.forget(account);
                continue;
            }
            let EventPage { events, more } = onward.page;
            let Some(end) = events.last() else {
                look.progress = self.unless_moved(account, progress).await?;
                return Ok(Ending::Well);
            };
            look.unpublished = events.first().map(|event| event.at);
            // When it fails, how far it came is not known here, and the next look asks the stream.
            let behind = match self.broker.publish(&events, progress.behind).await {
                Err(BrokerError::Moved) => {
                    self.metrics.relay_fenced_total.inc();
                    continue;
                }
                published => published?,
            };
            let now = self.clock.now();
            for event in &events {
                self.metrics.write_to_nats_seconds.observe((now - event.at).as_seconds_f64());
            }
            self.metrics.relay_published_total.inc_by(events.len() as u64);
            look.unpublished = look.unpublished.filter(|_| more);
            look.progress = Some(Progress { published: end.seq, last: Some(Identity::of(end)), behind, ..progress });
            return Ok(Ending::Well);
        }
        bail!("the log and the stream are at odds, or another replica publishes the account")
    }

    /// Finds out how far an account is, and repairs its messages where they are not what they should be.
    async fn take_over(&self, account: AccountId) -> anyhow::Result<Taken> {
        let owner: &Arc<ShardOwner> = &self.owned.owner;
        // Before the log: what is published was committed before.
        let mut survey = self.broker.survey(account).await?;
        let Some(standing) = owner.relay_standing(account).await? else { return Ok(Taken::Gone) };
        match standing.repair {
            Some((Repair::Truncate, _)) => survey = self.truncate(account, survey).await?,
            Some((Repair::Refill, _)) | None => {}
        }
        let asked = judge::asked(&standing, &survey);
        let log = owner.logged(account, &asked, self.stream.max_age).await?;
        if let Some((Repair::Refill, _)) = standing.repair {
            return self.refill(account, &standing, judge::before_first(account, &survey, &log), "requested").await;
        }
        match judge::judge(account, &standing, &survey, &log) {
            PublishDecision::Stop { published } => Ok(Taken::Stopped(published)),
            PublishDecision::Refill(lack) => {
                self.refill(account, &standing, judge::before_first(account, &survey, &log), lack.name()).await
            }
            PublishDecision::GoOn { published, behind, is_foreign } => {
                if is_foreign {
                    self.alert(account, &survey);
                }
                Ok(Taken::Over(Progress {
                    published,
                    last: log.get(&published).map(|logged| logged.identity),
                    behind,
                    saved: standing.cursor,
                    repaired: standing.repair.map(|(_, id)| id),
                }))
            }
        }
    }

    /// Takes an account's messages out, so that all that the retention would have kept, and all that was there, is
    /// published again, in order. The cursor goes back first: whatever ends this, the next look goes on from there.
    async fn refill(
        &self,
        account: AccountId,
        standing: &RelayStatus,
        before_first: Option<Seq>,
        reason: &'static str,
    ) -> anyhow::Result<Taken> {
        let owner = &self.owned.owner;
        let retained = owner.retained_after(account, self.stream.max_age).await?;
        // Without a message that the log has, the retention alone says where the stream begins.
        let after = retained.min(before_first.unwrap_or(retained)).min(standing.head);
        owner.put_relay_back(account, after).await?;
        let purged = self.broker.purge(account).await?;
        self.metrics.relay_refills_total.with_label_values(&[reason]).inc();
        tracing::warn!(%account, reason, purged, from = %after.next(), "messages of the account are published again");
        let log = owner.logged(account, &[after], self.stream.max_age).await?;
        Ok(Taken::Over(Progress {
            published: after,
            last: log.get(&after).map(|logged| logged.identity),
            behind: 0,
            saved: standing.cursor.min(after),
            repaired: standing.repair.map(|(_, id)| id),
        }))
    }

    /// Takes out what stands at an account's end and is not in the log.
    async fn truncate(&self, account: AccountId, survey: Survey) -> anyhow::Result<Survey> {
        let mut last = survey.last;
        for removed in 0..REMOVED_AT_ONCE {
            let Some(message) = last else { break };
            let log = match &message.identity {
                Some(identity) => self.owned.owner.logged(account, &[identity.seq], self.stream.max_age).await?,
                None => HashMap::new(),
            };
            if message.identity.is_some_and(|identity| judge::is_logged(account, &identity, &log)) {
                if removed > 0 {
                    tracing::warn!(%account, removed, "messages that the log does not have were taken out");
                }
                break;
            }
            self.broker.remove(message.sequence).await?;
            last = self.broker.last_of(account).await?;
        }
        Ok(self.broker.survey(account).await?)
    }

    fn alert(&self, account: AccountId, survey: &Survey) {
        self.metrics.relay_foreign_total.inc();
        let last = survey.last.as_ref();
        let sequence = last.map(|last| last.sequence);
        let message_id = last.map(|last| last.message_id.as_str());
        tracing::error!(
            %account, stream_sequence = sequence, message_id, messages = survey.messages,
            "the stream has messages of the account that the log does not explain; see `unificus relay verify`"
        );
    }

    /// Nothing to publish, yet something marked the account: where an operator moved the cursor or asked for a repair,
    /// start anew.
    async fn unless_moved(&self, account: AccountId, progress: Progress) -> anyhow::Result<Option<Progress>> {
        if !progress.is_saved() {
            return Ok(Some(progress));
        }
        let standing = self.owned.owner.relay_standing(account).await?;
        let is_same = |standing: RelayStatus| standing.cursor == progress.saved && standing.repair.is_none();
        Ok(standing.is_some_and(is_same).then_some(progress))
    }
}

/// Whether the log still has the event that was published last.
fn is_there(anchor: &Anchor, published: Option<Identity>) -> bool {
    match (anchor, published) {
        (Anchor::Event(event), Some(published)) => Identity::of(event) == published,
        (Anchor::Missing, Some(_)) => false,
        (Anchor::Unknown, _) | (Anchor::Event(_) | Anchor::Missing, None) => true,
    }
}
