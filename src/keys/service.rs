//! Adding, revealing and deleting keys, for the command line and the console: each is one transaction with its audit row.

use uuid::Uuid;

use super::{SecretKey, Terms, prepare, reveal};
use crate::domain::{AccountId, brand, value};
use crate::secrets::MasterKeys;
use crate::store::audit::By;
use crate::store::keys::{Added, StoredKeyText};
use crate::store::{Store, StoreError};

/// The longest name and origin of a key, in characters.
pub const MAX_KEY_NAME: usize = 100;

/// A key's name or origin: a text of 1 to [`MAX_KEY_NAME`] characters.
pub fn parse_key_name(text: &str) -> Result<String, String> {
    let text = value::plain(text, MAX_KEY_NAME)?;
    if text.is_empty() { Err("Must not be empty.".to_owned()) } else { Ok(text) }
}

/// A change that was not made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// The account has no such key.
    #[error("the account has no such key")]
    NoKey,
    /// The account has a key with this text.
    #[error("the account has a key with this text already")]
    Known,
    /// The key would have expired already.
    #[error("the key would have expired already: choose a later time")]
    Expired,
    /// The text of the key is not stored.
    #[error("the text of this key is not kept, because it was shown once: add another key")]
    NotKept,
    /// No configured master key opens it.
    #[error("none of secrets.master_keys opens this key: add the master key that sealed it")]
    NotOpened,
    /// The database refused or failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Keys of accounts. Cloning shares everything.
#[derive(Clone)]
pub struct KeyService {
    store: Store,
    masters: MasterKeys,
    slug: String,
}

/// A key that was added.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AddedKey {
    pub key_id: Uuid,
    pub secret: SecretKey,
}

impl KeyService {
    /// The service over a store; `slug` begins the keys that it generates for accounts without a brand of their own.
    #[must_use]
    pub fn new(store: Store, masters: MasterKeys, slug: &str) -> Self {
        Self { store, masters, slug: slug.to_owned() }
    }

    /// Generates a key and adds it. It begins with the account's brand.
    pub async fn add(&self, account: AccountId, terms: Terms, by: By<'_>) -> Result<AddedKey, KeyError> {
        let brand = self.store.brand_name(account).await?;
        let slug = brand.map_or_else(|| self.slug.clone(), |name| brand::slug(&name));
        self.add_text(account, SecretKey::make(&slug), terms, by).await
    }

    /// Adds a key with this text.
    pub async fn add_text(
        &self,
        account: AccountId,
        secret: SecretKey,
        terms: Terms,
        by: By<'_>,
    ) -> Result<AddedKey, KeyError> {
        if terms.expires_at.is_some_and(|expires| expires <= by.at) {
            return Err(KeyError::Expired);
        }
        let key = prepare(account, &secret, terms, &self.masters);
        match self.store.add_key(account, &key, by).await? {
            Added::Done => Ok(AddedKey { key_id: key.key_id, secret }),
            Added::NoAccount => Err(KeyError::NoAccount),
            Added::Known => Err(KeyError::Known),
        }
    }

    /// Returns the text of a key, which is recorded in the audit.
    pub async fn reveal(&self, account: AccountId, key_id: Uuid, by: By<'_>) -> Result<SecretKey, KeyError> {
        let sealed = match self.store.sealed_key(account, key_id, by).await? {
            StoredKeyText::Sealed(sealed) => sealed,
            StoredKeyText::NoKey => return Err(KeyError::NoKey),
            StoredKeyText::NotKept => return Err(KeyError::NotKept),
        };
        reveal(account, &sealed, &self.masters).ok_or(KeyError::NotOpened)
    }

    /// Deletes a key: its next call is refused, and its connections to NATS end.
    pub async fn delete(&self, account: AccountId, key_id: Uuid, by: By<'_>) -> Result<(), KeyError> {
        if self.store.delete_key(account, key_id, by).await? { Ok(()) } else { Err(KeyError::NoKey) }
    }
}
