//! Updates the text index of contacts, for accounts that are searched.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock;
use crate::domain::AccountId;
use crate::store::Store;
use crate::worker::{Step, Worker};

/// The longest pause between two steps.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Indexes the accounts that were searched, one step of each in turn.
pub(crate) struct SearchIndex {
    store: Store,
    last: AccountId,
}

impl SearchIndex {
    /// Runs on every replica; any of them does the next step of an account.
    #[must_use]
    pub(crate) fn new(store: Store) -> Self {
        Self { store, last: AccountId(Uuid::nil()) }
    }
}

impl Worker for SearchIndex {
    const NAME: &'static str = "search-index";
    const SWEEP: Duration = Duration::from_mins(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let Some(account) = self.store.next_to_index(self.last) else { return Ok(Step::Idle) };
        self.last = account;
        let began = clock::instant();
        // After an error the next search requests the index again.
        if self.store.index_contacts(account).await? {
            self.store.request_index(account);
        }
        // No caller waits for the index, so half of the time is left to other statements.
        tokio::time::sleep(began.elapsed().min(MAX_PAUSE)).await;
        Ok(Step::Advanced)
    }

    fn wake(&self) -> Arc<Notify> {
        self.store.index_requested()
    }
}
