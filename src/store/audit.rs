//! Audit rows: who changed an account, its keys or its settings, when, and from where. Only admins see them.

use std::net::IpAddr;

use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::{Store, StoreError};
use crate::clock;
use crate::domain::{AccountId, Timestamp};

pub(super) const INSERT_AUDIT: &str = "-- audit.insert
insert into audit (account_id, audit_id, at, actor, action, detail, address)
select account_id, audit_id, $3, $4, $5, $6::text::json, $7
from unnest($1::uuid[], $2::uuid[]) as a(account_id, audit_id)";

/// The rows of commands, each with its own author and time.
pub(super) const INSERT_ALL: &str = "-- audit.insert_all
insert into audit (account_id, audit_id, at, actor, action, detail, address)
select account_id, audit_id, at, actor, action, detail::json, address
from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::inet[])
    as a(account_id, audit_id, at, actor, action, detail, address)";

/// The audit row of a command, which is written in the command's transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CommandAudit {
    pub account: AccountId,
    pub at: Timestamp,
    pub actor: String,
    pub address: Option<IpAddr>,
    pub action: String,
    /// A JSON object.
    pub detail: String,
}

/// The columns of audit rows.
#[derive(Default)]
pub(super) struct AuditColumns<'a> {
    account: Vec<Uuid>,
    audit_id: Vec<Uuid>,
    at: Vec<Timestamp>,
    actor: Vec<&'a str>,
    action: Vec<&'a str>,
    detail: Vec<&'a str>,
    address: Vec<Option<IpAddr>>,
}

impl<'a> AuditColumns<'a> {
    pub(super) fn of(audits: &'a [CommandAudit]) -> Self {
        let mut columns = Self::default();
        for CommandAudit { account, at, actor, address, action, detail } in audits {
            columns.account.push(account.0);
            columns.audit_id.push(clock::fresh_uid().0);
            columns.at.push(*at);
            columns.actor.push(actor);
            columns.action.push(action);
            columns.detail.push(detail);
            columns.address.push(*address);
        }
        columns
    }

    pub(super) fn parameters(&self) -> super::Params<'_, 7> {
        let Self { account, audit_id, at, actor, action, detail, address } = self;
        [account, audit_id, at, actor, action, detail, address]
    }
}

/// The author, the time and the source of a change that only admins see.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct By<'a> {
    pub actor: &'a str,
    pub at: Timestamp,
    /// The client's address, where the change came from a browser.
    pub address: Option<IpAddr>,
}

impl<'a> By<'a> {
    /// A change by this author, whose address is not known.
    #[must_use]
    pub fn new(actor: &'a str, at: Timestamp) -> Self {
        Self { actor, at, address: None }
    }
}

impl Store {
    /// Writes the audit row of a change that is made by commands, whose events name an origin and no person. Written before
    /// the commands are submitted, so that no such change is without its row.
    pub async fn audit_commands(
        &self,
        account: AccountId,
        by: By<'_>,
        action: &str,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let client = self.writer().await?;
        let (accounts, ids) = (vec![account.0], vec![clock::fresh_uid().0]);
        let values: super::Params<'_, 7> =
            [&accounts, &ids, &by.at, &by.actor, &action, &detail.to_string(), &by.address];
        client.execute(INSERT_AUDIT, &values).await?;
        Ok(())
    }
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
    let values: super::Params<'_, 7> = [&accounts, &ids, &by.at, &by.actor, &action, &detail.to_string(), &by.address];
    transaction.execute(INSERT_AUDIT, &values).await?;
    Ok(())
}
