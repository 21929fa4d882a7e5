//! Authentication: compares a claimed key with the keys of the account that it names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{AuthenticatedKey, SecretKey};
use crate::clock;
use crate::domain::AccountId;
use crate::quota::QuotaLimiter;
use crate::store::accounts::AccountCredentials;
use crate::store::keys::AccountKey;
use crate::store::{Store, StoreError};
use crate::worker::{Step, Worker};

/// An account is read again after this time where its revision is not compared afterwards: this time bounds the delay of a
/// change.
const MAX_AGE: Duration = Duration::from_secs(1);

/// An account is forgotten after this time without a call.
const TIME_TO_IDLE: Duration = Duration::from_secs(10);

/// The credentials that a request claims.
pub(crate) struct Claim {
    account: AccountId,
    secret_hash: [u8; 32],
}

/// A caller that is not recognised.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthError {
    /// There is no such account, it has no such key, or the key has expired.
    #[error("no such account or key")]
    Unauthorized,
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    NoDatabase,
    /// The look-up failed.
    #[error("looking up the account failed")]
    Store(#[from] StoreError),
}

/// Recognises keys by their hashes. Cloning shares the cache.
#[derive(Clone)]
pub(crate) struct Authenticator {
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

/// The part of a caller's credentials by which a key is selected.
enum Selector<'a> {
    Hash(&'a [u8; 32]),
    Id(Uuid),
}

impl Authenticator {
    pub(crate) fn new(store: Store, limiter: QuotaLimiter, slug: &str) -> Self {
        let known = Cache::builder().max_capacity(10_000).time_to_idle(TIME_TO_IDLE).build();
        Self { store, limiter, slug: slug.to_owned(), known }
    }

    /// Reads an account's public id and the text of a key. A mistyped key is refused here, without a query.
    pub(crate) fn claim(&self, account: &str, secret: &str) -> Option<Claim> {
        let account = public_id(account)?;
        let secret = SecretKey::import(secret).filter(|secret| !secret.is_mistyped(&self.slug))?;
        Some(Claim { account, secret_hash: secret.hash() })
    }

    /// Makes the worker that forgets idle accounts.
    pub(crate) fn idle_credentials(&self) -> IdleCredentials {
        IdleCredentials { authenticator: self.clone() }
    }

    /// The caller, by credentials that are at most a second old.
    pub(crate) async fn caller(&self, claim: &Claim) -> Result<AuthenticatedKey, AuthError> {
        self.forget(claim.account, Known::is_old).await;
        self.find(claim).await
    }

    /// The caller, by credentials that may be out of date: its revision must be compared with the account's current one.
    /// So an account that calls every few seconds is not read for each call.
    pub(crate) async fn caller_to_confirm(&self, claim: &Claim) -> Result<AuthenticatedKey, AuthError> {
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
    async fn find(&self, claim: &Claim) -> Result<AuthenticatedKey, AuthError> {
        if let Some(known) = self.known.get(&claim.account).await {
            return match claim.matching(known.as_deref()) {
                Some(caller) => Ok(caller),
                None if self.is_unchanged(claim.account, known.as_deref()).await? => Err(AuthError::Unauthorized),
                None => self.reread_caller(claim).await,
            };
        }
        // Concurrent requests of one account share one look-up.
        let look_up = self.look_up(claim.account);
        let entry = self.known.entry(claim.account).or_try_insert_with(look_up).await.map_err(shared)?;
        let is_fresh = entry.is_fresh();
        match claim.matching(entry.value().as_deref()) {
            None if is_fresh => Err(AuthError::Unauthorized),
            None => self.reread_caller(claim).await,
            Some(caller) => Ok(caller),
        }
    }

    async fn is_unchanged(&self, account: AccountId, known: Option<&Known>) -> Result<bool, AuthError> {
        let revision = self.limiter.revision(account).await.ok_or(AuthError::NoDatabase)?;
        Ok(revision == known.map(|known| known.credentials.revision))
    }

    /// The caller as the database knows it now: the revision is compared even where the account is cached. For logins, which
    /// no limiter checks.
    pub(crate) async fn current_caller(&self, claim: &Claim) -> Result<AuthenticatedKey, AuthError> {
        let caller = self.caller(claim).await?;
        let revision = self.limiter.revision(claim.account).await.ok_or(AuthError::NoDatabase)?;
        match revision {
            Some(revision) if revision == caller.revision => Ok(caller),
            Some(_) | None => self.reread_caller(claim).await,
        }
    }

    /// The caller by the credentials of this revision, if another request has read them already, else by those that the
    /// database has now.
    pub(crate) async fn caller_at(&self, claim: &Claim, revision: i64) -> Result<AuthenticatedKey, AuthError> {
        match self.known.get(&claim.account).await.flatten() {
            Some(known) if known.credentials.revision == revision => {
                claim.matching(Some(&known)).ok_or(AuthError::Unauthorized)
            }
            Some(_) | None => self.reread_caller(claim).await,
        }
    }

    /// The caller that logged in with this key before, if the key still works at this revision of the account. Without a
    /// revision the credentials are at most a second old.
    pub(crate) async fn caller_by_id(
        &self,
        account: AccountId,
        key_id: Uuid,
        revision: Option<i64>,
    ) -> Result<AuthenticatedKey, AuthError> {
        if revision.is_none() {
            self.forget(account, Known::is_old).await;
        }
        let cached = self.known.get(&account).await.flatten();
        let is_current = |known: &Arc<Known>| revision.is_none_or(|revision| revision == known.credentials.revision);
        let known = match cached.filter(is_current) {
            Some(known) => Some(known),
            None => self.reread(account).await?,
        };
        let caller = known.and_then(|known| known.caller(account, &Selector::Id(key_id)));
        caller.ok_or(AuthError::Unauthorized)
    }

    /// The caller by the credentials that the database has now, which replace the cached ones.
    async fn reread_caller(&self, claim: &Claim) -> Result<AuthenticatedKey, AuthError> {
        let known = self.reread(claim.account).await?;
        claim.matching(known.as_deref()).ok_or(AuthError::Unauthorized)
    }

    async fn reread(&self, account: AccountId) -> Result<Option<Arc<Known>>, StoreError> {
        let known = self.look_up(account).await?;
        self.known.insert(account, known.clone()).await;
        Ok(known)
    }

    async fn look_up(&self, account: AccountId) -> Result<Option<Arc<Known>>, StoreError> {
        let looked_up_at = clock::instant();
        let credentials = self.store.credentials(account).await?;
        Ok(credentials.map(|credentials| Arc::new(Known { credentials, looked_up_at })))
    }
}

/// Gives back the memory of idle accounts' credentials: the cache itself does so only while it is used.
pub(crate) struct IdleCredentials {
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

/// An account's public id, only in the form in which it is given out: a UUID has other forms.
pub(crate) fn public_id(text: &str) -> Option<AccountId> {
    let is_hyphenated = |id: &Uuid| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
    Uuid::try_parse(text).ok().filter(is_hyphenated).map(AccountId)
}

impl Claim {
    /// The caller, if the account has the key and it has not expired.
    fn matching(&self, known: Option<&Known>) -> Option<AuthenticatedKey> {
        known?.caller(self.account, &Selector::Hash(&self.secret_hash))
    }
}

impl Known {
    fn is_old(&self) -> bool {
        self.looked_up_at.elapsed() >= MAX_AGE
    }

    fn has_expiring_key(&self) -> bool {
        self.credentials.keys.iter().any(|key| key.expires_in.is_some())
    }

    fn caller(&self, account: AccountId, selector: &Selector<'_>) -> Option<AuthenticatedKey> {
        let Self { credentials, looked_up_at } = self;
        // Compares every key, and in constant time, so that the time taken does not reveal how near a guess is.
        let mut matching: Option<&AccountKey> = None;
        for key in &credentials.keys {
            let is_it = match selector {
                Selector::Hash(hash) => bool::from(key.secret_hash.ct_eq(*hash)),
                Selector::Id(key_id) => key.key_id == *key_id,
            };
            if is_it {
                matching = Some(key);
            }
        }
        // The database computed how long the key has left; the time since then is measured by a monotonic clock.
        let elapsed = clock::instant().saturating_duration_since(*looked_up_at).as_secs_f64();
        let key = matching.filter(|key| key.expires_in.is_none_or(|seconds| elapsed < seconds))?;
        let left = |seconds: f64| Duration::try_from_secs_f64(seconds - elapsed).unwrap_or(Duration::MAX);
        Some(AuthenticatedKey {
            account,
            key_id: key.key_id,
            origin: Arc::clone(&key.origin),
            read_only: key.read_only,
            expires_in: key.expires_in.map(left),
            tier: credentials.tier.clone(),
            on_missing: credentials.on_missing,
            revision: credentials.revision,
        })
    }
}

/// The error of a look-up that several requests shared.
fn shared(error: Arc<StoreError>) -> AuthError {
    match Arc::try_unwrap(error) {
        Ok(error) => error.into(),
        Err(_) => AuthError::NoDatabase,
    }
}
