//! Changes of an account's plain tables: each is one transaction with its audit row and, where the request has an
//! idempotency key, the response that a repetition of the request gets.
//!
//! Services of endpoints and consumers make their changes by it. Knows no HTTP route: the caller passes a rendered response.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use crate::clock::Clock;
use crate::command::{IDEMPOTENCY_TTL, Idempotency};
use crate::contract::outcome::{CachedResponse, CommandOutcome};
use crate::domain::{AccountId, Seq};
use crate::secrets::MasterKeys;
use crate::store::account_changes::{AccountChange, Opened as OpenedChange};
use crate::store::audit::By;
use crate::store::idempotency::IdempotencyRecord;
use crate::store::{Store, StoreError};

/// The caller of a change.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    /// The account that is changed.
    pub account: AccountId,
    /// The name in the audit log.
    pub actor: &'a str,
    /// The origin that `exclude_own` refers to.
    pub origin: &'a str,
    /// The client's address, where the change came from a browser.
    pub address: Option<IpAddr>,
    /// The key under which the response is stored; without one it is not.
    pub idempotency: Option<&'a Idempotency>,
}

/// A result in the form in which the caller presents it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The HTTP status of the response.
    pub status: u16,
    /// Its body, a JSON object.
    pub body: String,
}

/// A change that is not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The request was executed before; this is the response that it got.
    #[error("the request was executed before")]
    Repeated(Rendered),
    /// The account does not exist.
    #[error("no such account")]
    NoAccount,
    /// The idempotency key was used before with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// The database refused or failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A state that should not exist.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

/// Makes changes.
#[derive(Clone)]
pub(crate) struct AuditedChanges {
    pub(crate) store: Store,
    pub(crate) masters: MasterKeys,
    pub(crate) clock: Clock,
}

/// An open transaction. Dropped before it is finished, it leaves no trace.
pub(crate) struct IdempotentWrite<'a> {
    changes: &'a AuditedChanges,
    request: &'a WriteRequest<'a>,
    pub(crate) change: AccountChange,
    /// The end of the log.
    pub(crate) log_end: Seq,
    /// The log's epoch.
    pub(crate) epoch: i32,
}

impl AuditedChanges {
    /// Opens a write. A request that was executed before is [`ChangeError::Repeated`].
    pub(crate) async fn open<'a>(&'a self, request: &'a WriteRequest<'a>) -> Result<IdempotentWrite<'a>, ChangeError> {
        let key = request.idempotency;
        let keys: Vec<&str> = key.iter().flat_map(|key| [&*key.key, &*key.unscoped_key]).collect();
        let opened = self.store.change_account(request.account, &keys, IDEMPOTENCY_TTL).await?;
        let OpenedChange { change, head: log_end, epoch, idempotency_records } =
            opened.ok_or(ChangeError::NoAccount)?;
        let write = IdempotentWrite { changes: self, request, change, log_end, epoch };
        let Some(key) = key else { return Ok(write) };
        let is_same = |record: &IdempotencyRecord| record.request_hash == key.request_hash;
        // A request of another origin may have used the unscoped key, which says nothing about this one.
        let record = idempotency_records.iter().find(|record| record.key == key.key);
        let Some(record) = record.or_else(|| idempotency_records.iter().find(|record| is_same(record))) else {
            return Ok(write);
        };
        match &record.outcome {
            CommandOutcome::CachedResponse(cached) if is_same(record) => {
                Err(ChangeError::Repeated(write.repeat(&record.key, cached)?))
            }
            CommandOutcome::CachedResponse(_)
            | CommandOutcome::Done(_)
            | CommandOutcome::Synced(_)
            | CommandOutcome::Refused(_) => Err(ChangeError::KeyReused),
        }
    }
}

impl IdempotentWrite<'_> {
    /// Commits with an audit row.
    pub(crate) async fn finish(self, action: &str, detail: &Json, rendered: Rendered) -> Result<Rendered, ChangeError> {
        let record = self.record(&rendered);
        let Self { changes, request, change, .. } = self;
        let by = By { actor: request.actor, at: changes.clock.now(), address: request.address };
        change.commit(by, action, detail, record).await?;
        Ok(rendered)
    }

    /// Stores the response alone, because the change was made elsewhere.
    pub(crate) async fn remember(self, rendered: Rendered) -> Result<Rendered, ChangeError> {
        let record = self.record(&rendered);
        self.change.commit_idempotency_record(record).await?;
        Ok(rendered)
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn roll_back(self) -> Result<(), ChangeError> {
        Ok(self.change.roll_back().await?)
    }

    /// The record of a response, sealed because it may hold a secret; without a master key its text is stored.
    fn record(&self, rendered: &Rendered) -> Option<IdempotencyRecord> {
        let key = self.request.idempotency?;
        let body = rendered.body.as_bytes();
        let sealed = self.changes.masters.seal(&self.bound_to(&key.key), body);
        let kept = STANDARD.encode(sealed.unwrap_or_else(|| body.to_vec()));
        Some(IdempotencyRecord {
            account: self.request.account,
            key: key.key.clone(),
            request_hash: key.request_hash,
            outcome: CommandOutcome::CachedResponse(CachedResponse { status: rendered.status, kept }),
        })
    }

    /// Opens the response that was stored under this key.
    fn repeat(&self, key: &str, cached: &CachedResponse) -> Result<Rendered, ChangeError> {
        let unreadable = || ChangeError::Internal(anyhow::anyhow!("the stored response cannot be read"));
        let kept = STANDARD.decode(&cached.kept).map_err(|_| unreadable())?;
        // A text begins with a brace; a sealed response begins with its version.
        let body =
            if kept.starts_with(b"{") { Some(kept) } else { self.changes.masters.open(&self.bound_to(key), &kept) };
        let body = body.and_then(|body| String::from_utf8(body).ok()).ok_or_else(unreadable)?;
        Ok(Rendered { status: cached.status, body })
    }

    /// The data that a sealed response is bound to.
    fn bound_to(&self, key: &str) -> Vec<u8> {
        [self.request.account.0.as_bytes(), key.as_bytes()].concat()
    }
}
