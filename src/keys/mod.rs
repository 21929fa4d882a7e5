//! Secret keys: made, read, and prepared for the database.
//!
//! A key that is made here is `<brand>_live_`, 30 characters of chance, and 6 that check them: 178 bits, so that one
//! SHA-256 is as good a hash as any. A key that comes from elsewhere is taken verbatim. The database holds the hash,
//! and the text sealed under a master key unless there is none or the account wants its keys shown once only.

mod text;
mod used;

use uuid::Uuid;

pub use text::SecretKey;
pub use used::LastUsed;

use crate::clock;
use crate::domain::{AccountId, Timestamp};
use crate::secrets::{MasterKeys, Resealed};
use crate::store::keys::{NewKey, Sealed};

/// What a key shall be called, and what it may do.
#[derive(Debug, Clone)]
pub struct Terms {
    /// For people.
    pub name: String,
    /// Stamped on every event that the key writes.
    pub origin: String,
    /// From then on it is refused.
    pub expires_at: Option<Timestamp>,
    /// It may read, and write nothing.
    pub read_only: bool,
}

impl Terms {
    /// A key of this name, which is its origin too, that may do everything and never expires.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), origin: name.to_owned(), expires_at: None, read_only: false }
    }
}

/// What is stored of a key.
#[must_use]
pub fn prepare(account: AccountId, secret: &SecretKey, terms: Terms, masters: &MasterKeys) -> NewKey {
    let Terms { name, origin, expires_at, read_only } = terms;
    let key_id = clock::fresh_uid().0;
    let sealed = masters.seal(&belongs_to(account, key_id), secret.text().as_bytes());
    NewKey { key_id, name, origin, secret_hash: secret.hash(), sealed, expires_at, read_only }
}

/// The text of a stored key, where a master key opens it.
#[must_use]
pub fn reveal(account: AccountId, key: &Sealed, masters: &MasterKeys) -> Option<SecretKey> {
    let text = masters.open(&belongs_to(account, key.key_id), &key.sealed)?;
    let secret = String::from_utf8(text).ok().and_then(|text| SecretKey::import(&text));
    if secret.is_none() {
        // The seal proves that this service wrote it, so another version of it, or an error in it, sealed no key.
        tracing::error!(%account, key_id = %key.key_id, "reveal key failed: the sealed text is no secret key");
    }
    secret
}

/// A stored key under the first master key.
#[must_use]
pub fn reseal(account: AccountId, key: &Sealed, masters: &MasterKeys) -> Resealed {
    masters.reseal(&belongs_to(account, key.key_id), &key.sealed)
}

/// What a sealed key is bound to.
fn belongs_to(account: AccountId, key_id: Uuid) -> Vec<u8> {
    [*account.0.as_bytes(), *key_id.as_bytes()].concat()
}
