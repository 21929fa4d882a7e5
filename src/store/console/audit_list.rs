//! The audit as admins read it: the newest entry first, in pages.

use std::net::IpAddr;

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use crate::domain::{AccountId, Timestamp};
use crate::store::{Store, StoreError};

const PAGE: &str = "-- audit.page
select audit_id, at, actor, action, detail::text as detail, address
from audit
where account_id = $1 and ($2::uuid is null or audit_id < $2)
    and ($3::text is null or actor = $3)
    and ($4::text is null or action like $4)
    and ($5::timestamptz is null or at >= $5) and ($6::timestamptz is null or at < $6)
order by audit_id desc limit $7";

/// A row of the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditEntry {
    pub audit_id: Uuid,
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    /// A JSON object.
    pub detail: String,
    pub address: Option<IpAddr>,
}

/// The entries that are wanted; `None` excludes none.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AuditFilter {
    /// Entries that are older than this one.
    pub before: Option<Uuid>,
    pub actor: Option<String>,
    /// The beginning of the action's name, such as `key.`.
    pub action: Option<String>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Store {
    /// Returns entries of the account's audit, the newest first.
    pub async fn audit_entries(
        &self,
        account: AccountId,
        filter: &AuditFilter,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let client = self.reader().await?;
        let action = filter.action.as_ref().map(|action| format!("{}%", escaped(action)));
        let values: crate::store::Params<'_, 7> =
            [&account.0, &filter.before, &filter.actor, &action, &filter.from, &filter.until, &limit];
        let entry = |row: &PgRow| AuditEntry {
            audit_id: row.get("audit_id"),
            at: row.get("at"),
            actor: row.get("actor"),
            action: row.get("action"),
            detail: row.get("detail"),
            address: row.get("address"),
        };
        Ok(client.query(PAGE, &values).await?.iter().map(entry).collect())
    }
}

/// A text that LIKE compares as it is.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
