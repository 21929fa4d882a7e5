//! Requests and responses as the service knows them.

use crate::command::Idempotency;
use crate::domain::AccountId;

/// The caller of a change.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequest<'a> {
    /// The account whose endpoint it is.
    pub account: AccountId,
    /// The name in the audit log.
    pub actor: &'a str,
    /// The origin that `exclude_own` refers to.
    pub origin: &'a str,
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
