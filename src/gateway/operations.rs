//! The connection of command ingress to the operations that it executes.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::keys::AuthenticatedKey;

/// One operation of a client.
pub(crate) struct OperationCall {
    /// The account, the key and the key's origin.
    pub(crate) key: AuthenticatedKey,
    /// The entity in the subject.
    pub(crate) entity: String,
    /// The operation in the subject.
    pub(crate) operation: String,
    /// The operation as JSON.
    pub(crate) body: Bytes,
    /// As the client sent it.
    pub(crate) traceparent: Option<String>,
}

/// The result of an operation.
pub(crate) struct Executed {
    /// The result as JSON.
    pub(crate) reply: Bytes,
    /// Whether it counts against the month, which a repetition does not.
    pub(crate) counts: bool,
}

/// Executes operations: the function of the layer above that executes and renders them for HTTP too. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Operations(Arc<dyn Fn(OperationCall) -> BoxFuture<'static, Executed> + Send + Sync>);

impl Operations {
    pub(crate) fn new(execute: impl Fn(OperationCall) -> BoxFuture<'static, Executed> + Send + Sync + 'static) -> Self {
        Self(Arc::new(execute))
    }

    /// Executes one operation; the result says whether it was committed.
    pub(crate) async fn execute(&self, call: OperationCall) -> Executed {
        (self.0)(call).await
    }
}
