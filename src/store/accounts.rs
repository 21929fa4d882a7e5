//! Accounts: a plain table, each change with its audit row in its own transaction.

use std::collections::HashMap;

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use super::audit::{By, audit};
use super::keys::{self, AccountKey, NewKey};
use super::shared_reads::SharedReads;
use super::{Store, StoreError};
use crate::domain::account::OnMissing;
use crate::domain::tier::Tier;
use crate::domain::{AccountId, Timestamp};

const INSERT_ACCOUNT: &str = "-- account.insert
insert into account (account_id, name, tier, created_at)
select account_id, name, $3, $4 from unnest($1::uuid[], $2::text[]) as a(account_id, name)";

const INSERT_HEADS: &str = "-- head.insert
insert into head (account_id, seq, epoch) select account_id, 0, 1 from unnest($1::uuid[]) as a(account_id)";

const CREDENTIALS: &str = "-- account.credentials
select a.account_id, a.tier, a.on_missing, a.revision, k.key_id, k.origin, k.secret_hash,
    extract(epoch from k.expires_at - stored_now())::float8 as expires_in, k.read_only
from account a left join account_key k on k.account_id = a.account_id where a.account_id = any($1)
order by a.account_id, k.key_id";

const STATES: &str = "-- account.states
select account_id, revision, stored_now() as now from account where account_id = any($1)";

const LIST: &str = "-- account.list
select a.account_id, a.name, a.tier, a.created_at, h.seq
from account a join head h on h.account_id = a.account_id order by a.account_id";

const TIERS: &str = "-- account.tiers
select tier, count(account_id) as accounts from account group by tier order by tier";

const SET_TIER: &str = "-- account.set_tier
update account set tier = $2, revision = revision + 1 where account_id = $1";

const SET_ON_MISSING: &str = "-- account.set_on_missing
update account set on_missing = $2, revision = revision + 1 where account_id = $1";

const SET_SHOW_ONCE: &str = "-- account.set_show_once
update account set show_once = $2, revision = revision + 1 where account_id = $1";

const FORGET_TEXTS: &str = "-- account_key.forget_texts
update account_key set sealed = null where account_id = $1";

const NAMES: &str = "-- account.names
select account_id, name from account where account_id = any($1) order by name";

const LIMIT_SECURE_API: &str = "-- account.limit_secure_api
update account set secure_api_limited = $2, revision = revision + 1 where account_id = $1";

/// The keys and settings by which a request is authenticated.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AccountCredentials {
    pub tier: Tier,
    pub on_missing: OnMissing,
    /// Raised by every change of the account, its settings or its keys.
    pub revision: i64,
    pub keys: Vec<AccountKey>,
}

/// Look-ups of credentials that share statements.
pub(super) type CredentialReads = SharedReads<AccountId, Option<AccountCredentials>>;

/// The state of an account at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    /// Raised by every change of the account, its settings or its keys.
    pub revision: i64,
    /// That moment, by the database's clock.
    pub now: Timestamp,
}

/// An account to be created, with its first key.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewAccount {
    pub account: AccountId,
    pub name: String,
    pub key: NewKey,
}

/// An account as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Listed {
    pub account: AccountId,
    pub name: String,
    pub tier: String,
    pub created_at: Timestamp,
    pub events: i64,
}

impl Store {
    /// Creates accounts of a tier, each with an empty log and its first key: all of them or none.
    pub async fn create_accounts(&self, new: &[NewAccount], tier: &Tier, by: By<'_>) -> Result<(), StoreError> {
        let accounts: Vec<Uuid> = new.iter().map(|new| new.account.0).collect();
        let names: Vec<&str> = new.iter().map(|new| new.name.as_str()).collect();
        let keys: Vec<(AccountId, &NewKey)> = new.iter().map(|new| (new.account, &new.key)).collect();
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.execute(INSERT_ACCOUNT, &[&accounts, &names, &tier.name(), &by.at]).await?;
        transaction.execute(INSERT_HEADS, &[&accounts]).await?;
        keys::insert(&transaction, &keys, by.at).await?;
        audit(&transaction, &accounts, by, "account.create", &serde_json::json!({"tier": tier.name()})).await?;
        Ok(transaction.commit().await?)
    }

    /// Moves an account to another tier; false where there is no such account.
    pub async fn set_tier(&self, account: AccountId, tier: &Tier, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if transaction.execute(SET_TIER, &[&account.0, &tier.name()]).await? == 0 {
            return Ok(false);
        }
        audit(&transaction, &[account.0], by, "account.tier", &serde_json::json!({"tier": tier.name()})).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Sets the response to a write to a record that does not exist; false where there is no such account.
    pub async fn set_on_missing(&self, account: AccountId, to: OnMissing, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if transaction.execute(SET_ON_MISSING, &[&account.0, &to.name()]).await? == 0 {
            return Ok(false);
        }
        let detail = serde_json::json!({"on_missing": to.name()});
        audit(&transaction, &[account.0], by, "account.on_missing", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Sets whether the account's keys are shown only once; if so, deletes the stored texts of its keys for good. Returns
    /// false where there is no such account.
    pub async fn set_show_once(&self, account: AccountId, show_once: bool, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if transaction.execute(SET_SHOW_ONCE, &[&account.0, &show_once]).await? == 0 {
            return Ok(false);
        }
        if show_once {
            transaction.execute(FORGET_TEXTS, &[&account.0]).await?;
        }
        let detail = serde_json::json!({"show_once": show_once});
        audit(&transaction, &[account.0], by, "account.show_once", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Sets whether only Super Admins see the Secure API in the console; false where there is no such account.
    pub async fn limit_secure_api(&self, account: AccountId, limited: bool, by: By<'_>) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        if transaction.execute(LIMIT_SECURE_API, &[&account.0, &limited]).await? == 0 {
            return Ok(false);
        }
        let detail = serde_json::json!({"super_admins_only": limited});
        audit(&transaction, &[account.0], by, "account.limit_secure_api", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the names of these accounts, in the order of names.
    pub async fn account_names(&self, accounts: &[AccountId]) -> Result<Vec<(AccountId, String)>, StoreError> {
        let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
        let rows = self.reader().await?.query(NAMES, &[&accounts]).await?;
        Ok(rows.iter().map(|row| (AccountId(row.get(0)), row.get(1))).collect())
    }

    /// Returns the account's keys and settings; `None` where there is no such account. Concurrent look-ups share statements.
    pub async fn credentials(&self, account: AccountId) -> Result<Option<AccountCredentials>, StoreError> {
        let read = async |accounts: Vec<AccountId>| self.credentials_of(&accounts).await.ok();
        if let Some(credentials) = self.credential_reads.read(account, read).await {
            return Ok(credentials);
        }
        // The shared statement failed, or its caller went away. The error of this caller's own statement is its response.
        Ok(self.credentials_of(&[account]).await?.into_iter().next().flatten())
    }

    /// Returns the credentials of these accounts, each at the index of its account; `None` where there is no such account.
    async fn credentials_of(&self, accounts: &[AccountId]) -> Result<Vec<Option<AccountCredentials>>, StoreError> {
        let ids: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
        let client = self.admitter().await?;
        let statement = client.prepare_cached(CREDENTIALS).await?;
        let rows = client.query(&statement, &[&ids]).await?;
        // The rows of an account follow each other.
        let of_account =
            rows.chunk_by(|one, next| one.get::<_, Uuid>("account_id") == next.get::<_, Uuid>("account_id"));
        let read = of_account.filter_map(|rows| credentials(rows).transpose()).collect::<Result<HashMap<_, _>, _>>()?;
        Ok(accounts.iter().map(|account| read.get(account).cloned()).collect())
    }

    /// Returns the current states of accounts, without those that do not exist.
    pub async fn account_states(&self, accounts: &[AccountId]) -> Result<Vec<(AccountId, AccountState)>, StoreError> {
        let accounts: Vec<Uuid> = accounts.iter().map(|account| account.0).collect();
        let client = self.admitter().await?;
        let statement = client.prepare_cached(STATES).await?;
        let rows = client.query(&statement, &[&accounts]).await?;
        let state = |row: &PgRow| {
            let state = AccountState { revision: row.get("revision"), now: row.get("now") };
            (AccountId(row.get("account_id")), state)
        };
        Ok(rows.iter().map(state).collect())
    }

    /// Returns the names of the tiers that accounts have, each with its number of accounts.
    pub async fn tiers_in_use(&self) -> Result<Vec<(String, i64)>, StoreError> {
        let client = self.reader().await?;
        let rows = client.query(TIERS, &[]).await?;
        Ok(rows.iter().map(|row| (row.get("tier"), row.get("accounts"))).collect())
    }

    /// Returns every account, in the order of creation.
    pub async fn accounts(&self) -> Result<Vec<Listed>, StoreError> {
        let client = self.reader().await?;
        let rows = client.query(LIST, &[]).await?;
        let listed = |row: &PgRow| Listed {
            account: AccountId(row.get(0)),
            name: row.get(1),
            tier: row.get(2),
            created_at: row.get(3),
            events: row.get(4),
        };
        Ok(rows.iter().map(listed).collect())
    }
}

/// Returns the credentials in the rows of one account; `None` without rows.
fn credentials(rows: &[PgRow]) -> Result<Option<(AccountId, AccountCredentials)>, StoreError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let account = AccountId(first.get("account_id"));
    let corrupt = |column, text: &str| StoreError::corrupt("account", column, account, text.to_owned());
    let (tier, on_missing): (&str, &str) = (first.get("tier"), first.get("on_missing"));
    let credentials = AccountCredentials {
        tier: Tier::parse(tier).map_err(|_| corrupt("tier", tier))?,
        on_missing: OnMissing::from_name(on_missing).ok_or_else(|| corrupt("on_missing", on_missing))?,
        revision: first.get("revision"),
        keys: rows.iter().filter_map(|row| keys::key(row, account).transpose()).collect::<Result<_, _>>()?,
    };
    Ok(Some((account, credentials)))
}
