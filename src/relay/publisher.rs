//! One pass over one account: finds out how far it is published, and publishes the next events of its log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use uuid::Uuid;

use super::decide::{self, PublishDecision};
use crate::broker::{BATCH, Broker, BrokerError, PublishFeatures, StreamInfo, Survey};
use crate::clock::{self, Clock};
use crate::contract::{EncodedEvent, Identity};
use crate::domain::{AccountId, Seq, Timestamp};
use crate::feed::{Anchor, EventPage, Feed, PAGE_BYTES, PageLimit};
use crate::metrics::Metrics;
use crate::shard::ShardLease;
use crate::store::owner::{RelayMove, ShardOwner};
use crate::store::relay::{RelayStatus, Repair};
use crate::traces::{SpanKind, Tracer};

/// The largest number of messages that one pass removes from an account's end.
const MAX_REMOVED: usize = 1_000;

/// How far an account is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// The last event that is published.
    pub(super) published: Seq,
    /// The identity of that event, which the log must still have at that position.
    pub(super) last: Option<Identity>,
    /// The stream sequence of its message, which must still be the account's last; zero where there is none.
    pub(super) expected_last: u64,
    /// The cursor in PostgreSQL.
    pub(super) saved: Seq,
    /// The id of a repair that is done and that PostgreSQL still requests.
    pub(super) repaired: Option<Uuid>,
}

impl Progress {
    pub(super) fn is_saved(&self) -> bool {
        self.saved == self.published && self.repaired.is_none()
    }
}

/// The parts of the relay that passes need; the passes of a step share it.
pub(super) struct AccountPublisher {
    pub(super) feed: Feed,
    pub(super) broker: Broker,
    pub(super) owner: Arc<ShardOwner>,
    pub(super) metrics: Metrics,
    pub(super) tracer: Tracer,
    pub(super) clock: Clock,
    pub(super) stream: StreamInfo,
    pub(super) features: PublishFeatures,
}

/// The states of accounts that several passes share; `None` where they could not be read.
pub(super) type SharedStatuses = Shared<BoxFuture<'static, Option<Arc<HashMap<AccountId, RelayStatus>>>>>;

/// The result of one pass over one account.
pub(super) struct Pass {
    pub(super) account: AccountId,
    pub(super) lease: ShardLease,
    pub(super) progress: Option<Progress>,
    /// The time of the first event that is not published yet, if any.
    pub(super) unpublished: Option<Timestamp>,
    pub(super) outcome: PassOutcome,
}

/// The outcome of a pass.
pub(super) enum PassOutcome {
    Done,
    /// Nothing may be published, because the log lacks published events, up to this one.
    Stopped(Seq),
    Failed(anyhow::Error),
}

/// Whether an account can be published, and from where.
enum Takeover {
    Ready(Progress),
    Stopped(Seq),
    /// There is no such account.
    NoAccount,
}

impl AccountPublisher {
    /// Reads the states of accounts whose progress is not known, in one statement for all of them.
    pub(super) fn statuses(&self, accounts: Vec<AccountId>) -> SharedStatuses {
        let owner = Arc::clone(&self.owner);
        // After an error each pass reads its own account's state; that statement's error is its outcome.
        let read = async move { owner.relay_statuses(&accounts).await.ok().map(Arc::new) };
        read.boxed().shared()
    }

    /// Publishes one batch of one account's log. `known` is its progress, or otherwise its state is in `statuses`.
    pub(super) async fn publish(
        &self,
        account: AccountId,
        lease: ShardLease,
        known: Option<Progress>,
        statuses: SharedStatuses,
    ) -> Pass {
        let mut pass = Pass { account, lease, progress: known, unpublished: None, outcome: PassOutcome::Done };
        match self.advance(&mut pass, statuses).await {
            Ok(outcome) => pass.outcome = outcome,
            Err(error) => pass.outcome = PassOutcome::Failed(error),
        }
        pass
    }

    async fn advance(&self, pass: &mut Pass, statuses: SharedStatuses) -> anyhow::Result<PassOutcome> {
        let account = pass.account;
        let assumed = if pass.progress.is_some() { None } else { never_published(account, statuses.await) };
        let is_assumed = assumed.is_some();
        pass.progress = pass.progress.or(assumed);
        // Known progress may be out of date: then it is read again, once.
        for attempt in 0..2 + usize::from(is_assumed) {
            let progress = match pass.progress.take() {
                Some(progress) => progress,
                None => match self.take_over(account).await? {
                    Takeover::Ready(progress) => progress,
                    Takeover::Stopped(published) => return Ok(PassOutcome::Stopped(published)),
                    Takeover::NoAccount => return Ok(PassOutcome::Done),
                },
            };
            // The sweep marks an account until its cursor is saved. After that it marks it only where the log has more.
            if !progress.is_saved() && self.feed.ends_at(account, progress.published) {
                pass.progress = Some(progress);
                return Ok(PassOutcome::Done);
            }
            let limit = PageLimit { events: BATCH, bytes: PAGE_BYTES };
            let onward = self.feed.onward(account, progress.published, limit).await?;
            if !is_in_log(&onward.anchor, progress.last) {
                // The events may have come from memory, which may be of a log before a restore.
                self.feed.forget(account);
                continue;
            }
            let EventPage { events, more } = onward.page;
            let Some(end) = events.last() else {
                pass.progress = self.unless_changed(account, progress).await?;
                return Ok(PassOutcome::Done);
            };
            pass.unpublished = events.first().map(|event| event.at);
            let began = clock::instant();
            // After an error the progress is not known; the next pass reads the stream.
            let expected_last = match self.broker.publish(&events, progress.expected_last, self.features).await {
                Err(BrokerError::WrongLastMessage) => {
                    if attempt > 0 || !is_assumed {
                        self.metrics.relay_fenced_total.inc();
                    }
                    self.save(account, progress).await?;
                    continue;
                }
                published => published?,
            };
            let now = self.clock.now();
            for event in &events {
                self.metrics.write_to_nats_seconds.observe((now - event.at).as_seconds_f64());
            }
            self.metrics.relay_published_total.inc_by(events.len() as u64);
            if self.tracer.is_on() {
                self.trace(&events, began);
            }
            pass.unpublished = pass.unpublished.filter(|_| more);
            pass.progress =
                Some(Progress { published: end.seq, last: Some(Identity::of(end)), expected_last, ..progress });
            return Ok(PassOutcome::Done);
        }
        bail!("the log and the stream do not match, or another replica publishes the account")
    }

    /// Records a span for each traced event of a publish.
    fn trace(&self, events: &[EncodedEvent], began: Instant) {
        for event in events {
            let Some(span) = self.tracer.child(event.traceparent(), began) else { continue };
            let attributes = vec![
                ("messaging.system", "nats".into()),
                ("unificus.account", event.account.to_string().into()),
                ("unificus.seq", event.seq.to_string().into()),
                ("unificus.events", events.len().into()),
            ];
            span.end("relay".to_owned(), SpanKind::Producer, false, attributes);
        }
    }

    /// Saves the cursor of an account whose last message is another one than expected. Where that message is none of the log's,
    /// only the cursor says how far the account is published.
    async fn save(&self, account: AccountId, progress: Progress) -> anyhow::Result<()> {
        let Progress { published, saved, repaired, .. } = progress;
        if !progress.is_saved() {
            let moved = RelayMove { account, from: saved, to: published, repair: repaired };
            // A cursor that was moved meanwhile stays where it is.
            self.owner.save_relay(&[moved], self.stream.created_at_ns).await?;
        }
        Ok(())
    }

    /// Finds out how far an account is published, and repairs its messages where some are missing.
    async fn take_over(&self, account: AccountId) -> anyhow::Result<Takeover> {
        let owner = &self.owner;
        // The stream is read before the log, so that each of its events is in the log already.
        let mut survey = self.broker.survey(account).await?;
        let Some(status) = owner.relay_status(account).await? else { return Ok(Takeover::NoAccount) };
        match status.repair {
            Some((Repair::Truncate, _)) => survey = self.truncate(account, survey).await?,
            Some((Repair::Refill, _)) | None => {}
        }
        let removed = owner.removed_messages(account).await?;
        let seqs = decide::seqs_to_check(&status, &survey, &removed);
        let log = owner.logged(account, &seqs, self.stream.max_age).await?;
        if let Some((Repair::Refill, _)) = status.repair {
            return self.refill(account, &status, decide::before_first(account, &survey, &log), "requested").await;
        }
        match decide::decide(account, &status, &survey, &log, &removed) {
            PublishDecision::Stop { published } => Ok(Takeover::Stopped(published)),
            PublishDecision::Refill(gap) => {
                self.refill(account, &status, decide::before_first(account, &survey, &log), gap.name()).await
            }
            PublishDecision::Continue { published, expected_last, has_foreign } => {
                if has_foreign {
                    self.alert(account, &survey);
                }
                Ok(Takeover::Ready(Progress {
                    published,
                    last: log.get(&published).map(|logged| logged.identity),
                    expected_last,
                    saved: status.cursor,
                    repaired: status.repair.map(|(_, id)| id),
                }))
            }
        }
    }

    /// Removes an account's messages and lets publishing begin again, with everything that the stream had or that the
    /// retention would have kept. The cursor is set back first, so that the next pass continues an interrupted refill.
    async fn refill(
        &self,
        account: AccountId,
        status: &RelayStatus,
        before_first: Option<Seq>,
        reason: &'static str,
    ) -> anyhow::Result<Takeover> {
        let owner = &self.owner;
        let retained = owner.retained_after(account, self.stream.max_age).await?;
        // Where the log has none of the messages, the retention alone decides where the stream begins.
        let after = retained.min(before_first.unwrap_or(retained)).min(status.head);
        owner.put_relay_back(account, after).await?;
        // All events are published again, those too of which an erasure has changed the contents.
        owner.forget_removed_messages(account).await?;
        let purged = self.broker.purge(account).await?;
        self.metrics.relay_refills_total.with_label_values(&[reason]).inc();
        tracing::warn!(%account, reason, messages = purged, from = %after.next(), "messages removed; they are published again");
        let log = owner.logged(account, &[after], self.stream.max_age).await?;
        Ok(Takeover::Ready(Progress {
            published: after,
            last: log.get(&after).map(|logged| logged.identity),
            expected_last: 0,
            saved: status.cursor.min(after),
            repaired: status.repair.map(|(_, id)| id),
        }))
    }

    /// Removes messages at an account's end that are not in the log.
    async fn truncate(&self, account: AccountId, survey: Survey) -> anyhow::Result<Survey> {
        let mut last = survey.last;
        for removed in 0..MAX_REMOVED {
            let Some(message) = last else { break };
            let log = match &message.identity {
                Some(identity) => self.owner.logged(account, &[identity.seq], self.stream.max_age).await?,
                None => HashMap::new(),
            };
            if message.identity.is_some_and(|identity| decide::is_logged(account, &identity, &log)) {
                if removed > 0 {
                    tracing::warn!(%account, messages = removed, "messages removed; the log does not have them");
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
            "stream has messages that the log does not have; run `unificus relay verify`"
        );
    }

    /// Keeps the progress of an account without events to publish, unless an operator moved its cursor or requested a
    /// repair.
    async fn unless_changed(&self, account: AccountId, progress: Progress) -> anyhow::Result<Option<Progress>> {
        if !progress.is_saved() {
            return Ok(Some(progress));
        }
        let status = self.owner.relay_status(account).await?;
        let is_same = |status: RelayStatus| status.cursor == progress.saved && status.repair.is_none();
        Ok(status.is_some_and(is_same).then_some(progress))
    }
}

/// The progress of an account of which nothing is recorded as published: its first message comes next.
///
/// The stream need not be asked before, because the server compares: it stores the first message only where the stream has
/// none of the account. Otherwise the account is taken over like others. So the first write of an account costs no request
/// besides the publish itself. An account without events is not assumed anything of, because nothing would be compared.
fn never_published(account: AccountId, statuses: Option<Arc<HashMap<AccountId, RelayStatus>>>) -> Option<Progress> {
    let RelayStatus { head, cursor, repair } = *statuses?.get(&account)?;
    let is_new = cursor == Seq::ZERO && head > cursor && repair.is_none();
    is_new.then_some(Progress { published: cursor, last: None, expected_last: 0, saved: cursor, repaired: None })
}

/// Whether the log still has the event that was published last.
fn is_in_log(anchor: &Anchor, published: Option<Identity>) -> bool {
    match (anchor, published) {
        (Anchor::Event(event), Some(published)) => Identity::of(event) == published,
        (Anchor::Missing, Some(_)) => false,
        (Anchor::Unknown, _) | (Anchor::Event(_) | Anchor::Missing, None) => true,
    }
}
