//! Endpoints' secrets at rest: sealed under a master key where there is one, else as their text.
//!
//! What is sealed begins with its version, a text with `whs`: either is read whatever the configuration is now, so that
//! endpoints from before the first master key go on.

use super::signature::Secret;
use crate::domain::{AccountId, Timestamp};
use crate::secrets::MasterKeys;
use crate::store::endpoints::{Endpoint, KeptSecret};
use uuid::Uuid;

/// What every secret's text begins with.
const TEXT: &[u8] = b"whs";

/// What is stored of a secret.
#[must_use]
pub fn keep(masters: &MasterKeys, account: AccountId, endpoint: Uuid, secret: &Secret) -> Vec<u8> {
    let text = secret.reveal().into_bytes();
    masters.seal(&belongs_to(account, endpoint), &text).unwrap_or(text)
}

/// A stored secret; `None` where no master key opens it.
#[must_use]
pub fn open(masters: &MasterKeys, account: AccountId, endpoint: Uuid, kept: &[u8]) -> Option<Secret> {
    if kept.starts_with(TEXT) {
        return Secret::parse(std::str::from_utf8(kept).ok()?).ok();
    }
    let text = masters.open(&belongs_to(account, endpoint), kept)?;
    Secret::parse(&String::from_utf8(text).ok()?).ok()
}

/// The secrets of an endpoint, the present one first, and until when each signs; `None` where one does not open.
#[must_use]
pub fn open_all(masters: &MasterKeys, endpoint: &Endpoint) -> Option<Vec<(Secret, Option<Timestamp>)>> {
    let open = |KeptSecret { kept, until }: &KeptSecret| {
        Some((open(masters, endpoint.account, endpoint.endpoint_id, kept)?, *until))
    };
    endpoint.secrets.iter().map(open).collect()
}

/// What a sealed secret is bound to.
fn belongs_to(account: AccountId, endpoint: Uuid) -> Vec<u8> {
    [*account.0.as_bytes(), *endpoint.as_bytes()].concat()
}
