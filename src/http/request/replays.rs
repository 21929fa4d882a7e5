//! Idempotent replays of an account whose calls are used up.
//!
//! A replay is not counted, so that it is answered beyond the limit too: a client whose last answer was lost can still
//! learn what became of its write. Nothing else is carried out here: a request passes only when its answer is stored
//! already, and is told so.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest as _, Request};
use axum::middleware::Next;
use axum::response::Response;

use super::auth::{Caller, execute, is_replay, is_write, meter, refuse};
use super::extract::Write;
use crate::command::Idempotency;
use crate::http::Api;
use crate::http::response::limits;
use crate::quota::{Denied, RateLimitStatus};
use crate::store::StoreError;

/// Put into a request that may be answered from what is stored, and not be carried out.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct OnlyReplay {
    /// Where the account stands: at its limit.
    pub(in crate::http) standing: RateLimitStatus,
}

/// The answer to a request that has no call left: that of then, where it was made before.
pub(in crate::http) async fn at_limit(
    api: &Arc<Api>,
    caller: Caller,
    request: Request,
    next: Next,
    standing: RateLimitStatus,
) -> Response {
    let tier = caller.tier;
    let Some(mut request) = if_stored(api, &caller, request).await else {
        return refuse(api, tier, Denied::Month(standing));
    };
    request.extensions_mut().insert(OnlyReplay { standing });
    let mut response = execute(api, caller, request, next).await;
    // Its handler may still see that it is none, and refuse it.
    meter(api, tier, if is_replay(&response) { "free" } else { "refused" });
    limits::show(&standing, response.headers_mut());
    response
}

/// The same request, where its first answer is stored. Only one that could have an answer is read at all.
async fn if_stored(api: &Arc<Api>, caller: &Caller, request: Request) -> Option<Request> {
    let method = request.method();
    if !is_write(method) || !caller.may(method) || !request.headers().contains_key("idempotency-key") {
        return None;
    }
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(caller.clone());
    // Read as its handler reads it, so that it is the same request here and there.
    let write = Write::from_request(Request::from_parts(parts.clone(), body), api).await.ok()?;
    let is_stored = are_stored(api, caller, write.idempotency.as_slice()).await.unwrap_or(false);
    (write.idempotency.is_some() && is_stored).then(|| Request::from_parts(parts, Body::from(write.body)))
}

/// Whether the answers to all of these are stored, and will be for a while: what expires in between would be carried out.
pub(in crate::http) async fn are_stored(
    api: &Api,
    caller: &Caller,
    requests: &[Idempotency],
) -> Result<bool, StoreError> {
    let keys: Vec<_> = requests.iter().map(|request| (request.key.as_str(), request.unscoped_key.as_str())).collect();
    let hashes: Vec<&[u8]> = requests.iter().map(|request| request.request_hash.as_slice()).collect();
    Ok(api.store.count_answers(caller.account, &keys, &hashes).await? == requests.len())
}
