//! The audit as admins read it: the newest entry first, in pages.

use std::net::IpAddr;

use tokio_postgres::Row as PgRow;
use uuid::Uuid;

use crate::domain::{AccountId, Timestamp};
use crate::store::{Store, StoreError};

const PAGE: &str = "-- audit.page
select audit_id, at, actor, action, detail::text as detail, address
from (select * from audit where account_id = $1 and ($2::uuid is null or audit_id < $2)
    order by audit_id desc limit $8) a
where ($3::text is null or actor = $3)
    and ($4::text is null or action like $4)
    and ($5::timestamptz is null or at >= $5) and ($6::timestamptz is null or at < $6)
order by audit_id desc limit $7";

const PAGE_END: &str = "-- audit.page_end
select audit_id from audit where account_id = $1 and ($2::uuid is null or audit_id < $2)
order by audit_id desc offset $3::bigint - 1 limit 1";

/// Entries that a page reads: about 10 ms.
const MAX_READ: i64 = 20_000;

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

/// A page of the audit. Where few entries pass the filter, it ends after a bounded number of those that were read.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The newest first.
    pub entries: Vec<AuditEntry>,
    /// The entry behind which the next page begins; `None` where this is the last one.
    pub next: Option<Uuid>,
}

impl Store {
    /// Returns a page of the account's audit.
    pub async fn audit_page(
        &self,
        account: AccountId,
        filter: &AuditFilter,
        size: usize,
    ) -> Result<AuditPage, StoreError> {
        // One more than a page tells whether there are further ones.
        let limit = i64::try_from(size).unwrap_or(i64::MAX).saturating_add(1);
        let mut entries = self.read_audit(account, filter, limit, Some(MAX_READ)).await?;
        let has_more = entries.len() > size;
        entries.truncate(size);
        if has_more {
            let next = entries.last().map(|last| last.audit_id);
            return Ok(AuditPage { entries, next });
        }
        let client = self.reader().await?;
        let end = client.query_opt(PAGE_END, &[&account.0, &filter.before, &MAX_READ]).await?;
        Ok(AuditPage { entries, next: end.map(|row| row.get(0)) })
    }

    /// Returns entries of the account's audit, the newest first, however many are read for them.
    pub async fn audit_entries(
        &self,
        account: AccountId,
        filter: &AuditFilter,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        self.read_audit(account, filter, limit, None).await
    }

    async fn read_audit(
        &self,
        account: AccountId,
        filter: &AuditFilter,
        limit: i64,
        max_read: Option<i64>,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let client = self.reader().await?;
        let action = filter.action.as_ref().map(|action| format!("{}%", escaped(action)));
        let values: crate::store::Params<'_, 8> =
            [&account.0, &filter.before, &filter.actor, &action, &filter.from, &filter.until, &limit, &max_read];
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
