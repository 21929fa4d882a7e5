//! Lets callers in: who they are, and whether they have a call left.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{HeaderMap, Method};
use uuid::Uuid;

use super::authenticator::Claim;
use super::operations::SampleMode;
use super::problem::{Problem, REPLAYED};
use super::{Api, limits, replays};
use crate::command::Failure;
use crate::domain::AccountId;
use crate::domain::account::{OnMissing, Tier};
use crate::quota::{Call, Checked, Denied, RateLimitStatus};

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) key_id: Uuid,
    /// Stamped on what the caller writes.
    pub(super) origin: Arc<str>,
    pub(super) read_only: bool,
    pub(super) tier: Tier,
    pub(super) on_missing: OnMissing,
    /// The account's, when this was found out.
    pub(super) revision: i64,
}

impl Caller {
    /// Whether the key's scope has this method.
    pub(super) fn may(&self, method: &Method) -> bool {
        !(self.read_only && is_write(method))
    }
}

/// The test credentials: `X-Public-ID` and `X-Secret-Key`, compared as they stand.
pub(super) const TEST_CREDENTIALS: (&str, &str) = ("00000000-0000-0000-0000-000000000000", "DummySecretKey");

/// Lets authenticated requests through that have a call left, with their [`Caller`]. The call is charged before they are
/// carried out, and settled before their answer goes out.
pub(super) async fn authenticate(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if has_test_credentials(request.headers()) {
        return sample(request, next).await;
    }
    let claim = api.authenticator.claim(request.headers())?;
    let (caller, taken) = admit(&api, &claim).await?;
    let tier = caller.tier;
    let mut call = match taken {
        Ok(call) => call,
        Err(Denied::Month(standing)) => {
            return Ok(replays::at_limit(&api, caller, request, next, standing).await);
        }
        Err(denied) => return Ok(refuse(&api, tier, denied)),
    };
    let writes = is_write(request.method());
    if writes {
        // It may be carried out though its caller goes away; a read that nobody waits for is of no use to anybody.
        call.keep_if_dropped();
    }
    let mut response = execute(&api, caller, request, next).await;
    let standing = if counts(&response) {
        match call.count().await {
            Ok(standing) => {
                meter(&api, tier, "counted");
                standing
            }
            // A write is carried out by now: that it was refused would not be true.
            Err(_) if writes => return Ok(Problem::from(Failure::Unavailable).into_response()),
            Err(denied) => return Ok(refuse(&api, tier, denied)),
        }
    } else {
        meter(&api, tier, "free");
        call.give_back()
    };
    if let Some(standing) = standing {
        limits::show(&standing, response.headers_mut());
    }
    Ok(response)
}

/// Lets authenticated requests through that take no call of the month, with their [`Caller`].
pub(super) async fn authenticate_uncounted(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if has_test_credentials(request.headers()) {
        return sample(request, next).await;
    }
    let claim = api.authenticator.claim(request.headers())?;
    let (caller, standing) = recognise(&api, &claim).await?;
    let tier = caller.tier;
    let standing = match standing {
        Ok(standing) => standing,
        Err(denied) => return Ok(refuse(&api, tier, denied)),
    };
    let mut response = execute(&api, caller, request, next).await;
    meter(&api, tier, "free");
    if let Some(standing) = standing {
        limits::show(&standing, response.headers_mut());
    }
    Ok(response)
}

fn has_test_credentials(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|header| header == value);
    is("x-public-id", TEST_CREDENTIALS.0) && is("x-secret-key", TEST_CREDENTIALS.1)
}

/// The test credentials are no account's: a GET with them goes to its sample, before anything is asked of the database.
async fn sample(mut request: Request, next: Next) -> Result<Response, Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::test_credentials());
    }
    request.extensions_mut().insert(SampleMode);
    Ok(next.run(request).await)
}

/// Who calls, and whether they may.
async fn admit(api: &Api, claim: &Claim) -> Result<(Caller, Result<Call, Denied>), Problem> {
    let caller = api.authenticator.caller(claim).await?;
    let Checked { outcome, revision } = api.limiter.acquire(caller.account).await;
    // A call that was taken for nobody is dropped, and so given back.
    Ok((confirm(api, caller, claim, revision).await?, outcome))
}

/// Who calls, and where they stand.
async fn recognise(api: &Api, claim: &Claim) -> Result<(Caller, Result<Option<RateLimitStatus>, Denied>), Problem> {
    let caller = api.authenticator.caller(claim).await?;
    let Checked { outcome, revision } = api.limiter.status(caller.account).await;
    Ok((confirm(api, caller, claim, revision).await?, outcome))
}

/// The caller as of a revision: where it is another than the one that was remembered, the account, its settings or its
/// keys have changed since.
async fn confirm(api: &Api, caller: Caller, claim: &Claim, revision: Option<i64>) -> Result<Caller, Problem> {
    if revision.is_none_or(|revision| revision == caller.revision) {
        return Ok(caller);
    }
    api.authenticator.caller_anew(claim, revision).await
}

/// The answer to a request that was let in, unless its key may not do what it asks.
pub(super) async fn execute(api: &Api, caller: Caller, mut request: Request, next: Next) -> Response {
    api.last_used.note(caller.account, caller.key_id);
    if !caller.may(request.method()) {
        return Problem::read_only().into_response();
    }
    request.extensions_mut().insert(caller);
    // Here, so that a call that took too long is given back.
    let deadline = Duration::from_secs(api.config.http.request_timeout_s);
    let mut response = match tokio::time::timeout(deadline, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::too_slow().into_response(),
    };
    // It is this account's alone, which a cache cannot tell by these headers.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn refuse(api: &Api, tier: Tier, denied: Denied) -> Response {
    let (policy, standing, window) = match denied {
        Denied::Unavailable => return Problem::no_database().into_response(),
        Denied::Burst(standing) => (limits::BURST, standing, standing.burst),
        Denied::Month(standing) => (limits::MONTH, standing, standing.month.unwrap_or(standing.burst)),
    };
    meter(api, tier, "refused");
    limits::refuse(policy, &standing, window)
}

pub(super) fn meter(api: &Api, tier: Tier, outcome: &str) {
    api.metrics.quota_calls_total.with_label_values(&[tier.name(), outcome]).inc();
}

/// Whether a request of this method may change something.
pub(super) fn is_write(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::DELETE].contains(method)
}

/// A call counts when it was answered 2xx, 3xx but 304, or 4xx but 401 and 429; a replayed answer does not.
fn counts(response: &Response) -> bool {
    let counted = match response.status().as_u16() {
        304 | 401 | 429 => false,
        status => (200..500).contains(&status),
    };
    counted && !is_replay(response)
}

/// Whether an answer is the stored one of an earlier request.
pub(super) fn is_replay(response: &Response) -> bool {
    let refused_again = response.extensions().get::<Problem>().is_some_and(Problem::is_replayed);
    refused_again || response.headers().contains_key(REPLAYED)
}
