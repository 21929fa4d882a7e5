//! The gauges of quota use.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::metrics::{Metrics, gauge_value};
use crate::store::Store;
use crate::store::quota::Use;
use crate::worker::{Step, Worker};

/// Bands of use and the end of each, in percent of the month's calls: below 50, 80, 95 and 100, and at the limit.
const BANDS: [(&str, u64); 5] = [("0-50", 50), ("50-80", 80), ("80-95", 95), ("95-100", 100), ("over", u64::MAX)];

/// The number of accounts that have gauges of their own.
const TOP: usize = 100;

/// Sets the gauges of quota use every ten seconds.
pub struct QuotaGauges {
    store: Store,
    metrics: Metrics,
    top_accounts: bool,
}

impl QuotaGauges {
    /// With `top_accounts`, the accounts that used most of their quota have gauges of their own.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics, top_accounts: bool) -> Self {
        Self { store, metrics, top_accounts }
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
            self.metrics.quota_used.with_label_values(&[&label]).set(gauge_value(account.used));
            self.metrics.quota_limit.with_label_values(&[&label]).set(gauge_value(account.tier.monthly_calls()));
        }
    }
}

impl Worker for QuotaGauges {
    const NAME: &'static str = "quota-gauges";
    const SWEEP: Duration = Duration::from_secs(10);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let uses = self.store.quota_use().await?;
        self.show_bands(&uses);
        self.show_top(uses);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

fn percent(account: &Use) -> u64 {
    // A product beyond 64 bits is far beyond every band's end, as is its saturated value.
    account.used.saturating_mul(100) / account.tier.monthly_calls()
}

fn band(account: &Use) -> &'static str {
    let percent = percent(account);
    BANDS.iter().find(|(_, below)| percent < *below).map_or("over", |(band, _)| band)
}
