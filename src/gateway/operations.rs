//! The connection of command ingress to the operations that it executes.

use bytes::Bytes;

use super::refusal::CommandRefusal;
use crate::keys::AuthenticatedKey;

/// One operation of a client.
pub(crate) struct OperationCall<'a> {
    /// The account, the key and the key's origin.
    pub(crate) key: &'a AuthenticatedKey,
    /// The entity in the subject.
    pub(crate) entity: &'a str,
    /// The operation in the subject.
    pub(crate) operation: &'a str,
    /// The operation as JSON.
    pub(crate) body: &'a Bytes,
    pub(crate) traceparent: Option<&'a str>,
}

/// The result of an operation.
pub(crate) struct Executed {
    /// The result as JSON.
    pub(crate) reply: Bytes,
    /// Whether it counts against the month, which a repetition does not.
    pub(crate) counts: bool,
}

/// Executes operations.
pub(crate) struct Operations;

impl Operations {
    /// Executes one operation; the result says whether it was committed. There is no operation yet: all are refused.
    #[expect(clippy::unused_async, reason = "operations are executed by lanes")]
    pub(crate) async fn execute(&self, call: OperationCall<'_>) -> Executed {
        let OperationCall { key, entity, operation, body, traceparent } = call;
        let (account, bytes) = (key.account, body.len());
        tracing::debug!(%account, origin = %key.origin, entity, operation, bytes, traceparent, "operation not available");
        Executed { reply: CommandRefusal::NotAvailable.body(), counts: false }
    }
}
