//! Master keys and tiers: the parts of the configuration that must suit the stored data.

use super::diagnosis::Findings;
use crate::config::Config;
use crate::domain::endpoint::HeaderValue;
use crate::keys;
use crate::push::{own_headers, secret_storage};
use crate::secrets::{MasterKeys, Resealed};
use crate::store::sealed::FIRST;
use crate::store::{Store, StoreError};

/// Rows that are read at once.
const PAGE: i64 = 500;

/// The numbers of stored secrets that the first master key does not open.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    all: u64,
    /// Secrets that another master key opens.
    older: u64,
    /// Secrets that no master key opens.
    unopened: u64,
}

impl Counts {
    fn add(&mut self, resealed: &Resealed) {
        self.all += 1;
        match resealed {
            Resealed::Already => {}
            Resealed::Anew(_) => self.older += 1,
            Resealed::Unopened => self.unopened += 1,
        }
    }
}

/// Examines the master keys, and with a schema also whether they open what is stored.
pub(super) async fn examine(config: &Config, store: &Store, has_schema: bool, findings: &mut Findings) {
    let check = "secrets.master_keys";
    if config.secrets.master_keys.is_empty() {
        findings.error(
            check,
            "no master key is set: webhook endpoints cannot be created, and secrets are shown only once",
            "put the output of `openssl rand -base64 32` into secrets.master_keys of every replica, and keep a copy apart \
             from the database's backups",
        );
    } else if !has_schema {
        findings.ok(check, "set");
    }
    if !has_schema {
        return;
    }
    match count(config, store).await {
        Err(error) => findings.error(check, format!("stored secrets cannot be read: {}", error.report()), "see above"),
        Ok(counts) if counts.unopened > 0 => findings.error(
            check,
            format!("no master key opens {} of {} stored secrets: their webhooks fail", counts.unopened, counts.all),
            "add the master key under which they were sealed to the end of secrets.master_keys",
        ),
        Ok(counts) if counts.older > 0 => findings.warning(
            check,
            format!("{} of {} stored secrets are sealed under an older master key", counts.older, counts.all),
            "run `unificus rotate-master-key`, so that the older key can be removed",
        ),
        Ok(counts) => {
            findings.ok_unless_reported(check, format!("the first one opens all {} stored secrets", counts.all));
        }
    }
    tiers(config, store, findings).await;
}

async fn tiers(config: &Config, store: &Store, findings: &mut Findings) {
    let check = "quota.tiers";
    match store.tiers_in_use().await {
        Err(error) => findings.error(check, format!("it cannot be checked: {}", error.report()), "see above"),
        Ok(in_use) => {
            let tiers = &config.quota.tiers;
            let unknown: Vec<_> =
                in_use.into_iter().map(|(tier, _)| tier).filter(|tier| tiers.named(tier).is_none()).collect();
            if unknown.is_empty() {
                findings.ok(check, "every account's tier is configured");
            } else {
                findings.error(
                    check,
                    format!(
                        "accounts have tiers that quota.tiers lacks: {}; the service does not start",
                        unknown.join(", ")
                    ),
                    format!("add them, or move the accounts with `unificus account tier` to one of {}", tiers.names()),
                );
            }
        }
    }
    if !config.quota.enforced {
        findings.warning("quota.enforced", "limits are not enforced", "set quota.enforced = true");
    }
}

async fn count(config: &Config, store: &Store) -> Result<Counts, StoreError> {
    let masters = MasterKeys::new(&config.secrets.master_keys);
    let mut counts = Counts::default();
    let mut after = FIRST;
    loop {
        let page = store.sealed_keys(after, PAGE).await?;
        let Some((account, last)) = page.last() else { break };
        after = (*account, last.key_id);
        for (account, key) in &page {
            counts.add(&keys::reseal(*account, key, &masters));
        }
    }
    let mut after = FIRST;
    loop {
        let page = store.endpoint_secrets(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(counts) };
        after = *last;
        for ((account, endpoint), stored) in &page {
            for secret in &stored.secrets {
                counts.add(&secret_storage::reseal(&masters, *account, *endpoint, secret));
            }
            for header in stored.headers.iter().filter(|header| matches!(header.value, HeaderValue::Sealed(_))) {
                counts.add(&own_headers::reseal(&masters, *account, *endpoint, header));
            }
        }
    }
}
