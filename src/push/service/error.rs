//! Reasons why a request about endpoints is not executed.

use crate::audited::{ChangeError, Rendered};
use crate::domain::{Invalid, ValidationErrors};
use crate::store::StoreError;

/// A request that changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The request was executed before; this is the response that it got.
    #[error("the request was executed before")]
    Repeated(Rendered),
    /// One or more fields are refused, all of them listed.
    #[error("invalid fields: {0:?}")]
    Invalid(ValidationErrors),
    /// The account has no such endpoint.
    #[error("no such endpoint")]
    NotFound,
    /// No such event of the endpoint is parked.
    #[error("no such parked event")]
    NotParked,
    /// The account does not exist.
    #[error("no such account")]
    NoAccount,
    /// The idempotency key was used before with another request.
    #[error("the idempotency key was used with another request")]
    KeyReused,
    /// No master key is configured to seal a secret with.
    #[error("no master key is configured")]
    NoMasterKey,
    /// Too many deliveries are in flight to send a test.
    #[error("too many deliveries are in flight")]
    NoPermit,
    /// The database refused or failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A state that should not exist.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

impl From<ChangeError> for EndpointError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Repeated(rendered) => Self::Repeated(rendered),
            ChangeError::NoAccount => Self::NoAccount,
            ChangeError::KeyReused => Self::KeyReused,
            ChangeError::Store(error) => Self::Store(error),
            ChangeError::Internal(error) => Self::Internal(error),
        }
    }
}

impl From<ValidationErrors> for EndpointError {
    fn from(errors: ValidationErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<Invalid> for EndpointError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid.into())
    }
}
