//! Operators' decisions about which companies are listed.

use uuid::Uuid;

use super::audit::{By, audit};
use super::links::RELIST;
use super::{Store, StoreError};
use crate::domain::AccountId;
use crate::domain::record::normalize_key;

const LOCK_HEAD: &str = "-- company.lock_head
select from head where account_id = $1 for update";

const KEEP: &str = "-- company.keep
update company set kept = $3 where account_id = $1 and not deleted and (uid::text = $2 or key = $2) returning uid";

impl Store {
    /// Sets whether a company, named by its uid or key, is listed although no contact belongs to it; false where there is no
    /// such company.
    pub async fn keep_company(
        &self,
        account: AccountId,
        company: &str,
        kept: bool,
        by: By<'_>,
    ) -> Result<bool, StoreError> {
        let mut client = self.writer().await?;
        let transaction = client.transaction().await?;
        // Only a transaction that holds the head writes whether companies are listed.
        transaction.query(LOCK_HEAD, &[&account.0]).await?;
        let Some(row) = transaction.query_opt(KEEP, &[&account.0, &normalize_key(company), &kept]).await? else {
            return Ok(false);
        };
        let uid: Uuid = row.get(0);
        transaction.execute(RELIST, &[&vec![account.0], &vec![uid]]).await?;
        let detail = serde_json::json!({"uid": uid, "kept": kept});
        audit(&transaction, &[account.0], by, "company.keep", &detail).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
