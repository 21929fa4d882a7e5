//! Brings the index of contacts' texts forward for accounts that are searched.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock;
use crate::domain::AccountId;
use crate::store::Store;
use crate::worker::{Step, Worker};

/// The longest rest between two steps.
const MAX_REST: Duration = Duration::from_secs(1);

/// Indexes the accounts that asked for it, a step each in turn.
pub struct SearchIndex {
    store: Store,
    last: AccountId,
}

impl SearchIndex {
    /// For every account, on any replica: whoever comes first does a step.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, last: AccountId(Uuid::nil()) }
    }
}

impl Worker for SearchIndex {
    const NAME: &'static str = "search_index";
    const SWEEP: Duration = Duration::from_mins(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let Some(account) = self.store.next_to_index(self.last) else { return Ok(Step::Idle) };
        self.last = account;
        let began = clock::instant();
        // Should it fail, the next search asks again.
        if self.store.index_contacts(account).await? {
            self.store.ask_for_index(account);
        }
        // Half of the time is left to others: no caller waits for this.
        tokio::time::sleep(began.elapsed().min(MAX_REST)).await;
        Ok(Step::Advanced)
    }

    fn wake(&self) -> Arc<Notify> {
        self.store.index_asked()
    }
}
