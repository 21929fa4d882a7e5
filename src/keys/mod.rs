//! Secret keys: generated, parsed, prepared for the database, and compared with those that callers claim.
//!
//! A key that is generated here is `<brand>_live_`, 30 random characters and a checksum of 6 characters. It has 178 random
//! bits, so that a single SHA-256 is a safe hash. A key from elsewhere is taken verbatim. The database holds the hash, and
//! the text sealed under a master key, unless there is no master key or the account shows its keys only once.

mod authenticated;
mod authenticator;
mod service;
mod text;
mod used;

use uuid::Uuid;

pub(crate) use authenticated::AuthenticatedKey;
pub(crate) use authenticator::{AuthError, Authenticator, Claim, public_id};
pub use service::{AddedKey, KeyError, KeyService, MAX_KEY_NAME, parse_key_name};
pub use text::SecretKey;
pub use used::LastUsed;

use crate::clock;
use crate::domain::{AccountId, Timestamp};
use crate::secrets::{MasterKeys, Resealed};
use crate::store::keys::{NewKey, Sealed};

/// The name of a new key and its permissions.
#[derive(Debug, Clone)]
pub struct Terms {
    /// For people.
    pub name: String,
    /// Stamped on every event that the key writes.
    pub origin: String,
    /// The time from which on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Whether it may only read.
    pub read_only: bool,
}

impl Terms {
    /// A key that may read and write and never expires; its origin is its name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), origin: name.to_owned(), expires_at: None, read_only: false }
    }
}

/// The row of a new key.
#[must_use]
pub fn prepare(account: AccountId, secret: &SecretKey, terms: Terms, masters: &MasterKeys) -> NewKey {
    let Terms { name, origin, expires_at, read_only } = terms;
    let key_id = clock::fresh_uid().0;
    let sealed = masters.seal(&aad(account, key_id), secret.text().as_bytes());
    let (secret_hash, prefix) = (secret.hash(), secret.prefix());
    NewKey { key_id, name, origin, secret_hash, sealed, expires_at, read_only, prefix }
}

/// The text of a stored key, where a master key opens it.
#[must_use]
pub fn reveal(account: AccountId, key: &Sealed, masters: &MasterKeys) -> Option<SecretKey> {
    let text = masters.open(&aad(account, key.key_id), &key.sealed)?;
    let secret = String::from_utf8(text).ok().and_then(|text| SecretKey::import(&text));
    if secret.is_none() {
        // The seal is authentic, so a faulty version of this service sealed the text.
        tracing::error!(%account, key_id = %key.key_id, "reveal key failed: the sealed text is no secret key");
    }
    secret
}

/// Reseals a stored key under the first master key.
#[must_use]
pub fn reseal(account: AccountId, key: &Sealed, masters: &MasterKeys) -> Resealed {
    masters.reseal(&aad(account, key.key_id), &key.sealed)
}

/// The additional authenticated data of a sealed key: it opens only in its own row.
fn aad(account: AccountId, key_id: Uuid) -> Vec<u8> {
    [*account.0.as_bytes(), *key_id.as_bytes()].concat()
}
