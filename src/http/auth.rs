//! Who calls: the account and the key that the two headers name.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper::{HeaderMap, Method};
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::operations::Dummy;
use super::problem::{Problem, REPLAYED};
use super::{Api, limits};
use crate::domain::AccountId;
use crate::domain::account::{OnMissing, Tier};
use crate::quota::{Call, Denied};
use crate::store::accounts::Credentials;
use crate::store::{Store, StoreError};

/// Accounts are looked up again after this time: that long a deleted key may still work.
const REMEMBERED: Duration = Duration::from_secs(1);

/// An authenticated caller.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) account: AccountId,
    pub(super) key_id: Uuid,
    /// Stamped on what the caller writes.
    pub(super) origin: Arc<str>,
    pub(super) tier: Tier,
    pub(super) on_missing: OnMissing,
}

/// Knows keys by their hashes.
pub(super) struct Authenticator {
    store: Store,
    known: Cache<AccountId, Option<Arc<Credentials>>>,
}

impl Authenticator {
    pub(super) fn new(store: Store) -> Self {
        let known = Cache::builder().max_capacity(10_000).time_to_live(REMEMBERED).build();
        Self { store, known }
    }

    /// As [`Self::caller`], by what the database says now.
    async fn caller_anew(&self, account: AccountId, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.known.invalidate(&account).await;
        self.caller(headers).await
    }

    /// Who these headers say that they are, where that is true.
    pub(super) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let account = header("x-public-id").and_then(|id| Uuid::try_parse(id).ok()).map(AccountId);
        let (Some(account), Some(secret)) = (account, header("x-secret-key")) else {
            return Err(Problem::unauthorized());
        };
        let hash = Sha256::digest(secret);
        // Callers of one account that come at once share one look-up.
        let look_up = async { Ok::<_, StoreError>(self.store.credentials(account).await?.map(Arc::new)) };
        let credentials = self.known.try_get_with(account, look_up).await.map_err(shared)?;
        let credentials = credentials.ok_or_else(Problem::unauthorized)?;
        // Every key is compared whole, so that the time taken tells nothing of how near a guess came.
        let mut matching = None;
        for key in &credentials.keys {
            if bool::from(key.secret_hash.ct_eq(hash.as_slice())) {
                matching = Some(key);
            }
        }
        let key = matching.ok_or_else(Problem::unauthorized)?;
        Ok(Caller {
            account,
            key_id: key.key_id,
            origin: Arc::from(key.origin.as_str()),
            tier: credentials.tier,
            on_missing: credentials.on_missing,
        })
    }
}

/// An error that several callers got of one look-up.
fn shared(error: Arc<StoreError>) -> Problem {
    match Arc::try_unwrap(error) {
        Ok(error) => error.into(),
        Err(_) => Problem::no_database(),
    }
}

/// The test credentials: `X-Public-ID` and `X-Secret-Key`, compared as they stand.
const TEST_CREDENTIALS: (&str, &str) = ("00000000-0000-0000-0000-000000000000", "DummySecretKey");

/// Lets authenticated requests through that have a call left, with their [`Caller`]. The test credentials are no
/// account's: a GET with them goes to its sample, before anything is asked of the database.
pub(super) async fn authenticate(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    if has_test_credentials(request.headers()) {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Problem::test_credentials().into_response();
        }
        request.extensions_mut().insert(Dummy);
        return next.run(request).await;
    }
    let (caller, taken) = match admit(&api, request.headers()).await {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    let tier = caller.tier;
    let meter = |outcome| api.metrics.quota_calls_total.with_label_values(&[tier.name(), outcome]).inc();
    let call = match taken {
        Ok(call) => call,
        Err(Denied::Unavailable) => return Problem::no_database().into_response(),
        Err(Denied::Burst(standing)) => {
            meter("refused");
            return limits::refuse(limits::BURST, &standing, standing.burst);
        }
        Err(Denied::Month(standing)) => {
            meter("refused");
            return limits::refuse(limits::MONTH, &standing, standing.month);
        }
    };
    request.extensions_mut().insert(caller);
    let mut response = next.run(request).await;
    let counted = counts(&response);
    meter(if counted { "counted" } else { "free" });
    let standing = if counted { call.standing() } else { call.give_back() };
    if let Some(standing) = standing {
        limits::show(&standing, response.headers_mut());
    }
    response
}

fn has_test_credentials(headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|header| header == value);
    is("x-public-id", TEST_CREDENTIALS.0) && is("x-secret-key", TEST_CREDENTIALS.1)
}

/// Who calls, and whether they may. A tier that ran out is looked up anew: it may have been raised this moment.
async fn admit(api: &Api, headers: &HeaderMap) -> Result<(Caller, Result<Call, Denied>), Problem> {
    let caller = api.authenticator.caller(headers).await?;
    let taken = api.ledger.take(caller.account, caller.tier, api.clock.now()).await;
    if !matches!(taken, Err(Denied::Month(_))) {
        return Ok((caller, taken));
    }
    let anew = api.authenticator.caller_anew(caller.account, headers).await?;
    if anew.tier == caller.tier {
        return Ok((caller, taken));
    }
    let taken = api.ledger.take(anew.account, anew.tier, api.clock.now()).await;
    Ok((anew, taken))
}

/// A call counts when it was answered 2xx, 3xx but 304, or 4xx but 401 and 429; a replayed answer does not.
fn counts(response: &Response) -> bool {
    let counted = match response.status().as_u16() {
        304 | 401 | 429 => false,
        status => (200..500).contains(&status),
    };
    let refused_again = response.extensions().get::<Problem>().is_some_and(Problem::is_replayed);
    counted && !refused_again && !response.headers().contains_key(REPLAYED)
}
