//! A write of an endpoint: an audited change that wakes the endpoint's worker.

use serde_json::Value as Json;
use uuid::Uuid;

use super::{EndpointError, EndpointService};
use crate::audited::{IdempotentWrite, Rendered, WriteRequest};
use crate::domain::Seq;
use crate::domain::endpoint::{CursorCommand, Endpoint, EndpointState};
use crate::push::own_headers;

/// An open transaction. Dropped before it is finished, it leaves no trace.
pub(super) struct EndpointWrite<'a> {
    service: &'a EndpointService,
    request: &'a WriteRequest<'a>,
    pub(super) write: IdempotentWrite<'a>,
    /// The end of the log.
    pub(super) log_end: Seq,
}

impl EndpointService {
    /// Opens a write. A request that was executed before is [`EndpointError::Repeated`].
    pub(super) async fn open<'a>(&'a self, request: &'a WriteRequest<'a>) -> Result<EndpointWrite<'a>, EndpointError> {
        let write = self.changes.open(request).await?;
        let log_end = write.log_end;
        Ok(EndpointWrite { service: self, request, write, log_end })
    }

    /// Opens a write about one of the account's endpoints.
    pub(super) async fn open_at<'a>(
        &'a self,
        request: &'a WriteRequest<'a>,
        endpoint: Uuid,
    ) -> Result<(EndpointWrite<'a>, EndpointState), EndpointError> {
        let write = self.open(request).await?;
        let state = write.write.change.endpoint(endpoint).await?.ok_or(EndpointError::NotFound)?;
        Ok((write, state))
    }
}

impl EndpointWrite<'_> {
    /// Writes an endpoint's settings, status and secrets, with header values sealed where there is a master key.
    pub(super) async fn update(&self, endpoint: &mut Endpoint) -> Result<(), EndpointError> {
        own_headers::seal(&self.service.context.masters, endpoint);
        Ok(self.write.change.update_endpoint(endpoint).await?)
    }

    /// Queues a cursor command.
    pub(super) async fn enqueue(&self, endpoint: Uuid, command: CursorCommand) -> Result<(), EndpointError> {
        Ok(self.write.change.enqueue(endpoint, command, self.service.context.clock.now()).await?)
    }

    /// Commits with an audit row, and wakes the endpoint's worker.
    pub(super) async fn finish(
        self,
        action: &str,
        detail: &Json,
        rendered: Rendered,
    ) -> Result<Rendered, EndpointError> {
        let Self { service, request, write, .. } = self;
        let rendered = write.finish(action, detail, rendered).await?;
        service.context.feed.settings_changed(request.account);
        service.hints.written(&[request.account]);
        Ok(rendered)
    }
}
