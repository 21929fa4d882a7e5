//! What the relay looks after besides publishing: the stream itself, accounts that are quiet, and accounts that are
//! stopped.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::Relay;
use crate::broker::StreamFacts;
use crate::clock;
use crate::domain::{AccountId, Seq};
use crate::metrics::gauge_value;
use crate::shard::Owned;

/// An account that is stopped is looked at again after this time, whatever marks it, and so many of them at once.
const AFTER_STOP: Duration = Duration::from_secs(5);
const STOPPED_AT_ONCE: usize = 32;

/// The stream itself is looked at this often: one that was deleted and made anew breaks no connection.
const STREAM_EVERY: Duration = Duration::from_secs(5);

/// So many accounts are compared with the stream this often, in turn, though nothing was written to them: 100,000 in
/// less than an hour.
const AUDIT_EVERY: Duration = Duration::from_secs(2);
const AUDITED_AT_ONCE: i64 = 64;

impl Relay {
    /// After a new connection the stream is looked at, and what was known is forgotten; from time to time it is looked at
    /// in any case.
    pub(super) async fn renew(&mut self, owned: &Owned) -> anyhow::Result<StreamFacts> {
        let now = (owned.generation, self.broker.connections());
        let same = self.stream.filter(|_| self.under == Some(now));
        if let Some((stream, looked_at)) = same {
            if looked_at.elapsed() < STREAM_EVERY {
                return Ok(stream);
            }
            if self.broker.stream_facts().await? == Some(stream) {
                self.stream = Some((stream, clock::instant()));
                return Ok(stream);
            }
        }
        let stream = self.broker.ensure_stream().await?;
        if self.stream.is_none_or(|(before, _)| before.made_at_ns != stream.made_at_ns) {
            let accounts = self.store.begin_stream(stream.made_at_ns).await?;
            tracing::info!(accounts, "the stream is another one than was published to, or it was not known which");
        }
        // What this process published through the old connection may not have outlived the server.
        self.todo.extend(self.known.keys().copied());
        self.known.clear();
        self.unsaved.clear();
        self.under = Some(now);
        self.stream = Some((stream, clock::instant()));
        Ok(stream)
    }

    /// Lets the next few accounts be compared with the stream though nobody wrote to them: what it lost of an account
    /// that is quiet would else be missed until the next write. Those with an unwritten cursor are published just now.
    pub(super) async fn audit(&mut self) -> anyhow::Result<()> {
        let (last, looked_at) = self.audited;
        if looked_at.elapsed() < AUDIT_EVERY {
            return Ok(());
        }
        let page = self.store.relayed_accounts(last, AUDITED_AT_ONCE).await?;
        // An empty page is the end: the next one begins with the first account again.
        self.audited = (page.last().copied().unwrap_or(AccountId(Uuid::nil())), clock::instant());
        for account in page.into_iter().filter(|account| !self.unsaved.contains(account)) {
            self.known.remove(&account);
            self.todo.insert(account);
        }
        Ok(())
    }

    /// Of the accounts that are stopped, only the few whose turn it is are looked at.
    pub(super) fn leave_stopped(&mut self, owned: &Owned) {
        self.stopped.retain(|account, _| owned.lease(*account).is_some());
        self.metrics.relay_stopped_accounts.set(gauge_value(self.stopped.len()));
        let due = self.stopped.iter().filter(|(_, seen)| seen.elapsed() >= AFTER_STOP).map(|(account, _)| *account);
        let due: HashSet<AccountId> = due.take(STOPPED_AT_ONCE).collect();
        self.todo.retain(|account| !self.stopped.contains_key(account));
        self.todo.extend(due);
    }

    /// Publishes nothing of an account any more, and says so once. What is in memory of its log, here and elsewhere, may
    /// be what the log has lost.
    pub(super) fn stop(&mut self, account: AccountId, published: Seq) {
        if self.stopped.insert(account, clock::instant()).is_none() {
            tracing::error!(
                %account, %published,
                "the log lacks events that were published: it was restored from a backup; nothing of the account is \
                 published until `unificus log restored` was run"
            );
        }
        self.feed.forget(account);
        self.broker.hints().written(&[account]);
    }
}
