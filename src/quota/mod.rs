//! The ledger of calls: counted in memory, added to the account's month once a second.
//!
//! A crash forgets at most the last second of counting, which is in the customer's favour. It does not refuse calls
//! yet; it counts them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use time::Date;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::account::Tier;
use crate::domain::{AccountId, Timestamp};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::quota::Use;
use crate::worker::{Step, Worker};

/// Bands of use, in percent of the month's calls: up to 50, 80, 95, below the limit, and at it.
const BANDS: [(&str, u64); 5] = [("0-50", 50), ("50-80", 80), ("80-95", 95), ("95-100", 100), ("over", u64::MAX)];

/// Accounts that have gauges of their own.
const TOP: usize = 100;

/// Calls that are not yet in the database. Cloning shares it.
#[derive(Clone, Default)]
pub struct Ledger {
    calls: Arc<Mutex<BTreeMap<(AccountId, Date), u64>>>,
}

impl Ledger {
    /// Counts one call.
    pub fn count(&self, account: AccountId, at: Timestamp) {
        *self.lock().entry((account, month(at))).or_default() += 1;
    }

    /// Adds what was counted to the accounts' months. What cannot be written is kept for the next time.
    pub async fn flush(&self, store: &Store) -> anyhow::Result<bool> {
        let counted = std::mem::take(&mut *self.lock());
        if counted.is_empty() {
            return Ok(false);
        }
        let calls: Vec<_> = counted.iter().map(|((account, month), used)| (*account, *month, *used)).collect();
        if let Err(error) = store.add_calls(&calls).await {
            let mut ledger = self.lock();
            for (key, used) in counted {
                *ledger.entry(key).or_default() += used;
            }
            return Err(error.into());
        }
        Ok(true)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(AccountId, Date), u64>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the ledger once a second.
pub struct Flush {
    ledger: Ledger,
    store: Store,
}

impl Flush {
    /// The ledger stays the caller's to count in.
    #[must_use]
    pub fn new(ledger: Ledger, store: Store) -> Self {
        Self { ledger, store }
    }
}

impl Worker for Flush {
    const NAME: &'static str = "quota-flush";
    const SWEEP: Duration = Duration::from_secs(1);

    async fn step(&mut self) -> anyhow::Result<Step> {
        // Even after a write it is idle until the next second: that is what makes one write of many calls.
        self.ledger.flush(&self.store).await.map(|_| Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

/// Keeps the gauges of quota use.
pub struct Gauges {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    top_accounts: bool,
}

impl Gauges {
    /// `top_accounts` says whether single accounts may be shown.
    #[must_use]
    pub fn new(store: Store, clock: Clock, metrics: Metrics, top_accounts: bool) -> Self {
        Self { store, clock, metrics, top_accounts }
    }

    fn show_bands(&self, uses: &[Use]) {
        for (band, _) in BANDS {
            self.metrics.quota_accounts.with_label_values(&[band]).set(0);
        }
        for account in uses {
            self.metrics.quota_accounts.with_label_values(&[band(account)]).inc();
        }
    }

    fn show_top(&self, mut uses: Vec<Use>) {
        self.metrics.quota_used.reset();
        self.metrics.quota_limit.reset();
        if !self.top_accounts {
            return;
        }
        uses.retain(|account| account.used > 0);
        uses.sort_unstable_by_key(|account| (std::cmp::Reverse(percent(account)), account.account));
        for account in uses.iter().take(TOP) {
            let label = account.account.to_string();
            let gauge = |value| i64::try_from(value).unwrap_or(i64::MAX);
            self.metrics.quota_used.with_label_values(&[&label]).set(gauge(account.used));
            self.metrics.quota_limit.with_label_values(&[&label]).set(gauge(account.tier.monthly_calls()));
        }
    }
}

impl Worker for Gauges {
    const NAME: &'static str = "quota-gauges";
    const SWEEP: Duration = Duration::from_secs(10);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let uses = self.store.quota_use(month(self.clock.now())).await?;
        self.show_bands(&uses);
        self.show_top(uses);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

/// Counts a call in the metrics.
pub fn meter(metrics: &Metrics, tier: Tier, counted: bool) {
    let outcome = if counted { "counted" } else { "free" };
    metrics.quota_calls_total.with_label_values(&[tier.name(), outcome]).inc();
}

fn percent(account: &Use) -> u64 {
    account.used.saturating_mul(100) / account.tier.monthly_calls()
}

fn band(account: &Use) -> &'static str {
    let percent = percent(account);
    BANDS.iter().find(|(_, below)| percent < *below).map_or("over", |(band, _)| band)
}

/// The calendar month (UTC) of a moment, as its first day.
fn month(at: Timestamp) -> Date {
    let date = at.to_offset(time::UtcOffset::UTC).date();
    date.replace_day(1).unwrap_or(date)
}
