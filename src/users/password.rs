//! Hashes of passwords: argon2id (RFC 9106) on blocking threads, a few at once.

use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

/// Memory of one hash, in KiB, its passes and its lanes: the first recommendation of OWASP's password storage cheat sheet.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const PARALLELISM: u32 = 1;

/// Hashes that are computed at once. Each takes a core for some 20 ms and 19 MiB; further ones wait.
const MAX_AT_ONCE: usize = 4;

/// Hashes that may wait. Beyond them a caller is refused, so that a flood of attempts does not fill the memory.
const MAX_WAITING: usize = 64;

/// Computes and verifies hashes. Cloning shares the limits.
#[derive(Clone)]
pub struct PasswordHasher {
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
    /// A hash of a random password, verified where there is no user, so that both take the same time.
    decoy: Arc<str>,
}

/// Too many hashes are being computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct TooManyHashes;

impl PasswordHasher {
    /// A hasher with its limits.
    pub fn new() -> anyhow::Result<Self> {
        let random: [u8; 16] = rand::random();
        let decoy = hash(&random).map_err(|error| anyhow::anyhow!("cannot hash a password: {error}"))?;
        Ok(Self {
            running: Arc::new(Semaphore::new(MAX_AT_ONCE)),
            admitted: Arc::new(Semaphore::new(MAX_AT_ONCE + MAX_WAITING)),
            decoy: decoy.into(),
        })
    }

    /// The hash of a password, in PHC form.
    pub async fn hash(&self, password: &str) -> Result<String, TooManyHashes> {
        let password = password.to_owned();
        let hashed = self.compute(move || hash(password.as_bytes()).ok()).await?;
        hashed.flatten().ok_or(TooManyHashes)
    }

    /// Whether a password has this hash. Without a hash it is false, after the same time.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, TooManyHashes> {
        let (password, known) = (password.to_owned(), hash.is_some());
        let hash = hash.map_or_else(|| Arc::clone(&self.decoy), Arc::from);
        let verified = self.compute(move || {
            let parsed = PasswordHash::new(&hash).ok();
            parsed.is_some_and(|parsed| algorithm().verify_password(password.as_bytes(), &parsed).is_ok())
        });
        Ok(verified.await?.unwrap_or(false) && known)
    }

    /// Computes on a blocking thread; `None` where the runtime stops.
    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Option<T>, TooManyHashes> {
        let _admitted = self.admitted.try_acquire().map_err(|_| TooManyHashes)?;
        let Ok(permit) = Arc::clone(&self.running).acquire_owned().await else { return Err(TooManyHashes) };
        // The permit goes with the work, which continues when the caller goes away.
        let computed = tokio::task::spawn_blocking(move || {
            let computed = work();
            drop(permit);
            computed
        });
        Ok(computed.await.ok())
    }
}

#[expect(clippy::expect_used, reason = "the parameters are constants within the permitted ranges")]
fn algorithm() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, PARALLELISM, None).expect("the parameters are permitted");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    let salt: [u8; 16] = rand::random();
    let salt = SaltString::encode_b64(&salt)?;
    Ok(algorithm().hash_password(password, &salt)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::PasswordHasher;

    #[tokio::test]
    async fn a_password_is_verified_by_its_hash_alone() {
        let hasher = PasswordHasher::new().unwrap();
        let hash = hasher.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, hasher.hash("correct horse").await.unwrap(), "each hash has its own salt");
        assert_eq!(hasher.verify("correct horse", Some(&hash)).await, Ok(true));
        assert_eq!(hasher.verify("Correct horse", Some(&hash)).await, Ok(false));
        assert_eq!(hasher.verify("correct horse", Some("no hash")).await, Ok(false));
        assert_eq!(hasher.verify("correct horse", None).await, Ok(false));
    }
}
