//! Audit rows: who changed an account, its keys or its settings, and when. Only admins see them.

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::StoreError;
use crate::clock;
use crate::domain::Timestamp;

pub(super) const INSERT_AUDIT: &str = "-- audit.insert
insert into audit (account_id, audit_id, at, actor, action, detail)
select account_id, audit_id, $3, $4, $5, $6::text::json from unnest($1::uuid[], $2::uuid[]) as a(account_id, audit_id)";

/// The author and the time of a change that only admins see.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct By<'a> {
    pub actor: &'a str,
    pub at: Timestamp,
}

/// Writes one audit row per account into the transaction of the change.
pub(super) async fn audit(
    transaction: &Transaction<'_>,
    accounts: &[Uuid],
    by: By<'_>,
    action: &str,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = accounts.iter().map(|_| clock::fresh_uid().0).collect();
    transaction.execute(INSERT_AUDIT, &[&accounts, &ids, &by.at, &by.actor, &action, &detail.to_string()]).await?;
    Ok(())
}
