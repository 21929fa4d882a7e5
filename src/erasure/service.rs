//! How far erasures are, for those who asked for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock;
use crate::domain::{AccountId, Uid};
use crate::store::erasure::{Erasure, ErasureStage};
use crate::store::{Store, StoreError};

/// The interval at which a caller looks, and wakes the worker.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Reads the progress of erasures. Cloning shares it.
#[derive(Clone)]
pub struct ErasureService {
    store: Store,
    wake: Arc<Notify>,
}

impl ErasureService {
    /// Reads from this database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, wake: Arc::default() }
    }

    /// Notified while somebody waits for an erasure.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// How far the erasure of a contact is; `None` where it was not erased.
    pub async fn progress(&self, account: AccountId, uid: Uid) -> Result<Option<Erasure>, StoreError> {
        self.store.erasure(account, uid).await
    }

    /// Waits until the erasure is done, for this time at most.
    pub async fn wait(&self, account: AccountId, uid: Uid, longest: Duration) -> Result<Option<Erasure>, StoreError> {
        let began = clock::instant();
        loop {
            let progress = self.progress(account, uid).await?;
            if progress.as_ref().is_none_or(is_done) || began.elapsed() >= longest {
                return Ok(progress);
            }
            self.wake.notify_one();
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

fn is_done(erasure: &Erasure) -> bool {
    erasure.stage == ErasureStage::Done
}
