//! Links that work once. Only the hash of a link's token is stored.

use deadpool_postgres::Transaction;
use uuid::Uuid;

use crate::domain::AccountId;
use crate::domain::user::LinkPurpose;
use crate::store::audit::{By, audit};
use crate::store::{Store, StoreError};

const INSERT: &str = "-- console_link.insert
insert into console_link (account_id, token_hash, user_id, purpose, created_at, expires_at)
values ($1, $2, $3, $4, stored_now(), stored_now() + make_interval(secs => $5))";

const TAKE: &str = "-- console_link.take
delete from console_link
where account_id = $1 and token_hash = $2 and purpose = any($3) and expires_at > stored_now() returning user_id";

const READ: &str = "-- console_link.read
select l.user_id, l.purpose, u.email
from console_link l left join console_user u on u.account_id = l.account_id and u.user_id = l.user_id
where l.account_id = $1 and l.token_hash = $2 and l.expires_at > stored_now()";

const SWEEP: &str = "-- console_link.sweep
delete from console_link where account_id = $1 and expires_at < stored_now()";

/// A link to be made.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewLink {
    pub account: AccountId,
    pub token_hash: Vec<u8>,
    pub user_id: Uuid,
    pub purpose: LinkPurpose,
    pub valid_for: std::time::Duration,
}

/// A link that works.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ConsoleLink {
    pub user_id: Uuid,
    pub purpose: LinkPurpose,
    /// The user's email address; none for the first set-up.
    pub email: Option<String>,
}

impl Store {
    /// Makes a link, and removes the account's links that have expired.
    pub async fn add_link(&self, link: &NewLink) -> Result<(), StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.execute(SWEEP, &[&link.account.0]).await?;
        insert(&transaction, link).await?;
        Ok(transaction.commit().await?)
    }

    /// Makes a link to a password, with an audit row that names the user.
    pub async fn add_password_link(&self, link: &NewLink, email: &str, by: By<'_>) -> Result<(), StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        transaction.execute(SWEEP, &[&link.account.0]).await?;
        insert(&transaction, link).await?;
        let detail = serde_json::json!({"email": email, "purpose": link.purpose.name()});
        audit(&transaction, &[link.account.0], by, "user.link", &detail).await?;
        Ok(transaction.commit().await?)
    }

    /// Returns a link without using it up.
    pub async fn link(&self, account: AccountId, token_hash: &[u8]) -> Result<Option<ConsoleLink>, StoreError> {
        let client = self.reader().await?;
        let Some(row) = client.query_opt(READ, &[&account.0, &token_hash]).await? else { return Ok(None) };
        let purpose: &str = row.get("purpose");
        let corrupt = || StoreError::corrupt("console_link", "purpose", account, purpose.to_owned());
        Ok(Some(ConsoleLink {
            user_id: row.get("user_id"),
            purpose: LinkPurpose::from_name(purpose).ok_or_else(corrupt)?,
            email: row.get("email"),
        }))
    }

    /// Uses a link up; returns its user, or `None` where it does not work.
    pub async fn take_link(
        &self,
        account: AccountId,
        token_hash: &[u8],
        purpose: LinkPurpose,
    ) -> Result<Option<Uuid>, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        let user = take(&transaction, account, token_hash, &[purpose.name()]).await?;
        transaction.commit().await?;
        Ok(user)
    }
}

pub(super) async fn insert(transaction: &Transaction<'_>, link: &NewLink) -> Result<(), StoreError> {
    let values: crate::store::Params<'_, 5> =
        [&link.account.0, &link.token_hash, &link.user_id, &link.purpose.name(), &link.valid_for.as_secs_f64()];
    transaction.execute(INSERT, &values).await?;
    Ok(())
}

/// Deletes a link of one of these purposes; returns its user.
pub(super) async fn take(
    transaction: &Transaction<'_>,
    account: AccountId,
    token_hash: &[u8],
    purposes: &[&str],
) -> Result<Option<Uuid>, StoreError> {
    let taken = transaction.query_opt(TAKE, &[&account.0, &token_hash, &purposes]).await?;
    Ok(taken.map(|row| row.get(0)))
}
