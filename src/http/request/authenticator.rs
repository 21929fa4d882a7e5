//! Who a request comes from: the two headers against the keys of the account that they name.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use moka::future::Cache;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::caller::Caller;
use crate::clock;
use crate::domain::AccountId;
use crate::http::response::problem::Problem;
use crate::keys::SecretKey;
use crate::store::accounts::AccountCredentials;
use crate::store::{Store, StoreError};

/// Accounts are looked up again after this time. A change that the count of calls does not tell of takes so long.
const IDEMPOTENCY_TTL: Duration = Duration::from_secs(1);

/// Who a request says that it comes from.
pub(in crate::http) struct Claim {
    account: AccountId,
    secret_hash: [u8; 32],
}

/// Recognises keys by their hashes. Cloning shares the cache.
#[derive(Clone)]
pub(in crate::http) struct Authenticator {
    store: Store,
    slug: String,
    known: Cache<AccountId, Option<Arc<Known>>>,
}

/// The remembered credentials of an account, and since when.
struct Known {
    credentials: AccountCredentials,
    looked_up_at: Instant,
}

impl Authenticator {
    pub(in crate::http) fn new(store: Store, slug: &str) -> Self {
        let known = Cache::builder().max_capacity(10_000).time_to_live(IDEMPOTENCY_TTL).build();
        Self { store, slug: slug.to_owned(), known }
    }

    /// What the headers say, where it can be true at all: a mistyped key is refused here.
    pub(in crate::http) fn claim(&self, headers: &HeaderMap) -> Result<Claim, Problem> {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // As it was given out and not otherwise: a UUID has other forms.
        let parse = |id| Uuid::try_parse(id).ok().map(AccountId).filter(|account| account.to_string() == id);
        let account = header("x-public-id").and_then(parse);
        let secret =
            header("x-secret-key").and_then(SecretKey::import).filter(|secret| !secret.is_mistyped(&self.slug));
        let (Some(account), Some(secret)) = (account, secret) else { return Err(Problem::unauthorized()) };
        Ok(Claim { account, secret_hash: secret.hash() })
    }

    /// Who it is. A key that is not among those remembered may have been added this moment.
    pub(in crate::http) async fn caller(&self, claim: &Claim) -> Result<Caller, Problem> {
        // Callers of one account that come at once share one look-up.
        let look_up = self.look_up(claim.account);
        let entry = self.known.entry(claim.account).or_try_insert_with(look_up).await.map_err(shared)?;
        let is_fresh = entry.is_fresh();
        match claim.matching(entry.value().as_deref()) {
            None if is_fresh => Err(Problem::unauthorized()),
            None => self.caller_anew(claim, None).await,
            Some(caller) => Ok(caller),
        }
    }

    /// Who it is by what the database says now, or by what another caller has just found out of this revision.
    pub(in crate::http) async fn caller_anew(&self, claim: &Claim, revision: Option<i64>) -> Result<Caller, Problem> {
        let mut known = self.known.get(&claim.account).await.flatten();
        if known.as_ref().is_none_or(|known| revision != Some(known.credentials.revision)) {
            known = self.look_up(claim.account).await?;
            self.known.insert(claim.account, known.clone()).await;
        }
        claim.matching(known.as_deref()).ok_or_else(Problem::unauthorized)
    }

    async fn look_up(&self, account: AccountId) -> Result<Option<Arc<Known>>, StoreError> {
        let looked_up_at = clock::instant();
        let credentials = self.store.credentials(account).await?;
        Ok(credentials.map(|credentials| Arc::new(Known { credentials, looked_up_at })))
    }
}

impl Claim {
    /// The caller, where the account has the key and it has not expired.
    fn matching(&self, known: Option<&Known>) -> Option<Caller> {
        let Known { credentials, looked_up_at } = known?;
        // Every key is compared whole, so that the time taken tells nothing of how near a guess came.
        let mut matching = None;
        for key in &credentials.keys {
            if bool::from(key.secret_hash.ct_eq(&self.secret_hash)) {
                matching = Some(key);
            }
        }
        // The database's clock said how long it has; what has passed since is measured by one that nobody sets.
        let elapsed = clock::instant().saturating_duration_since(*looked_up_at).as_secs_f64();
        let key = matching.filter(|key| key.expires_in.is_none_or(|seconds| elapsed < seconds))?;
        Some(Caller {
            account: self.account,
            key_id: key.key_id,
            origin: Arc::clone(&key.origin),
            read_only: key.read_only,
            tier: credentials.tier,
            on_missing: credentials.on_missing,
            revision: credentials.revision,
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
