//! Checks the keys of all sessions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Sessions;
use crate::clock;
use crate::domain::AccountId;
use crate::store::Store;
use crate::worker::{Step, Worker};

/// The most keys that one statement checks; more take several statements.
const AT_ONCE: usize = 1_000;

/// Ends the sessions of keys that were deleted or have expired.
pub(crate) struct KeyCheck {
    sessions: Arc<Sessions>,
    store: Store,
}

impl KeyCheck {
    /// Checks the keys of the sessions in `sessions`.
    pub(in crate::http) fn new(sessions: Arc<Sessions>, store: Store) -> Self {
        Self { sessions, store }
    }
}

impl Worker for KeyCheck {
    const NAME: &'static str = "key check";
    /// Shorter than [`super::FRESH`] by more than a check takes, so that streams are not interrupted.
    const SWEEP: Duration = Duration::from_millis(750);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let began = clock::instant();
        let open: Vec<((AccountId, Uuid), CancellationToken)> = self.sessions.open_keys();
        for open in open.chunks(AT_ONCE) {
            let keys: Vec<(AccountId, Uuid)> = open.iter().map(|(key, _)| *key).collect();
            let working = self.store.working_keys(&keys).await?;
            for (key @ (account, key_id), gone) in open {
                if !working.contains(key) && !gone.is_cancelled() {
                    gone.cancel();
                    self.sessions.metrics.feed_keys_gone_total.inc();
                    tracing::info!(%account, %key_id, "key no longer works; its streams and long polls end");
                }
            }
        }
        // A session that was opened meanwhile counts from its own beginning.
        self.sessions.checked_at.send_replace(began);
        Ok(Step::Idle)
    }

    /// Never notified: the interval alone runs the check.
    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

impl Sessions {
    fn open_keys(&self) -> Vec<((AccountId, Uuid), CancellationToken)> {
        let keys = self.keys();
        let of_account = |(account, of_account): (&AccountId, &std::collections::HashMap<Uuid, super::OfKey>)| {
            let account = *account;
            of_account.iter().map(move |(key_id, of_key)| ((account, *key_id), of_key.gone.clone())).collect::<Vec<_>>()
        };
        keys.iter().flat_map(of_account).collect()
    }
}
