//! Authentication: reads the two headers that name an account and one of its keys.

use hyper::HeaderMap;

use crate::http::response::problem::Problem;
pub(in crate::http) use crate::keys::{Authenticator, Claim};

/// Reads the headers. A mistyped key is refused here, without a query.
pub(in crate::http) fn claim(authenticator: &Authenticator, headers: &HeaderMap) -> Result<Claim, Problem> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let claim = header("x-public-id").zip(header("x-secret-key"));
    claim.and_then(|(account, secret)| authenticator.claim(account, secret)).ok_or_else(Problem::unauthorized)
}
