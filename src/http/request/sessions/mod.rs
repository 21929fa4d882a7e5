//! Sessions: responses that go on after their caller was authenticated. A stream is one, a long poll is one.
//!
//! Guarantees:
//!
//! * [`Session::key_works`] resolves on a check that began at most [`FRESH`] ago, or within [`FRESH`] of the session's
//!   opening. A stream waits for it after it has read events and before it sends them; a long poll waits for it once, when
//!   there are events and before it reads them.
//! * [`KeyCheck`] checks each key once for all its sessions, up to 1,000 keys in a statement. It finds deleted keys by
//!   itself, without a message from the replica that deleted them.
//! * A session whose key was deleted or has expired ends at the next check.
//! * While keys cannot be checked because the database cannot be reached, no events are sent, but sessions stay open:
//!   they end one by one after 30 to 60 s, so that clients do not all reconnect at once.
//! * The number of sessions of an account and of a key is bounded.

mod check;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntGauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) use check::KeyCheck;

use super::caller::Caller;
use crate::clock;
use crate::config;
use crate::domain::AccountId;
use crate::http::response::problem::Problem;
use crate::metrics::Metrics;

/// A check that is older than this is no evidence that the key works.
const FRESH: Duration = Duration::from_millis(1_500);

/// A session whose key cannot be checked ends after this time at the earliest, and after twice this time at the latest.
const GRACE: Duration = Duration::from_secs(30);

/// The kind of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum SessionKind {
    Stream,
    LongPoll,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum SessionEnd {
    /// The key was deleted or has expired.
    KeyGone,
    /// The key could not be checked for too long.
    Unchecked,
}

/// All sessions of this replica.
pub(in crate::http) struct Sessions {
    keys: Mutex<HashMap<AccountId, HashMap<Uuid, OfKey>>>,
    /// The begin of the last check that reached all keys.
    checked_at: watch::Sender<Instant>,
    limits: config::FeedConfig,
    metrics: Metrics,
}

/// The sessions of one key.
#[derive(Default)]
struct OfKey {
    streams: usize,
    long_polls: usize,
    gone: CancellationToken,
}

impl OfKey {
    fn count(&mut self, kind: SessionKind) -> &mut usize {
        match kind {
            SessionKind::Stream => &mut self.streams,
            SessionKind::LongPoll => &mut self.long_polls,
        }
    }
}

/// A session, counted until it is dropped.
pub(in crate::http) struct Session {
    sessions: Arc<Sessions>,
    account: AccountId,
    key_id: Uuid,
    kind: SessionKind,
    gone: CancellationToken,
    /// Counts as the time of the first check. The caller was authenticated before: for a stream just before, for a long
    /// poll before the end of the log was read.
    opened_at: Instant,
    grace: Duration,
}

impl Sessions {
    pub(in crate::http) fn new(limits: config::FeedConfig, metrics: Metrics) -> Arc<Self> {
        let checked_at = watch::channel(clock::instant()).0;
        Arc::new(Self { keys: Mutex::default(), checked_at, limits, metrics })
    }

    /// Opens a session for a caller who was authenticated in this request; refuses with 429 beyond a limit.
    pub(in crate::http) fn open(self: &Arc<Self>, caller: &Caller, kind: SessionKind) -> Result<Session, Problem> {
        let Caller { account, key_id, .. } = *caller;
        let mut keys = self.keys();
        let of_account = keys.entry(account).or_default();
        let of_all_keys: usize = of_account.values_mut().map(|key| *key.count(kind)).sum();
        let of_key = of_account.entry(key_id).or_default();
        let refusal = match kind {
            SessionKind::Stream if of_key.streams >= self.limits.streams_per_key => Some(Limit::StreamsOfKey),
            SessionKind::Stream if of_all_keys >= self.limits.streams_per_account => Some(Limit::StreamsOfAccount),
            SessionKind::LongPoll if of_all_keys >= self.limits.long_polls_per_account => {
                Some(Limit::LongPollsOfAccount)
            }
            SessionKind::Stream | SessionKind::LongPoll => None,
        };
        if let Some(limit) = refusal {
            // Removes the entry that was made for the refused session.
            forget_empty(&mut keys, account, key_id);
            drop(keys);
            self.metrics.feed_refused_total.with_label_values(&[limit.label()]).inc();
            return Err(limit.refusal(&self.limits));
        }
        *of_key.count(kind) += 1;
        let gone = of_key.gone.clone();
        drop(keys);
        self.gauge(kind).inc();
        let grace = GRACE.mul_f64(1.0 + rand::random::<f64>());
        Ok(Session { sessions: Arc::clone(self), account, key_id, kind, gone, opened_at: clock::instant(), grace })
    }

    fn gauge(&self, kind: SessionKind) -> &IntGauge {
        match kind {
            SessionKind::Stream => &self.metrics.feed_streams,
            SessionKind::LongPoll => &self.metrics.feed_long_polls,
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<AccountId, HashMap<Uuid, OfKey>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_empty(keys: &mut HashMap<AccountId, HashMap<Uuid, OfKey>>, account: AccountId, key_id: Uuid) {
    let Some(of_account) = keys.get_mut(&account) else { return };
    if of_account.get(&key_id).is_some_and(|key| key.streams + key.long_polls == 0) {
        of_account.remove(&key_id);
    }
    if of_account.is_empty() {
        keys.remove(&account);
    }
}

impl Session {
    /// Resolves when the session must end.
    pub(in crate::http) async fn ended(&self) -> SessionEnd {
        tokio::select! {
            biased;
            () = self.gone.cancelled() => SessionEnd::KeyGone,
            () = self.unchecked() => SessionEnd::Unchecked,
        }
    }

    /// Resolves when the key is known to work. Never resolves for a key that is gone.
    pub(in crate::http) async fn key_works(&self) {
        let mut checked_at = self.sessions.checked_at.subscribe();
        loop {
            let last = (*checked_at.borrow_and_update()).max(self.opened_at);
            if last.elapsed() <= FRESH && !self.gone.is_cancelled() {
                return;
            }
            // The sender lives as long as the sessions do, so this never fails.
            let _changed = checked_at.changed().await;
        }
    }

    async fn unchecked(&self) {
        let checked_at = self.sessions.checked_at.subscribe();
        loop {
            let last = (*checked_at.borrow()).max(self.opened_at);
            let left = self.grace.saturating_sub(last.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut keys = self.sessions.keys();
        let of_key = keys.get_mut(&self.account).and_then(|of_account| of_account.get_mut(&self.key_id));
        if let Some(of_key) = of_key {
            *of_key.count(self.kind) -= 1;
            forget_empty(&mut keys, self.account, self.key_id);
        }
        drop(keys);
        self.sessions.gauge(self.kind).dec();
    }
}

/// A limit of the number of sessions.
#[derive(Debug, Clone, Copy)]
enum Limit {
    StreamsOfKey,
    StreamsOfAccount,
    LongPollsOfAccount,
}

impl Limit {
    fn label(self) -> &'static str {
        match self {
            Self::StreamsOfKey => "streams_per_key",
            Self::StreamsOfAccount => "streams_per_account",
            Self::LongPollsOfAccount => "long_polls_per_account",
        }
    }

    fn refusal(self, limits: &config::FeedConfig) -> Problem {
        match self {
            Self::StreamsOfKey => Problem::too_many_sessions(format!(
                "This key has {} streams open, which is the limit. Close one, or follow several kinds of records on one stream.",
                limits.streams_per_key
            )),
            Self::StreamsOfAccount => Problem::too_many_sessions(format!(
                "The account has {} streams open, which is the limit. Close one first.",
                limits.streams_per_account
            )),
            Self::LongPollsOfAccount => Problem::too_many_sessions(format!(
                "The account has {} requests waiting for changes, which is the limit. Send the request without `wait`, or when \
                 one of them has ended.",
                limits.long_polls_per_account
            )),
        }
    }
}
