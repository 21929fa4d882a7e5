//! The gauges of quota use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::domain::tier::{Tier, Tiers};
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
    tiers: Tiers,
    top_accounts: bool,
    /// The tiers that have gauges: those of the configuration, and others that accounts had.
    shown: BTreeSet<Tier>,
    /// The number of accounts whose tier the configuration lacks, as it was logged last.
    without_limit: usize,
}

impl QuotaGauges {
    /// With `top_accounts`, the accounts that used most of their quota have gauges of their own.
    #[must_use]
    pub fn new(store: Store, metrics: Metrics, tiers: Tiers, top_accounts: bool) -> Self {
        let shown = tiers.by_size().into_iter().map(|(tier, _)| tier.clone()).collect();
        Self { store, metrics, tiers, top_accounts, shown, without_limit: 0 }
    }

    /// Logs the number of accounts whose calls are refused because the configuration lacks their tier, when it changes.
    fn report_unknown_tiers(&mut self, uses: &[Use]) {
        let mut unknown = uses.iter().filter(|account| self.limit(account).is_none()).peekable();
        let tier = unknown.peek().map(|account| account.tier.clone());
        let accounts = unknown.count();
        if let Some(tier) = tier.filter(|_| accounts != self.without_limit) {
            tracing::error!(accounts, %tier, "apply limits failed: quota.tiers lacks the tier of these accounts");
        }
        self.without_limit = accounts;
    }

    fn limit(&self, account: &Use) -> Option<u64> {
        self.tiers.monthly_calls(&account.tier)
    }

    /// The percentage of its limit that an account used. An account without a limit gets no call.
    fn percent(&self, account: &Use) -> u64 {
        // A product beyond 64 bits is far beyond every band's end, as is its saturated value.
        self.limit(account).map_or(u64::MAX, |limit| account.used.saturating_mul(100) / limit)
    }

    fn show_bands(&mut self, uses: &[Use]) {
        // Counted first and set then, so that no scrape sees a part of the accounts.
        let mut accounts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        self.shown.extend(uses.iter().map(|account| account.tier.clone()));
        for tier in &self.shown {
            accounts.extend(BANDS.map(|(band, _)| ((tier.name(), band), 0)));
        }
        for account in uses {
            *accounts.entry((account.tier.name(), band(self.percent(account)))).or_default() += 1;
        }
        for ((tier, band), accounts) in accounts {
            self.metrics.quota_accounts.with_label_values(&[tier, band]).set(gauge_value(accounts));
        }
    }

    fn show_top(&self, mut uses: Vec<Use>) {
        self.metrics.quota_used.reset();
        self.metrics.quota_limit.reset();
        if !self.top_accounts {
            return;
        }
        uses.retain(|account| account.used > 0);
        uses.sort_unstable_by_key(|account| (std::cmp::Reverse(self.percent(account)), account.account));
        for account in uses.iter().take(TOP) {
            let label = account.account.to_string();
            self.metrics.quota_used.with_label_values(&[&label]).set(gauge_value(account.used));
            // A limit of 0 shows that the account gets no call.
            let limit = self.limit(account).unwrap_or(0);
            self.metrics.quota_limit.with_label_values(&[&label]).set(gauge_value(limit));
        }
    }
}

impl Worker for QuotaGauges {
    const NAME: &'static str = "quota-gauges";
    const SWEEP: Duration = Duration::from_secs(10);

    async fn step(&mut self) -> anyhow::Result<Step> {
        let uses = self.store.quota_use().await?;
        self.report_unknown_tiers(&uses);
        self.show_bands(&uses);
        self.show_top(uses);
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

fn band(percent: u64) -> &'static str {
    BANDS.iter().find(|(_, below)| percent < *below).map_or("over", |(band, _)| band)
}
