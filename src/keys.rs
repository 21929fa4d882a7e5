//! Secret keys: made, and hashed for the database.

use sha2::{Digest as _, Sha256};

use crate::clock;
use crate::store::accounts::NewKey;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters of chance in a key: 178 bits, so that one SHA-256 is as good a hash as any.
const CHANCE: usize = 30;

/// A new key: what its owner is shown once, and what is stored.
#[must_use]
pub fn make(name: &str) -> (String, NewKey) {
    let letter = |_| ALPHABET.get(rand::random_range(0..ALPHABET.len())).map(|letter| char::from(*letter));
    let secret: String = "sec_live_".chars().chain((0..CHANCE).filter_map(letter)).collect();
    let key = NewKey {
        key_id: clock::fresh_uid().0,
        name: name.to_owned(),
        origin: name.to_owned(),
        secret_hash: Sha256::digest(&secret).into(),
    };
    (secret, key)
}
