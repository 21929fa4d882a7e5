//! An idempotent write: one transaction with its audit row and the response that a repetition of the request gets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use uuid::Uuid;

use super::request::{Rendered, WriteRequest};
use super::{EndpointError, EndpointService};
use crate::command::IDEMPOTENCY_TTL;
use crate::contract::outcome::{CachedResponse, CommandOutcome};
use crate::domain::Seq;
use crate::domain::endpoint::{CursorCommand, Endpoint, EndpointState};
use crate::push::own_headers;
use crate::store::audit::By;
use crate::store::endpoint_changes::{Opened as OpenedChange, PushChange};
use crate::store::idempotency::IdempotencyRecord;

/// An open transaction. Dropped before it is finished, it leaves no trace.
pub(super) struct IdempotentWrite<'a> {
    service: &'a EndpointService,
    request: &'a WriteRequest<'a>,
    pub(super) change: PushChange,
    /// The end of the log.
    pub(super) log_end: Seq,
}

impl EndpointService {
    /// Opens a write. A request that was executed before is [`EndpointError::Repeated`].
    pub(super) async fn open<'a>(
        &'a self,
        request: &'a WriteRequest<'a>,
    ) -> Result<IdempotentWrite<'a>, EndpointError> {
        let key = request.idempotency;
        let keys: Vec<&str> = key.iter().flat_map(|key| [&*key.key, &*key.unscoped_key]).collect();
        let opened = self.context.store.change_push(request.account, &keys, IDEMPOTENCY_TTL).await?;
        let OpenedChange { change, head: log_end, idempotency_records } = opened.ok_or(EndpointError::NoAccount)?;
        let write = IdempotentWrite { service: self, request, change, log_end };
        let Some(key) = key else { return Ok(write) };
        let is_same = |record: &IdempotencyRecord| record.request_hash == key.request_hash;
        // A request of another origin may have used the unscoped key, which says nothing about this one.
        let record = idempotency_records.iter().find(|record| record.key == key.key);
        let Some(record) = record.or_else(|| idempotency_records.iter().find(|record| is_same(record))) else {
            return Ok(write);
        };
        match &record.outcome {
            CommandOutcome::CachedResponse(cached) if is_same(record) => {
                Err(EndpointError::Repeated(write.repeat(&record.key, cached)?))
            }
            CommandOutcome::CachedResponse(_)
            | CommandOutcome::Done(_)
            | CommandOutcome::Synced(_)
            | CommandOutcome::Refused(_) => Err(EndpointError::KeyReused),
        }
    }

    /// Opens a write about one of the account's endpoints.
    pub(super) async fn open_at<'a>(
        &'a self,
        request: &'a WriteRequest<'a>,
        endpoint: Uuid,
    ) -> Result<(IdempotentWrite<'a>, EndpointState), EndpointError> {
        let write = self.open(request).await?;
        let state = write.change.endpoint(endpoint).await?.ok_or(EndpointError::NotFound)?;
        Ok((write, state))
    }
}

impl IdempotentWrite<'_> {
    /// Writes an endpoint's settings, status and secrets, with header values sealed where there is a master key.
    pub(super) async fn update(&self, endpoint: &mut Endpoint) -> Result<(), EndpointError> {
        own_headers::seal(&self.service.context.masters, endpoint);
        Ok(self.change.update(endpoint).await?)
    }

    /// Queues a cursor command.
    pub(super) async fn enqueue(&self, endpoint: Uuid, command: CursorCommand) -> Result<(), EndpointError> {
        Ok(self.change.enqueue(endpoint, command, self.service.context.clock.now()).await?)
    }

    /// Commits with an audit row, and wakes the endpoint's worker.
    pub(super) async fn finish(
        self,
        action: &str,
        detail: &Json,
        rendered: Rendered,
    ) -> Result<Rendered, EndpointError> {
        let record = self.record(&rendered);
        let Self { service, request, change, .. } = self;
        let by = By { actor: request.actor, at: service.context.clock.now() };
        change.commit(by, action, detail, record).await?;
        service.context.feed.settings_changed(request.account);
        service.hints.written(&[request.account]);
        Ok(rendered)
    }

    /// Stores the response alone, because the change was made elsewhere.
    pub(super) async fn remember(self, rendered: Rendered) -> Result<Rendered, EndpointError> {
        let record = self.record(&rendered);
        self.change.commit_idempotency_record(record).await?;
        Ok(rendered)
    }

    /// Ends the transaction without a trace.
    pub(super) async fn roll_back(self) -> Result<(), EndpointError> {
        Ok(self.change.roll_back().await?)
    }

    /// The record of a response, sealed because it may hold a secret; without a master key its text is stored.
    fn record(&self, rendered: &Rendered) -> Option<IdempotencyRecord> {
        let key = self.request.idempotency?;
        let body = rendered.body.as_bytes();
        let sealed = self.service.context.masters.seal(&self.bound_to(&key.key), body);
        let kept = STANDARD.encode(sealed.unwrap_or_else(|| body.to_vec()));
        Some(IdempotencyRecord {
            account: self.request.account,
            key: key.key.clone(),
            request_hash: key.request_hash,
            outcome: CommandOutcome::CachedResponse(CachedResponse { status: rendered.status, kept }),
        })
    }

    /// Opens the response that was stored under this key.
    fn repeat(&self, key: &str, cached: &CachedResponse) -> Result<Rendered, EndpointError> {
        let unreadable = || EndpointError::Internal(anyhow::anyhow!("the stored response cannot be read"));
        let kept = STANDARD.decode(&cached.kept).map_err(|_| unreadable())?;
        // A text begins with a brace; a sealed response begins with its version.
        let body = if kept.starts_with(b"{") {
            Some(kept)
        } else {
            self.service.context.masters.open(&self.bound_to(key), &kept)
        };
        let body = body.and_then(|body| String::from_utf8(body).ok()).ok_or_else(unreadable)?;
        Ok(Rendered { status: cached.status, body })
    }

    /// The data that a sealed response is bound to.
    fn bound_to(&self, key: &str) -> Vec<u8> {
        [self.request.account.0.as_bytes(), key.as_bytes()].concat()
    }
}
