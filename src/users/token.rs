//! Tokens of sessions and links: 32 random bytes, with the account that they belong to in front, so that every statement
//! takes the account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use crate::domain::AccountId;

/// The account of tokens that belong to none yet: those of browsers that are not signed in, and of the first set-up.
pub const NO_ACCOUNT: AccountId = AccountId(Uuid::nil());

const SECRET: usize = 32;

/// A token of a session or link. Its text is a secret; only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    account: AccountId,
    secret: [u8; SECRET],
}

impl AccessToken {
    /// A new token of an account.
    #[must_use]
    pub fn make(account: AccountId) -> Self {
        Self { account, secret: rand::random() }
    }

    /// The inverse of [`Self::text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (account, secret) = bytes.split_first_chunk::<16>()?;
        Some(Self { account: AccountId(Uuid::from_bytes(*account)), secret: secret.try_into().ok()? })
    }

    /// The token as a cookie or a link has it.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.account.0.as_bytes(), self.secret.as_slice()].concat())
    }

    /// The account that it belongs to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The hash by which the database finds it. The token has 256 random bits, so a single SHA-256 is a safe hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// The token that forms of this session carry: a page of another site cannot compute it.
    #[must_use]
    pub fn csrf(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(b"csrf"))
    }

    /// Compares a form's token in constant time.
    #[must_use]
    pub fn is_csrf(&self, claimed: &str) -> bool {
        self.csrf().as_bytes().ct_eq(claimed.as_bytes()).into()
    }

    /// A text with an authentication code that only this session can make.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let code = URL_SAFE_NO_PAD.encode(self.mac(&[b"text:", text.as_bytes()].concat()));
        format!("{}.{code}", URL_SAFE_NO_PAD.encode(text))
    }

    /// The text of [`Self::sign`]; `None` where another session signed it.
    #[must_use]
    pub fn verify(&self, signed: &str) -> Option<String> {
        let (text, _) = signed.split_once('.')?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        bool::from(self.sign(&text).as_bytes().ct_eq(signed.as_bytes())).then_some(text)
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(message);
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessToken").field("account", &self.account).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_names_its_account() {
        let account = AccountId(Uuid::from_u128(7));
        let token = AccessToken::make(account);
        let read = AccessToken::parse(&token.text()).unwrap();
        assert_eq!((read.account(), read.hash()), (account, token.hash()));
        let cut: String = token.text().chars().skip(1).collect();
        for wrong in ["", "x", &cut, &format!("{}AA", token.text()), "%%%"] {
            assert_eq!(AccessToken::parse(wrong), None, "{wrong}");
        }
        assert!(!format!("{token:?}").contains(&token.text()));
    }

    #[test]
    fn a_form_or_a_text_of_another_session_is_refused() {
        let [own, other] = [(); 2].map(|()| AccessToken::make(NO_ACCOUNT));
        assert!(own.is_csrf(&own.csrf()) && !own.is_csrf(&other.csrf()) && !own.is_csrf(""));
        assert_eq!(own.verify(&own.sign("saved")).as_deref(), Some("saved"));
        assert_eq!(own.verify(&other.sign("saved")), None);
        assert_eq!(own.verify("c2F2ZWQ.AAAA"), None);
    }
}
