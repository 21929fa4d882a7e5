//! The authentication layer: recognises the caller, and charges the call to the account's limits.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::{HeaderMap, Method};

use super::admission::Admission;
use super::authenticator::claim;
use super::method::is_write;
use super::replays;
use crate::command::Failure;
use crate::http::response::limits;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::is_replay;
use crate::quota::Denied;

/// The test credentials: `X-Public-ID` and `X-Secret-Key`, compared literally.
pub(in crate::http) const TEST_CREDENTIALS: (&str, &str) = ("00000000-0000-0000-0000-000000000000", "DummySecretKey");

/// Marks a request that was sent with the test credentials: it is answered by a sample.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct SampleMode;

/// Passes on requests of authenticated callers that have a call left, with their [`Caller`](super::caller::Caller). The
/// call is reserved before the handler runs, and settled before the response is sent.
pub(in crate::http) async fn authenticate(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if has_test_credentials(request.headers()) {
        return sample(request, next).await;
    }
    let claim = claim(&admission.authenticator, request.headers())?;
    let (caller, reserved) = admission.admit(&claim).await?;
    let tier = caller.tier.clone();
    let mut call = match reserved {
        Ok(call) => call,
        Err(Denied::Month(status)) => {
            return Ok(replays::at_limit(&admission, caller, request, next, status).await);
        }
        Err(denied) => return Ok(admission.refuse(&tier, denied)),
    };
    let writes = is_write(request.method());
    if writes {
        // A write may be carried out after its client has disconnected, so it stays charged. A read is not.
        call.keep_if_dropped();
    }
    let mut response = admission.execute(caller, request, next).await;
    let status = if counts(&response) {
        match call.count().await {
            Ok(status) => {
                admission.count_call(&tier, "counted");
                status
            }
            // The write may have been carried out, so the response must not say that it was refused.
            Err(_) if writes => return Ok(Problem::from(Failure::Unavailable).into_response()),
            Err(denied) => return Ok(admission.refuse(&tier, denied)),
        }
    } else {
        admission.count_call(&tier, "free");
        call.give_back()
    };
    if let Some(status) = status {
        limits::show(&status, response.headers_mut());
    }
    Ok(response)
}

/// Passes on requests of authenticated callers, with their [`Caller`](super::caller::Caller), and charges no call.
pub(in crate::http) async fn authenticate_uncharged(
    State(admission): State<Arc<Admission>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if has_test_credentials(request.headers()) {
        return sample(request, next).await;
    }
    let claim = claim(&admission.authenticator, request.headers())?;
    let (caller, status) = admission.recognise(&claim).await?;
    let tier = caller.tier.clone();
    let status = match status {
        Ok(status) => status,
        Err(denied) => return Ok(admission.refuse(&tier, denied)),
    };
    let mut response = admission.execute(caller, request, next).await;
    admission.count_call(&tier, "free");
    if let Some(status) = status {
        limits::show(&status, response.headers_mut());
    }
    Ok(response)
}

fn has_test_credentials(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|header| header == value);
    is("x-public-id", TEST_CREDENTIALS.0) && is("x-secret-key", TEST_CREDENTIALS.1)
}

/// Passes a GET with the test credentials on to its sample, without a query to the database: they belong to no account.
async fn sample(mut request: Request, next: Next) -> Result<Response, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::test_credentials());
    }
    request.extensions_mut().insert(SampleMode);
    Ok(next.run(request).await)
}

/// A call counts when its response is 2xx, 3xx but 304, or 4xx but 401 and 429. A replayed response does not count.
fn counts(response: &Response) -> bool {
    let counted = match response.status().as_u16() {
        304 | 401 | 429 => false,
        status => (200..500).contains(&status),
    };
    counted && !is_replay(response)
}
