//! The relay's work besides publishing: the stream itself, quiet accounts and stopped accounts.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::Relay;
use crate::broker::StreamInfo;
use crate::clock;
use crate::domain::{AccountId, Seq};
use crate::metrics::gauge_value;
use crate::shard::Owned;

/// The interval at which a stopped account is checked, even where it is written to more often.
const STOPPED_INTERVAL: Duration = Duration::from_secs(5);

/// The largest number of stopped accounts that are checked at once.
const MAX_STOPPED_CHECKED: usize = 32;

/// The interval at which the stream itself is checked: replacing it breaks no connection.
const STREAM_INTERVAL: Duration = Duration::from_secs(5);

/// The interval at which the next accounts, in turn, are compared with the stream although nothing was written to them.
const AUDIT_INTERVAL: Duration = Duration::from_secs(2);

/// Accounts of one audit: 100,000 accounts take less than an hour.
const AUDITED_AT_ONCE: i64 = 64;

impl Relay {
    /// Checks the stream after a new connection or owner session, and from time to time. Progress that was known under
    /// another connection, session or stream is saved and forgotten.
    pub(super) async fn refresh_stream(&mut self, owned: &Owned) -> anyhow::Result<StreamInfo> {
        let now = (owned.generation, self.broker.connections());
        let same = self.stream.filter(|_| self.known_under == Some(now));
        if let Some((stream, checked_at)) = same {
            if checked_at.elapsed() < STREAM_INTERVAL {
                return Ok(stream);
            }
            if self.broker.stream_info().await? == Some(stream) {
                self.stream = Some((stream, clock::instant()));
                return Ok(stream);
            }
        }
        self.save(owned).await?;
        let stream = self.broker.ensure_stream().await?;
        if self.stream.is_none_or(|(before, _)| before.created_at_ns != stream.created_at_ns) {
            let accounts = self.store.begin_stream(stream.created_at_ns).await?;
            tracing::info!(accounts, "stream is new; publishing begins with the retained events of these accounts");
        }
        // A server that was replaced may have lost messages that it acknowledged on the old connection.
        self.due.extend(self.known.keys().copied());
        self.known.clear();
        self.unsaved.clear();
        self.known_under = Some(now);
        self.stream = Some((stream, clock::instant()));
        let under = (now.0, now.1, stream.created_at_ns);
        if self.running_under.replace(under) != Some(under) {
            self.abandon();
        }
        Ok(stream)
    }

    /// Marks the next accounts for a comparison with the stream, because a message that the stream lost of a quiet account
    /// would be missing until the next write. Accounts whose cursor is not saved are being published, and are left out.
    pub(super) async fn audit(&mut self) -> anyhow::Result<()> {
        let (last, checked_at) = self.audited;
        if checked_at.elapsed() < AUDIT_INTERVAL {
            return Ok(());
        }
        let page = self.store.relayed_accounts(last, AUDITED_AT_ONCE).await?;
        // After an empty page the next one begins with the first account again.
        self.audited = (page.last().copied().unwrap_or(AccountId(Uuid::nil())), clock::instant());
        let is_published = |account: &AccountId| self.unsaved.contains(account) || self.running.has(*account);
        let quiet: Vec<AccountId> = page.into_iter().filter(|account| !is_published(account)).collect();
        for account in quiet {
            self.known.remove(&account);
            self.due.insert(account);
        }
        Ok(())
    }

    /// Takes stopped accounts off the list, except a few whose check is due.
    pub(super) fn limit_stopped(&mut self, owned: &Owned) {
        self.stopped.retain(|account, _| owned.lease(*account).is_some());
        self.metrics.relay_stopped_accounts.set(gauge_value(self.stopped.len()));
        let due =
            self.stopped.iter().filter(|(_, seen)| seen.elapsed() >= STOPPED_INTERVAL).map(|(account, _)| *account);
        let due: HashSet<AccountId> = due.take(MAX_STOPPED_CHECKED).collect();
        self.due.retain(|account| !self.stopped.contains_key(account));
        self.due.extend(due);
    }

    /// Stops publishing an account, and logs it once. Events of it in memory, here and in other replicas, are dropped,
    /// because they may be events that the log has lost.
    pub(super) fn stop(&mut self, account: AccountId, published: Seq) {
        if self.stopped.insert(account, clock::instant()).is_none() {
            tracing::error!(
                %account, %published,
                "relay stopped: the log lacks published events, so it was restored from a backup; run \
                 `unificus log restored`"
            );
        }
        self.feed.forget(account);
        self.broker.hints().written(&[account]);
    }
}
