//! Admission of requests: who calls, whether a call is left, and the handler's run under its deadline.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use tracing::Span;
use tracing::field::display;

use super::authenticator::{Authenticator, Claim};
use super::caller::Caller;
use super::extract::BodyLimit;
use super::method::is_write;
use crate::domain::tier::{Tier, Tiers};
use crate::http::response::limits;
use crate::http::response::problem::Problem;
use crate::keys::LastUsed;
use crate::metrics::Metrics;
use crate::quota::{Call, Checked, Denied, QuotaLimiter, RateLimitStatus};
use crate::store::Store;

/// The label of calls of accounts whose tier the configuration lacks.
const UNKNOWN_TIER: &str = "unknown";

/// The state of the authentication layer.
pub(in crate::http) struct Admission {
    pub(in crate::http) authenticator: Authenticator,
    pub(in crate::http) limiter: QuotaLimiter,
    pub(in crate::http) tiers: Tiers,
    pub(in crate::http) last_used: LastUsed,
    pub(in crate::http) store: Store,
    pub(in crate::http) metrics: Metrics,
    /// A handler that takes longer is ended, and its request refused with 503.
    pub(in crate::http) request_timeout: Duration,
    pub(in crate::http) body_limit: BodyLimit,
}

impl Admission {
    /// Recognises the caller and reserves a call of the account's limits.
    pub(super) async fn admit(&self, claim: &Claim) -> Result<(Caller, Result<Call, Denied>), Problem> {
        let caller = self.identify(claim).await?;
        let Checked { outcome, revision } = self.limiter.acquire(caller.account).await;
        // An error drops the call that was reserved, which gives it back.
        Ok((self.confirm(caller, claim, revision).await?, outcome))
    }

    /// Recognises the caller and reads the account's limits without reserving a call.
    pub(super) async fn recognise(
        &self,
        claim: &Claim,
    ) -> Result<(Caller, Result<Option<RateLimitStatus>, Denied>), Problem> {
        let caller = self.identify(claim).await?;
        let Checked { outcome, revision } = self.limiter.status(caller.account).await;
        Ok((self.confirm(caller, claim, revision).await?, outcome))
    }

    /// Recognises the caller, who must be [confirmed](Self::confirm); from here on the request's span names the account.
    async fn identify(&self, claim: &Claim) -> Result<Caller, Problem> {
        let caller = if self.limiter.is_enforced() {
            self.authenticator.caller_to_confirm(claim).await?
        } else {
            self.authenticator.caller(claim).await?
        };
        let caller = Caller::from(caller);
        Span::current().record("account", display(caller.account));
        Ok(caller)
    }

    /// The caller as of a revision. A revision other than the cached one means that the account, its settings or its keys
    /// have changed since.
    async fn confirm(&self, caller: Caller, claim: &Claim, revision: Option<i64>) -> Result<Caller, Problem> {
        match revision {
            Some(revision) if revision != caller.revision => {
                Ok(self.authenticator.caller_at(claim, revision).await?.into())
            }
            // The limiter refused the call without a look at the account.
            None if self.limiter.is_enforced() => Ok(self.authenticator.caller(claim).await?.into()),
            Some(_) | None => Ok(caller),
        }
    }

    /// Runs the handler, unless the caller's key does not allow the request.
    pub(super) async fn execute(&self, caller: Caller, mut request: Request, next: Next) -> Response {
        self.last_used.note(caller.account, caller.key_id);
        if !caller.may(request.method()) {
            return Problem::read_only().into_response();
        }
        let writes = is_write(request.method());
        request.extensions_mut().insert(caller);
        // The timeout is here and not in an outer layer, so that a call that timed out is given back.
        let mut response = match tokio::time::timeout(self.request_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::too_slow(writes).into_response(),
        };
        // The response belongs to one account, and a shared cache does not vary by the key's headers.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    pub(super) fn refuse(&self, tier: &Tier, denied: Denied) -> Response {
        let response = match denied {
            Denied::Unavailable => return Problem::no_database().into_response(),
            Denied::UnknownTier => Problem::unknown_tier().into_response(),
            Denied::Burst(window) => limits::refuse_burst(window),
            Denied::Month(status) => limits::refuse_month(&status),
        };
        self.count_call(tier, "refused");
        response
    }

    pub(super) fn count_call(&self, tier: &Tier, outcome: &str) {
        // The database may have any number of names that the configuration lacks.
        let tier = self.tiers.named(tier.name()).map_or(UNKNOWN_TIER, Tier::name);
        self.metrics.quota_calls_total.with_label_values(&[tier, outcome]).inc();
    }
}
