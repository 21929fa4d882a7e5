//! `unificus rotate-master-key`: seals all secrets again under the first master key.
//!
//! Secrets that have that seal are left alone, so that the command may be repeated after an interruption.

use anyhow::ensure;
use serde_json::json;

use super::say;
use crate::config::Config;
use crate::domain::endpoint::HeaderValue;
use crate::keys;
use crate::push::{own_headers, secret_storage};
use crate::secrets::{MasterKeys, Resealed};
use crate::store::Store;
use crate::store::sealed::FIRST;

/// Rows that are read at once.
const PAGE: i64 = 500;

/// The numbers of secrets, by result.
#[derive(Debug, Default)]
struct Counts {
    /// Keys that were sealed again.
    keys: u64,
    /// Endpoints whose secrets or headers were sealed again.
    endpoints: u64,
    /// Secrets that no master key opens.
    unopened: u64,
}

pub(super) async fn rotate(config: &Config, store: &Store, json: bool) -> anyhow::Result<()> {
    ensure!(!config.secrets.master_keys.is_empty(), "secrets.master_keys is empty: add a key");
    let masters = MasterKeys::new(&config.secrets.master_keys);
    let mut counts = Counts::default();
    reseal_keys(store, &masters, &mut counts).await?;
    reseal_endpoints(store, &masters, &mut counts).await?;
    let Counts { keys, endpoints, unopened } = counts;
    if json {
        say(format_args!("{}", json!({"keys": keys, "endpoints": endpoints, "unopened": unopened})));
    } else {
        say(format_args!(
            "{keys} keys, and the secrets and headers of {endpoints} endpoints, were sealed under the first master key."
        ));
    }
    ensure!(unopened == 0, "none of secrets.master_keys opens {unopened} secrets; they were left as they are");
    Ok(())
}

async fn reseal_keys(store: &Store, masters: &MasterKeys, counts: &mut Counts) -> anyhow::Result<()> {
    let mut after = FIRST;
    loop {
        let page = store.sealed_keys(after, PAGE).await?;
        let Some((account, last)) = page.last() else { return Ok(()) };
        after = (*account, last.key_id);
        for (account, key) in &page {
            match keys::reseal(*account, key, masters) {
                Resealed::Anew(sealed) => counts.keys += u64::from(store.reseal_key(*account, key, &sealed).await?),
                Resealed::Already => {}
                Resealed::Unopened => counts.unopened += 1,
            }
        }
    }
}

async fn reseal_endpoints(store: &Store, masters: &MasterKeys, counts: &mut Counts) -> anyhow::Result<()> {
    let mut after = FIRST;
    loop {
        let page = store.endpoint_secrets(after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = *last;
        for ((account, endpoint), were) in &page {
            let mut are = were.clone();
            let mut anew = false;
            for kept in &mut are.secrets {
                match secret_storage::reseal(masters, *account, *endpoint, kept) {
                    Resealed::Anew(sealed) => (*kept, anew) = (sealed, true),
                    Resealed::Already => {}
                    Resealed::Unopened => counts.unopened += 1,
                }
            }
            for header in &mut are.headers {
                match own_headers::reseal(masters, *account, *endpoint, header) {
                    Resealed::Anew(sealed) => (header.value, anew) = (HeaderValue::Sealed(sealed), true),
                    Resealed::Already => {}
                    Resealed::Unopened => counts.unopened += 1,
                }
            }
            if anew {
                counts.endpoints += u64::from(store.reseal_endpoint((*account, *endpoint), were, &are).await?);
            }
        }
    }
}
