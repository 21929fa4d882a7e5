//! Standard Webhooks 1.0, both schemes: the endpoint's secret and the `webhook-signature` header.
//!
//! Spec: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! "Signature scheme" and "Webhook headers".

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use sha2::Sha256;

use crate::domain::endpoint::Signature;

/// The prefix of a symmetric secret's text.
const PREFIX: &str = "whsec_";
/// The prefixes of Ed25519 keys' texts: private and public.
const PRIVATE_PREFIX: &str = "whsk_";
const PUBLIC_PREFIX: &str = "whpk_";
/// The spec's least and greatest length of a key, in bytes.
const MIN_KEY: usize = 24;
const MAX_KEY: usize = 64;
/// One signature in the header at most: `v1a,`, 88 characters of base64, a space.
const ENTRY: usize = 4 + 88 + 1;

/// The key that an endpoint's deliveries are signed with: 24 to 64 bytes for HMAC, a seed of 32 (RFC 8032, 5.1.5) for
/// Ed25519.
///
/// It has no `Display` and its `Debug` shows nothing, so that a secret reaches a log or an answer only
/// where somebody wrote [`SigningSecret::reveal`].
#[derive(Clone)]
pub struct SigningSecret {
    key: Vec<u8>,
    /// The prepared key, so that a delivery needs no key setup.
    signer: Signer,
}

#[derive(Clone)]
enum Signer {
    Hmac(Hmac<Sha256>),
    Ed25519(Arc<Ed25519KeyPair>),
}

impl SigningSecret {
    /// A new symmetric secret out of 32 bytes that the caller took from a cryptographic source of randomness.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self::of_key(random.to_vec())
    }

    /// A new secret for this scheme out of 32 such bytes.
    ///
    /// # Errors
    /// [`InvalidSecret::Length`], which 32 bytes never are.
    pub fn of_scheme(signature: Signature, random: [u8; 32]) -> Result<Self, InvalidSecret> {
        match signature {
            Signature::Hmac => Ok(Self::generate(random)),
            Signature::Ed25519 => Self::of_seed(random.to_vec()),
        }
    }

    /// Reads `whsec_` followed by the padded base64 of 24 to 64 bytes, or `whsk_` followed by that of 32 bytes.
    ///
    /// # Errors
    /// [`InvalidSecret`] says which of the three parts is wrong and repeats nothing of the input.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let decode = |encoded: &str| STANDARD.decode(encoded).map_err(|_| InvalidSecret::Base64);
        if let Some(encoded) = text.strip_prefix(PRIVATE_PREFIX) {
            return Self::of_seed(decode(encoded)?);
        }
        let key = decode(text.strip_prefix(PREFIX).ok_or(InvalidSecret::Prefix)?)?;
        if (MIN_KEY..=MAX_KEY).contains(&key.len()) { Ok(Self::of_key(key)) } else { Err(InvalidSecret::Length) }
    }

    /// The secret as its owner enters it into a library: `whsec_…`; of Ed25519 `whsk_…`, which nobody is shown. Stored
    /// sealed, never logged.
    #[must_use]
    pub fn reveal(&self) -> String {
        let prefix = match self.signer {
            Signer::Hmac(_) => PREFIX,
            Signer::Ed25519(_) => PRIVATE_PREFIX,
        };
        prefixed(prefix, &self.key)
    }

    /// The public key of Ed25519, which checks its signatures: `whpk_…`. No secret.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        match &self.signer {
            Signer::Hmac(_) => None,
            Signer::Ed25519(pair) => Some(prefixed(PUBLIC_PREFIX, pair.public_key().as_ref())),
        }
    }

    fn of_key(key: Vec<u8>) -> Self {
        // HMAC pads a key with zeros to the hash's block of 64 bytes (RFC 2104 §2), which is the longest
        // key that the spec knows. Padding it here makes keying a function that cannot fail.
        let mut block = [0; MAX_KEY];
        block.iter_mut().zip(&key).for_each(|(to, from)| *to = *from);
        Self { signer: Signer::Hmac(Hmac::new(&block.into())), key }
    }

    fn of_seed(key: Vec<u8>) -> Result<Self, InvalidSecret> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&key).map_err(|_| InvalidSecret::Length)?;
        Ok(Self { signer: Signer::Ed25519(Arc::new(pair)), key })
    }
}

fn prefixed(prefix: &str, key: &[u8]) -> String {
    let mut text = String::from(prefix);
    STANDARD.encode_string(key, &mut text);
    text
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Why a text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It begins with neither `whsec_` nor `whsk_`.
    #[error("a webhook secret begins with whsec_ or whsk_")]
    Prefix,
    /// The text after the prefix is not base64 with padding (RFC 4648 §4).
    #[error("a webhook secret is base64 after its prefix")]
    Base64,
    /// The key is shorter than 24 or longer than 64 bytes; of Ed25519, it has not 32.
    #[error("a webhook secret has 24 to 64 bytes, of Ed25519 32")]
    Length,
}

/// The value of `webhook-signature`, once per secret, separated by a space: `v1,` and the base64 of HMAC-SHA256 over
/// `id.timestamp.body`, or `v1a,` and that of Ed25519. While a rotation overlaps there are two and a receiver accepts
/// either.
///
/// `timestamp` is the time of this attempt in unix seconds. `id` must hold no full stop: the spec asks
/// for it, because otherwise one signature could stand for two splits of the same bytes. The ids of this service hold none:
/// those of events and batches consist of hexadecimal digits, hyphens and colons, and that of a ping is `account:ping:uid`.
#[must_use]
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a SigningSecret>, id: &str, timestamp: i64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp}.");
    let mut header = String::with_capacity(ENTRY);
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        match &secret.signer {
            Signer::Hmac(keyed) => {
                let mut mac = keyed.clone();
                mac.update(head.as_bytes());
                mac.update(body);
                header.push_str("v1,");
                STANDARD.encode_string(mac.finalize().into_bytes(), &mut header);
            }
            Signer::Ed25519(pair) => {
                header.push_str("v1a,");
                STANDARD.encode_string(pair.sign(&[head.as_bytes(), body].concat()), &mut header);
            }
        }
    }
    header
}

#[cfg(test)]
mod tests;
