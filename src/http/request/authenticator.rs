//! Authentication: compares the two headers with the keys of the account that they name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use moka::future::Cache;
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;
use uuid::Uuid;

use super::caller::Caller;
use crate::clock;
use crate::domain::AccountId;
use crate::http::response::problem::Problem;
use crate::keys::SecretKey;
use crate::quota::QuotaLimiter;
use crate::store::accounts::AccountCredentials;
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// An account is read again after this time where its revision is not compared afterwards: this time bounds the delay of a
/// change.
const MAX_AGE: Duration = Duration::from_secs(1);

/// An account is forgotten after this time without a call.
const TIME_TO_IDLE: Duration = Duration::from_secs(10);

/// The credentials that a request claims.
pub(in crate::http) struct Claim {
    account: AccountId,
    secret_hash: [u8; 32],
}

/// Recognises keys by their hashes. Cloning shares the cache.
#[derive(Clone)]
pub(in crate::http) struct Authenticator {
    store: Store,
    limiter: QuotaLimiter,
    slug: String,
    known: Cache<AccountId, Option<Arc<Known>>>,
}

/// The cached credentials of an account, and when they were read.
struct Known {
    credentials: AccountCredentials,
    looked_up_at: Instant,
}

impl Authenticator {
    pub(in crate::http) fn new(store: Store, limiter: QuotaLimiter, slug: &str) -> Self {
        let known = Cache::builder().max_capacity(10_000).time_to_idle(TIME_TO_IDLE).build();
        Self { store, limiter, slug: slug.to_owned(), known }
    }

    /// Makes the worker that forgets idle accounts.
    pub(in crate::http) fn idle_credentials(&self) -> IdleCredentials {
        IdleCredentials { authenticator: self.clone() }
    }

    /// Reads the headers. A mistyped key is refused here, without a query.
    pub(in crate::http) fn claim(&self, headers: &HeaderMap) -> Result<Claim, Problem> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // Only in the form in which it is given out: a UUID has other forms.
        let is_hyphenated = |id: &Uuid, text| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        let parse = |text| Uuid::try_parse(text).ok().filter(|id| is_hyphenated(id, text)).map(AccountId);
        let account = header("x-public-id").and_then(parse);
        let secret =
            header("x-secret-key").and_then(SecretKey::import).filter(|secret| !secret.is_mistyped(&self.slug));
        let (Some(account), Some(secret)) = (account, secret) else { return Err(Problem::unauthorized()) };
        Ok(Claim { account, secret_hash: secret.hash() })
    }

    /// The caller, by credentials that are at most a second old.
    pub(in crate::http) async fn caller(&self, claim: &Claim) -> Result<Caller, Problem> {
        self.forget(claim.account, Known::is_old).await;
        self.find(claim).await
    }

    /// The caller, by credentials that may be out of date: its revision must be compared with the account's current one.
    /// So an account that calls every few seconds is not read for each call.
    pub(in crate::http) async fn caller_to_confirm(&self, claim: &Claim) -> Result<Caller, Problem> {
        // The expiry of a key changes no revision.
        self.forget(claim.account, |known| known.is_old() && known.has_expiring_key()).await;
        self.find(claim).await
    }

    async fn forget(&self, account: AccountId, condition: impl Fn(&Known) -> bool) {
        if self.known.get(&account).await.flatten().is_some_and(|known| condition(&known)) {
            self.known.invalidate(&account).await;
        }
    }

    /// A key that is not cached may have been added since the account was read, so the account is read again, unless its
    /// revision says that it is unchanged. Wrong keys share the statement that reads revisions.
    async fn find(&self, claim: &Claim) -> Result<Caller, Problem> {
        if let Some(known) = self.known.get(&claim.account).await {
            return match claim.matching(known.as_deref()) {
                Some(caller) => Ok(caller),
                None if self.is_unchanged(claim.account, known.as_deref()).await? => Err(Problem::unauthorized()),
                None => self.reread_caller(claim).await,
            };
        }
        // Concurrent requests of one account share one look-up.
        let look_up = self.look_up(claim.account);
        let entry = self.known.entry(claim.account).or_try_insert_with(look_up).await.map_err(shared)?;
        let is_fresh = entry.is_fresh();
        match claim.matching(entry.value().as_deref()) {
            None if is_fresh => Err(Problem::unauthorized()),
            None => self.reread_caller(claim).await,
            Some(caller) => Ok(caller),
        }
    }

    async fn is_unchanged(&self, account: AccountId, known: Option<&Known>) -> Result<bool, Problem> {
        let revision = self.limiter.revision(account).await.ok_or_else(Problem::no_database)?;
        Ok(revision == known.map(|known| known.credentials.revision))
    }

    /// The caller by the credentials of this revision, if another request has read them already, else by those that the
    /// database has now.
    pub(in crate::http) async fn caller_at(&self, claim: &Claim, revision: i64) -> Result<Caller, Problem> {
        match self.known.get(&claim.account).await.flatten() {
            Some(known) if known.credentials.revision == revision => {
                claim.matching(Some(&known)).ok_or_else(Problem::unauthorized)
            }
            Some(_) | None => self.reread_caller(claim).await,
        }
    }

    /// The caller by the credentials that the database has now, which replace the cached ones.
    async fn reread_caller(&self, claim: &Claim) -> Result<Caller, Problem> {
        let known = self.look_up(claim.account).await?;
        self.known.insert(claim.account, known.clone()).await;
        claim.matching(known.as_deref()).ok_or_else(Problem::unauthorized)
    }

    async fn look_up(&self, account: AccountId) -> Result<Option<Arc<Known>>, StoreError> {
        let looked_up_at = clock::instant();
        let credentials = self.store.credentials(account).await?;
        Ok(credentials.map(|credentials| Arc::new(Known { credentials, looked_up_at })))
    }
}

/// Gives back the memory of idle accounts' credentials: the cache itself does so only while it is used.
pub(in crate::http) struct IdleCredentials {
    authenticator: Authenticator,
}

impl Worker for IdleCredentials {
    const NAME: &'static str = "idle credentials";
    const SWEEP: Duration = TIME_TO_IDLE;

    async fn step(&mut self) -> anyhow::Result<Step> {
        self.authenticator.known.run_pending_tasks().await;
        Ok(Step::Idle)
    }

    fn wake(&self) -> Arc<Notify> {
        Arc::default()
    }
}

impl Known {
    fn is_old(&self) -> bool {
        self.looked_up_at.elapsed() >= MAX_AGE
    }

    fn has_expiring_key(&self) -> bool {
        self.credentials.keys.iter().any(|key| key.expires_in.is_some())
    }
}

impl Claim {
    /// The caller, if the account has the key and it has not expired.
    fn matching(&self, known: Option<&Known>) -> Option<Caller> {
        let Known { credentials, looked_up_at } = known?;
        // Compares every key, and in constant time, so that the time taken does not reveal how near a guess is.
        let mut matching = None;
        for key in &credentials.keys {
            if bool::from(key.secret_hash.ct_eq(&self.secret_hash)) {
                matching = Some(key);
            }
        }
        // The database computed how long the key has left; the time since then is measured by a monotonic clock.
        let elapsed = clock::instant().saturating_duration_since(*looked_up_at).as_secs_f64();
        let key = matching.filter(|key| key.expires_in.is_none_or(|seconds| elapsed < seconds))?;
        Some(Caller {
            account: self.account,
            key_id: key.key_id,
            origin: Arc::clone(&key.origin),
            read_only: key.read_only,
            tier: credentials.tier.clone(),
            on_missing: credentials.on_missing,
            revision: credentials.revision,
        })
    }
}

/// The error of a look-up that several requests shared.
fn shared(error: Arc<StoreError>) -> Problem {
    match Arc::try_unwrap(error) {
        Ok(error) => error.into(),
        Err(_) => Problem::no_database(),
    }
}
