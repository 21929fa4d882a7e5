//! Standard Webhooks 1.0, symmetric scheme: the endpoint's secret and the `webhook-signature` header.
//!
//! Spec: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>,
//! "Signature scheme" and "Webhook headers".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What every symmetric secret begins with when it is shown to a person.
const PREFIX: &str = "whsec_";
/// The spec's least and greatest length of a key, in bytes.
const MIN_KEY: usize = 24;
const MAX_KEY: usize = 64;
/// One signature in the header: `v1,`, 44 characters of base64, a space.
const ENTRY: usize = 3 + 44 + 1;

/// The key that an endpoint's deliveries are signed with: 24 to 64 bytes.
///
/// It has no `Display` and its `Debug` shows nothing, so that a secret reaches a log or an answer only
/// where somebody wrote [`Secret::reveal`].
#[derive(Clone)]
pub struct Secret {
    key: Vec<u8>,
    /// The HMAC already keyed: a delivery clones it and so saves two of its four hash blocks.
    keyed: Hmac<Sha256>,
}

impl Secret {
    /// A new secret out of 32 bytes that the caller took from a cryptographic source of randomness.
    #[must_use]
    pub fn generate(random: [u8; 32]) -> Self {
        Self::of_key(random.to_vec())
    }

    /// Reads `whsec_` followed by the padded base64 of 24 to 64 bytes.
    ///
    /// # Errors
    /// [`InvalidSecret`] says which of the three parts is wrong and repeats nothing of the input.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret::Prefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| InvalidSecret::Base64)?;
        if (MIN_KEY..=MAX_KEY).contains(&key.len()) { Ok(Self::of_key(key)) } else { Err(InvalidSecret::Length) }
    }

    /// The secret as its owner enters it into a library: `whsec_…`. Shown once, stored encrypted, never logged.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut text = String::from(PREFIX);
        STANDARD.encode_string(&self.key, &mut text);
        text
    }

    fn of_key(key: Vec<u8>) -> Self {
        // HMAC pads a key with zeros to the hash's block of 64 bytes (RFC 2104 §2), which is the longest
        // key that the spec knows. Padding it here makes keying a function that cannot fail.
        let mut block = [0; MAX_KEY];
        block.iter_mut().zip(&key).for_each(|(to, from)| *to = *from);
        Self { keyed: Hmac::new(&block.into()), key }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Why a text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// It does not begin with `whsec_`.
    #[error("a webhook secret begins with whsec_")]
    Prefix,
    /// What follows the prefix is not base64 with padding (RFC 4648 §4).
    #[error("a webhook secret is base64 after its prefix")]
    Base64,
    /// The key is shorter than 24 or longer than 64 bytes.
    #[error("a webhook secret has 24 to 64 bytes")]
    Length,
}

/// The value of `webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`, once per
/// secret, separated by a space. While a rotation overlaps there are two and a receiver accepts either.
///
/// `timestamp` is the time of this attempt in unix seconds. `id` must hold no full stop (ours are UUIDs): the
/// spec asks for it, because otherwise one signature could stand for two splits of the same bytes.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp}.");
    let mut header = String::with_capacity(secrets.len() * ENTRY);
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        let mut mac = secret.keyed.clone();
        mac.update(head.as_bytes());
        mac.update(body);
        header.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut header);
    }
    header
}

#[cfg(test)]
mod tests;
