//! Searches: reads that may look at all rows of an account, and the share of the read pool that they have.
//!
//! All searches together leave connections of the pool free for reads by an index and for settings. An account has a
//! share of the searches' connections. Beyond it, 16 further searches of the account wait, first come first served, and
//! others are refused. Between accounts the next free connection goes to the search that has waited longest. No account has
//! more searches in that queue than its share, so accounts take turns. A slot is released when PostgreSQL has ended the
//! statement, which may be later than the caller's leaving (`reading`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StoreError;
use crate::clock;
use crate::config;
use crate::domain::AccountId;
use crate::metrics::Metrics;

/// Searches of one account that may wait; further ones are refused at once.
const WAITING: usize = 16;
/// The longest wait of a search for its turn; afterwards it is refused.
const PATIENCE: Duration = Duration::from_secs(5);

/// Limits the searches that run at once. Clones share the limits.
#[derive(Clone)]
pub(super) struct Searches {
    shared: Arc<Shared>,
}

struct Shared {
    all: Arc<Semaphore>,
    per_account: usize,
    /// Accounts with a search that runs or waits.
    accounts: Mutex<HashMap<AccountId, Account>>,
    metrics: Metrics,
}

struct Account {
    running: Arc<Semaphore>,
    searches: usize,
}

/// The right to run one search; dropping it gives it back.
pub(super) struct SearchSlot {
    permits: [OwnedSemaphorePermit; 2],
    admitted: AdmittedSearch,
}

/// One of an account's searches, running or waiting.
struct AdmittedSearch {
    shared: Arc<Shared>,
    account: AccountId,
}

impl Searches {
    pub(super) fn new(config: &config::Database, metrics: Metrics) -> Self {
        let all = config.search_count();
        // One account gets at most half of the connections, so that another account finds a free one.
        let per_account = config.searches_per_account.min(all.div_ceil(2));
        let (all, accounts) = (Arc::new(Semaphore::new(all)), Mutex::default());
        Self { shared: Arc::new(Shared { all, per_account, accounts, metrics }) }
    }

    /// Waits for the account's turn.
    pub(super) async fn enter(&self, account: AccountId) -> Result<SearchSlot, StoreError> {
        let metrics = &self.shared.metrics;
        let refused = || metrics.searches_refused_total.inc();
        let (admitted, running) = self.admit(account).ok_or_else(|| {
            refused();
            StoreError::Busy
        })?;
        let started = clock::instant();
        let turn = async {
            let own = running.acquire_owned().await?;
            let one_of_all = Arc::clone(&self.shared.all).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>([own, one_of_all])
        };
        let turn = tokio::time::timeout(PATIENCE, turn).await;
        metrics.search_wait_seconds.observe(started.elapsed().as_secs_f64());
        // The semaphores are never closed.
        let Ok(Ok(permits)) = turn else {
            refused();
            return Err(StoreError::Busy);
        };
        metrics.searches_running.inc();
        Ok(SearchSlot { permits, admitted })
    }

    /// Counts one more search of the account; `None` where too many of them wait.
    fn admit(&self, account: AccountId) -> Option<(AdmittedSearch, Arc<Semaphore>)> {
        let per_account = self.shared.per_account;
        let mut accounts = self.shared.accounts();
        let of = accounts
            .entry(account)
            .or_insert_with(|| Account { running: Arc::new(Semaphore::new(per_account)), searches: 0 });
        if of.searches >= per_account + WAITING {
            return None;
        }
        of.searches += 1;
        Some((AdmittedSearch { shared: Arc::clone(&self.shared), account }, Arc::clone(&of.running)))
    }
}

impl Shared {
    /// Nothing panics while it is held.
    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AdmittedSearch {
    fn drop(&mut self) {
        let mut accounts = self.shared.accounts();
        if let Some(of) = accounts.get_mut(&self.account) {
            // `admit` counted it.
            of.searches -= 1;
            if of.searches == 0 {
                accounts.remove(&self.account);
            }
        }
    }
}

impl Drop for SearchSlot {
    fn drop(&mut self) {
        debug_assert!(self.permits.iter().all(|permit| permit.num_permits() == 1), "a search has one place");
        self.admitted.shared.metrics.searches_running.dec();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn searches(all: usize) -> Searches {
        let config = config::Database { pool: all + 1, searches: all, ..config::Database::default() };
        Searches::new(&config, Metrics::new().unwrap())
    }

    #[tokio::test]
    async fn accounts_take_turns() {
        let searches = searches(1);
        let [many, one] = [1, 2].map(|account| AccountId(Uuid::from_u128(account)));
        let running = searches.enter(many).await.unwrap();
        let mut waiting: Vec<_> = (0..WAITING).map(|_| Box::pin(searches.enter(many))).collect();
        let mut other = Box::pin(searches.enter(one));
        assert!(waiting.iter_mut().all(|search| search.as_mut().now_or_never().is_none()));
        assert!(other.as_mut().now_or_never().is_none());
        drop(running);

        assert!(waiting.iter_mut().all(|search| search.as_mut().now_or_never().is_none()), "it is the other's turn");
        drop(other.await.unwrap());
        assert!(waiting.remove(0).now_or_never().unwrap().is_ok());
    }

    #[tokio::test]
    async fn no_more_wait_than_may_and_who_goes_away_leaves_room() {
        let searches = searches(6);
        let account = AccountId(Uuid::from_u128(1));
        let mut all: Vec<_> = (0..2 + WAITING).map(|_| Box::pin(searches.enter(account))).collect();
        let begun: Vec<_> = all.iter_mut().filter_map(|search| search.as_mut().now_or_never()).collect();
        assert_eq!(begun.len(), 2);
        let refused = || searches.enter(account).now_or_never();
        assert!(matches!(refused(), Some(Err(StoreError::Busy))));

        drop(all.pop());
        assert!(refused().is_none(), "it waits");
        drop((all, begun));
        assert!(searches.shared.accounts().is_empty(), "nothing is kept of an account that searches no more");
    }
}
