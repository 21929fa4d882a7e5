//! Accounts' secret keys. Each change raises the account's revision and writes its audit row, in one transaction.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Transaction;
use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::audit::{By, audit};
use super::{Store, StoreError};
use crate::domain::{AccountId, Timestamp};

const INSERT: &str = "-- account_key.insert
insert into account_key
    (account_id, key_id, name, origin, secret_hash, sealed, expires_at, read_only, created_at, prefix)
select account_id, key_id, k.name, origin, secret_hash, case when a.show_once then null else sealed end, expires_at,
    read_only, $9, prefix
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::bytea[], $7::timestamptz[], $8::boolean[],
        $10::text[])
    as k(account_id, key_id, name, origin, secret_hash, sealed, expires_at, read_only, prefix)
join account a using (account_id)
on conflict (account_id, secret_hash) do nothing";

/// Locks the account's row, so that its changes come one after the other.
const REVISE: &str = "-- account.revise
update account set revision = revision + 1 where account_id = $1";

const LIST: &str = "-- account_key.list
select key_id, name, origin, sealed is not null as is_kept, expires_at, read_only, created_at, last_used_at,
    coalesce(prefix, '') as prefix
from account_key where account_id = $1 order by created_at, key_id";

const SEALED: &str = "-- account_key.sealed
select name, sealed from account_key where account_id = $1 and key_id = $2";

const DELETE: &str = "-- account_key.delete
delete from account_key where account_id = $1 and key_id = $2 returning name";

const USED: &str = "-- account_key.used
update account_key k set last_used_at = u.at
from (
    select k.account_id, k.key_id, u.at
    from (
        select account_id, key_id, stored_now() - make_interval(secs => ago) as at
        from unnest($1::uuid[], $2::uuid[], $3::float8[]) as u(account_id, key_id, ago)
    ) as u
    join account_key k on k.account_id = u.account_id and k.key_id = u.key_id
    where k.last_used_at is null or k.last_used_at < u.at
    for update of k skip locked
) as u
where k.account_id = u.account_id and k.key_id = u.key_id";

/// A secret key as requests are compared with it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AccountKey {
    pub key_id: Uuid,
    /// Stamped on every event that the key writes.
    pub origin: Arc<str>,
    pub secret_hash: [u8; 32],
    /// Seconds until the key expires, counted from the lookup by the database's clock; negative where it has expired.
    pub expires_in: Option<f64>,
    pub read_only: bool,
}

/// A key to be created.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewKey {
    pub key_id: Uuid,
    pub name: String,
    pub origin: String,
    pub secret_hash: [u8; 32],
    /// Not stored where the keys of the account are shown only once.
    pub sealed: Option<Vec<u8>>,
    pub expires_at: Option<Timestamp>,
    pub read_only: bool,
    /// The first characters, by which people tell their keys apart.
    pub prefix: String,
}

/// A key as admins see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ListedKey {
    pub key_id: Uuid,
    pub name: String,
    pub origin: String,
    /// Whether the text of the key is stored, so that it can be shown again.
    pub is_kept: bool,
    pub expires_at: Option<Timestamp>,
    pub read_only: bool,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// The first characters; empty for keys from before they were stored.
    pub prefix: String,
}

/// A key's sealed text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Sealed {
    pub key_id: Uuid,
    pub sealed: Vec<u8>,
}

/// A key that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Used {
    pub account: AccountId,
    pub key_id: Uuid,
    pub ago: Duration,
}

/// The result of adding a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum Added {
    Done,
    NoAccount,
    /// The account has a key with this text.
    Known,
}

/// The stored text of a key that is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its name")]
pub enum StoredKeyText {
    Sealed(Sealed),
    NoKey,
    /// The text of the key is not stored.
    NotKept,
}

impl Store {
    /// Adds a key to an account.
    pub async fn add_key(&self, account: AccountId, key: &NewKey, by: By<'_>) -> Result<Added, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if !revise(&transaction, account).await? {
            return Ok(Added::NoAccount);
        }
        if insert(&transaction, &[(account, key)], by.at).await? == 0 {
            return Ok(Added::Known);
        }
        let detail = serde_json::json!({"key_id": key.key_id, "name": key.name, "read_only": key.read_only});
        audit(&transaction, &[account.0], by, "key.add", &detail).await?;
        transaction.commit().await?;
        Ok(Added::Done)
    }

    /// Deletes a key: its next call is refused. False where the account has no such key.
    pub async fn delete_key(&self, account: AccountId, key_id: Uuid, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        // Locks the account first, as every change of it does.
        let is_there = revise(&transaction, account).await?;
        let deleted = transaction.query_opt(DELETE, &[&account.0, &key_id]).await?;
        let (true, Some(deleted)) = (is_there, deleted) else { return Ok(false) };
        let detail = serde_json::json!({"key_id": key_id, "name": deleted.get::<_, &str>(0)});
        audit(&transaction, &[account.0], by, "key.delete", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the account's keys, the oldest first.
    pub async fn keys(&self, account: AccountId) -> Result<Vec<ListedKey>, StoreError> {
        let client = self.reader().await?;
        Ok(client.query(LIST, &[&account.0]).await?.iter().map(listed).collect())
    }

    /// Returns a key's sealed text for showing it, and writes an audit row.
    pub async fn sealed_key(&self, account: AccountId, key_id: Uuid, by: By<'_>) -> Result<StoredKeyText, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let Some(row) = transaction.query_opt(SEALED, &[&account.0, &key_id]).await? else {
            return Ok(StoredKeyText::NoKey);
        };
        let Some(sealed) = row.get(1) else { return Ok(StoredKeyText::NotKept) };
        let detail = serde_json::json!({"key_id": key_id, "name": row.get::<_, &str>(0)});
        audit(&transaction, &[account.0], by, "key.reveal", &detail).await?;
        transaction.commit().await?;
        Ok(StoredKeyText::Sealed(Sealed { key_id, sealed }))
    }

    /// Writes when keys were last used. Skips keys that another replica is writing at this moment.
    pub async fn keys_used(&self, used: &[Used]) -> Result<(), StoreError> {
        let accounts: Vec<Uuid> = used.iter().map(|used| used.account.0).collect();
        let ids: Vec<Uuid> = used.iter().map(|used| used.key_id).collect();
        let ages: Vec<f64> = used.iter().map(|used| used.ago.as_secs_f64()).collect();
        let client = self.writer().await?;
        let statement = client.prepare_cached(USED).await?;
        client.execute(&statement, &[&accounts, &ids, &ages]).await?;
        Ok(())
    }
}

/// Raises the account's revision; false where there is no such account.
async fn revise(transaction: &Transaction<'_>, account: AccountId) -> Result<bool, StoreError> {
    Ok(transaction.execute(REVISE, &[&account.0]).await? > 0)
}

/// Adds keys; returns how many. A key whose text the account already has is not added.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    keys: &[(AccountId, &NewKey)],
    at: Timestamp,
) -> Result<u64, StoreError> {
    let accounts: Vec<Uuid> = keys.iter().map(|(account, _)| account.0).collect();
    let ids: Vec<Uuid> = keys.iter().map(|(_, key)| key.key_id).collect();
    let names: Vec<&str> = keys.iter().map(|(_, key)| key.name.as_str()).collect();
    let origins: Vec<&str> = keys.iter().map(|(_, key)| key.origin.as_str()).collect();
    let hashes: Vec<&[u8]> = keys.iter().map(|(_, key)| key.secret_hash.as_slice()).collect();
    let sealed: Vec<Option<&[u8]>> = keys.iter().map(|(_, key)| key.sealed.as_deref()).collect();
    let expiries: Vec<Option<Timestamp>> = keys.iter().map(|(_, key)| key.expires_at).collect();
    let read_only: Vec<bool> = keys.iter().map(|(_, key)| key.read_only).collect();
    let prefixes: Vec<&str> = keys.iter().map(|(_, key)| key.prefix.as_str()).collect();
    let values: super::Params<'_, 10> =
        [&accounts, &ids, &names, &origins, &hashes, &sealed, &expiries, &read_only, &at, &prefixes];
    Ok(transaction.execute(INSERT, &values).await?)
}

/// Returns the key of a row with the columns `key_id`, `origin`, `secret_hash`, `expires_in` and `read_only`; `None`
/// where they are those of an account without keys.
pub(super) fn key(row: &PgRow, account: AccountId) -> Result<Option<AccountKey>, StoreError> {
    let Some(key_id) = row.get::<_, Option<Uuid>>("key_id") else { return Ok(None) };
    let hash: &[u8] = row.get("secret_hash");
    let secret_hash = hash.try_into().map_err(|error: std::array::TryFromSliceError| {
        StoreError::corrupt("account_key", "secret_hash", account, error)
    })?;
    let origin = Arc::from(row.get::<_, &str>("origin"));
    let (expires_in, read_only) = (row.get("expires_in"), row.get("read_only"));
    Ok(Some(AccountKey { key_id, origin, secret_hash, expires_in, read_only }))
}

fn listed(row: &PgRow) -> ListedKey {
    ListedKey {
        key_id: row.get("key_id"),
        name: row.get("name"),
        origin: row.get("origin"),
        is_kept: row.get("is_kept"),
        expires_at: row.get("expires_at"),
        read_only: row.get("read_only"),
        created_at: row.get("created_at"),
        last_used_at: row.get("last_used_at"),
        prefix: row.get("prefix"),
    }
}
