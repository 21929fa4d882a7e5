//! Secrets at rest: sealed under master keys, which are in the configuration and never in the database.
//!
//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a nonce of 24 random bytes, which is long enough to be random for
//! every seal. The secret's owner is authenticated with it (`aad`): a secret that is moved to another row does not open.

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};

use crate::config::MasterKey;

/// The first byte of every sealed secret; another format would have another.
const VERSION: u8 = 1;

const NONCE: usize = 24;

/// The keys that seal and open. The first one seals and all of them open, so that a new key is put in front.
#[derive(Clone)]
pub struct MasterKeys(Vec<XChaCha20Poly1305>);

impl MasterKeys {
    /// In the order of the configuration.
    #[must_use]
    pub fn new(keys: &[MasterKey]) -> Self {
        Self(keys.iter().map(|key| XChaCha20Poly1305::new(&key.0.into())).collect())
    }

    /// Seals a secret: a version byte, the nonce and the ciphertext with its tag, 41 bytes more than the plaintext. `None`
    /// without a master key.
    #[must_use]
    #[expect(clippy::expect_used, reason = "an error would read as `no master key`")]
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE] = rand::random();
        let ciphertext = self.0.first()?.encrypt(&XNonce::from(nonce), Payload { msg: plaintext, aad });
        let ciphertext = ciphertext.expect("the cipher takes everything below 256 GiB");
        Some([&[VERSION], nonce.as_slice(), &ciphertext].concat())
    }

    /// Opens a sealed secret; `None` where no master key opens it, or where it was sealed with another `aad`.
    #[must_use]
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, msg) = sealed.strip_prefix(&[VERSION])?.split_first_chunk::<NONCE>()?;
        self.0.iter().find_map(|key| key.decrypt(&XNonce::from(*nonce), Payload { msg, aad }).ok())
    }

    /// Seals a sealed secret again by the first key. A secret that no key opens is left as it is.
    #[must_use]
    pub fn reseal(&self, aad: &[u8], sealed: &[u8]) -> Resealed {
        let first = Self(self.0.first().cloned().into_iter().collect());
        if first.open(aad, sealed).is_some() {
            return Resealed::Already;
        }
        let resealed = self.open(aad, sealed).and_then(|plaintext| self.seal(aad, &plaintext));
        resealed.map_or(Resealed::Unopened, Resealed::Anew)
    }
}

/// The result of [`MasterKeys::reseal`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resealed {
    /// Sealed again by the first key.
    Anew(Vec<u8>),
    /// Sealed by the first key before.
    Already,
    /// No key opens it.
    Unopened,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> MasterKeys {
        MasterKeys::new(&bytes.iter().map(|byte| MasterKey([*byte; 32])).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_sealed_opens_again_and_is_never_sealed_twice_alike() {
        let keys = keys(&[1]);
        let [one, other] = [(); 2].map(|()| keys.seal(b"row 1", b"the secret").unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), b"the secret".len() + 41);
        assert!(!one.windows(6).any(|part| part == b"secret"));
        for sealed in [one, other] {
            assert_eq!(keys.open(b"row 1", &sealed).as_deref(), Some(b"the secret".as_slice()));
        }
    }

    #[test]
    fn a_rotated_list_seals_with_its_first_key_and_opens_with_every_one() {
        let old = keys(&[1]).seal(b"", b"old").unwrap();
        let rotated = keys(&[2, 1]);
        assert_eq!(rotated.open(b"", &old).as_deref(), Some(b"old".as_slice()));
        let new = rotated.seal(b"", b"new").unwrap();
        assert_eq!(keys(&[2]).open(b"", &new).as_deref(), Some(b"new".as_slice()));
        assert_eq!(keys(&[1]).open(b"", &new), None);
        assert_eq!(keys(&[2]).open(b"", &old), None);
    }

    #[test]
    fn what_was_moved_changed_or_cut_does_not_open() {
        let keys = keys(&[1]);
        let sealed = keys.seal(b"row 1", b"the secret").unwrap();
        assert_eq!(keys.open(b"row 2", &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys.open(b"row 1", &changed), None, "byte {at}");
            assert_eq!(keys.open(b"row 1", &sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn without_a_master_key_nothing_is_sealed() {
        assert_eq!(keys(&[]).seal(b"", b"secret"), None);
        assert_eq!(keys(&[]).open(b"", &keys(&[1]).seal(b"", b"secret").unwrap()), None);
    }
}
