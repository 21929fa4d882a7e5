//! Idempotent replays of an account whose monthly calls are used up.
//!
//! A replay is not counted, so it is answered beyond the limit too: a client that lost the first response can still learn
//! the result of its write. Before the handler runs, [`are_stored`] finds the response to this request and checks that it
//! does not expire soon. The handler then runs as for any request, and its write finds the stored response and changes
//! nothing. A list of subscriptions stores a response per item, so its handler reads [`OnlyReplay`] and checks all of them.

use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use axum::middleware::Next;
use axum::response::Response;

use super::admission::Admission;
use super::caller::Caller;
use super::extract::Write;
use super::method::is_write;
use crate::command::Idempotency;
use crate::http::response::limits;
use crate::http::response::replayed::is_replay;
use crate::quota::{Denied, RateLimitStatus};
use crate::store::{Store, StoreError};

/// Marks a request that passed only because its first response is stored. A handler that submits several commands checks
/// that the responses to all of them are, and else refuses the request.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct OnlyReplay {
    /// The account's limits, of which the monthly one is used up.
    pub(in crate::http) status: RateLimitStatus,
}

/// The response to a request that has no call left: the stored one of the same request, else a refusal.
pub(super) async fn at_limit(
    admission: &Admission,
    caller: Caller,
    request: Request,
    next: Next,
    status: RateLimitStatus,
) -> Response {
    let tier = caller.tier.clone();
    let Some(mut request) = if_stored(admission, &caller, request).await else {
        return admission.refuse(&tier, Denied::Month(status));
    };
    request.extensions_mut().insert(OnlyReplay { status });
    let mut response = admission.execute(caller, request, next).await;
    // The handler may find that the request is no replay after all, and refuse it.
    admission.count_call(&tier, if is_replay(&response) { "free" } else { "refused" });
    limits::show(&status, response.headers_mut());
    response
}

/// The same request, where its response is stored. Only a request that can have a stored response is read.
async fn if_stored(admission: &Admission, caller: &Caller, request: Request) -> Option<Request> {
    let method = request.method();
    if !is_write(method) || !caller.may(method) || !request.headers().contains_key("idempotency-key") {
        return None;
    }
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(caller.clone());
    // The handler's own extractor, so that both see the same request.
    let write = Write::from_request(Request::from_parts(parts.clone(), body), &admission.body_limit).await.ok()?;
    let idempotency = write.idempotency?;
    match are_stored(&admission.store, caller, &[idempotency]).await {
        Ok(is_stored) => is_stored.then(|| Request::from_parts(parts, Body::from(write.body))),
        Err(error) => {
            // The refusal of the limit stands, and is true as well.
            tracing::warn!(account = %caller.account, error = error.report(), "look up stored response failed");
            None
        }
    }
}

/// Whether the responses to all of these are stored, and will be for a while: a request whose response expired in between
/// would be carried out.
pub(in crate::http) async fn are_stored(
    store: &Store,
    caller: &Caller,
    requests: &[Idempotency],
) -> Result<bool, StoreError> {
    let keys: Vec<_> = requests.iter().map(|request| (request.key.as_str(), request.unscoped_key.as_str())).collect();
    let hashes: Vec<&[u8]> = requests.iter().map(|request| request.request_hash.as_slice()).collect();
    Ok(store.count_idempotency_records(caller.account, &keys, &hashes).await? == requests.len())
}
