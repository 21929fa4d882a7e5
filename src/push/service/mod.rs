//! The application service of push endpoints: everything that an account's owner can do with them.
//!
//! HTTP, the command line and other front ends call it: they read requests, and pass functions that render results. A
//! change is one transaction with its audit row and, where the request has an idempotency key, the rendered response (an
//! HTTP status and a body), which the service returns when the request is repeated.
//! The service seals secrets and header values, and wakes the workers of all replicas.

mod commands;
mod error;
mod settings;
mod write;

use std::sync::Arc;

use uuid::Uuid;

pub(crate) use self::error::EndpointError;
pub(crate) use self::settings::{EndpointInput, LogPosition, Rotation};
use super::DeliveryContext;
use super::address::AddressPolicy;
use super::client::Attempt;
use super::ping::Pinger;
use super::secret_storage;
use super::signature::SigningSecret;
use crate::audited::{AuditedChanges, Rendered, WriteRequest};
use crate::broker::Hints;
use crate::domain::endpoint::{
    Endpoint, EndpointCursor, EndpointState, ParkedEvent, SeqRange, Settings, pending_events,
};
use crate::domain::{AccountId, Seq};
use crate::secrets::MasterKeys;
use crate::store::attempts::{AttemptRow, Narrowed};

/// Attempts, or parked events, on one page.
const PAGE: i64 = 100;

/// Push endpoints of all accounts.
pub struct EndpointService {
    context: Arc<DeliveryContext>,
    pinger: Pinger,
    policy: Arc<AddressPolicy>,
    hints: Hints,
    changes: AuditedChanges,
    limits: EndpointLimits,
}

/// Limits that the installation's configuration sets.
#[derive(Debug, Clone, Copy)]
pub struct EndpointLimits {
    /// Endpoints of one account; a further one is refused.
    pub per_account: usize,
    /// The window of an endpoint that sets none.
    pub default_window: usize,
}

/// An endpoint as its owner sees it.
pub struct EndpointView {
    /// Settings and status.
    pub endpoint: Endpoint,
    /// The cursor; `None` for an endpoint that was created just now.
    pub cursor: Option<EndpointCursor>,
    /// The present secret; `None` where no master key opens it.
    pub secret: Option<SigningSecret>,
    /// Ranges above the cursor that were processed before a replay moved it back.
    pub processed: Vec<SeqRange>,
    /// True while cursor commands are queued that were not applied yet.
    pub has_commands: bool,
}

impl EndpointView {
    /// The view of an endpoint whose secret is not sealed, such as a sample.
    #[must_use]
    pub fn unsealed(state: EndpointState) -> Self {
        Self::of(&MasterKeys::new(&[]), state)
    }

    /// The view of a stored endpoint.
    #[must_use]
    pub fn of(masters: &MasterKeys, state: EndpointState) -> Self {
        let EndpointState { endpoint, cursor, processed, has_commands, brand: _ } = state;
        let current = endpoint.secrets.first();
        let secret = current
            .and_then(|secret| secret_storage::open(masters, endpoint.account, endpoint.endpoint_id, &secret.bytes));
        Self { endpoint, cursor: Some(cursor), secret, processed, has_commands }
    }

    /// The number of events up to `end` that the endpoint has still to process.
    #[must_use]
    pub fn pending(&self, end: Seq) -> u64 {
        self.cursor.as_ref().map_or(0, |cursor| pending_events(cursor.seq, &self.processed, end))
    }
}

impl EndpointService {
    /// The service over the parts that deliveries share.
    #[must_use]
    pub fn new(
        context: Arc<DeliveryContext>,
        policy: Arc<AddressPolicy>,
        hints: Hints,
        limits: EndpointLimits,
    ) -> Self {
        let changes = AuditedChanges {
            store: context.store.clone(),
            masters: context.masters.clone(),
            clock: context.clock.clone(),
        };
        Self { pinger: Pinger::new(Arc::clone(&context)), context, policy, hints, changes, limits }
    }

    /// Lists an account's endpoints in the order in which they were created.
    pub async fn list(&self, account: AccountId) -> Result<Vec<EndpointView>, EndpointError> {
        let states = self.context.store.endpoints(account).await?;
        Ok(states.into_iter().map(|state| self.view(state)).collect())
    }

    /// Reads one endpoint.
    pub async fn get(&self, account: AccountId, endpoint: Uuid) -> Result<EndpointView, EndpointError> {
        let state = self.context.store.endpoint(account, endpoint).await?;
        state.map(|state| self.view(state)).ok_or(EndpointError::NotFound)
    }

    /// Lists attempts to deliver to an endpoint, the latest first.
    pub async fn attempts(
        &self,
        account: AccountId,
        endpoint: Uuid,
        filter: Narrowed,
    ) -> Result<Vec<AttemptRow>, EndpointError> {
        self.require_endpoint(account, endpoint).await?;
        Ok(self.context.store.attempts(account, endpoint, filter, PAGE).await?)
    }

    /// Reads one attempt to deliver to an endpoint; `None` where it is not in the log of attempts any more.
    pub async fn attempt(
        &self,
        account: AccountId,
        endpoint: Uuid,
        attempt: Uuid,
    ) -> Result<Option<AttemptRow>, EndpointError> {
        Ok(self.context.store.attempt(account, endpoint, attempt).await?)
    }

    /// Lists an endpoint's parked events after a position, in the order of the log.
    pub async fn parked(
        &self,
        account: AccountId,
        endpoint: Uuid,
        after: Seq,
    ) -> Result<Vec<ParkedEvent>, EndpointError> {
        self.require_endpoint(account, endpoint).await?;
        Ok(self.context.store.parked(account, endpoint, after, PAGE).await?)
    }

    /// Sends a `push.ping` now, whatever the endpoint's status is. No lock is held meanwhile.
    pub async fn test(
        &self,
        request: &WriteRequest<'_>,
        endpoint: Uuid,
        render: impl FnOnce(&Attempt) -> Rendered,
    ) -> Result<Rendered, EndpointError> {
        let (write, state) = self.open_at(request, endpoint).await?;
        write.write.roll_back().await?;
        let attempt = self.pinger.send(state).await;
        let attempt = attempt.map_err(|error| {
            EndpointError::Internal(error.context(format!("test endpoint {}/{endpoint} failed", request.account)))
        })?;
        let rendered = render(&attempt.ok_or(EndpointError::NoPermit)?);
        Ok(self.changes.open(request).await?.remember(rendered).await?)
    }

    async fn require_endpoint(&self, account: AccountId, endpoint: Uuid) -> Result<(), EndpointError> {
        self.context.store.endpoint(account, endpoint).await?.map(|_| ()).ok_or(EndpointError::NotFound)
    }

    fn view(&self, state: EndpointState) -> EndpointView {
        EndpointView::of(&self.context.masters, state)
    }

    fn defaults(&self) -> Settings {
        Settings::defaults(self.limits.default_window)
    }
}
