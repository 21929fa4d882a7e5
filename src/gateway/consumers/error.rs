//! Reasons why a request about consumers is not executed.

use crate::audited::ChangeError;
use crate::broker::BrokerError;
use crate::domain::{Invalid, ValidationErrors};
use crate::store::StoreError;

/// A request that is not executed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsumerError {
    /// One or more fields are refused, all of them listed.
    #[error("invalid fields: {0:?}")]
    Invalid(ValidationErrors),
    /// The account has no such consumer.
    #[error("no such consumer")]
    NotFound,
    /// The cursor is of a log that was restored since.
    #[error("the cursor is of another log")]
    Resync,
    /// NATS does not respond.
    #[error("NATS is not available")]
    NoNats,
    /// The change was not made, or was made before.
    #[error("the change failed")]
    Change(#[from] ChangeError),
}

impl From<Invalid> for ConsumerError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.into())
    }
}

impl From<StoreError> for ConsumerError {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

impl From<BrokerError> for ConsumerError {
    fn from(error: BrokerError) -> Self {
        tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "request about consumers failed");
        Self::NoNats
    }
}
