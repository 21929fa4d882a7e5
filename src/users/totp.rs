//! Codes of a second factor: TOTP (RFC 6238) with SHA-1, 30 s and six digits, which every authenticator app supports.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

use crate::domain::Timestamp;

/// The length of a time step (RFC 6238, 4.1), in seconds.
const STEP: i64 = 30;

/// Bytes of a secret: the length of SHA-1's output (RFC 4226, 4).
const SECRET: usize = 20;

/// Codes of the step before and the step after are accepted too, because clocks differ and people type slowly.
const SKEW: i64 = 1;

/// A secret that the service shares with an authenticator app.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret([u8; SECRET]);

impl TotpSecret {
    /// A new secret.
    #[must_use]
    pub fn make() -> Self {
        Self(rand::random())
    }

    /// The secret of its bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    /// Its bytes, which are stored sealed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as a person types it into an app: base 32 (RFC 4648, 6).
    #[must_use]
    pub fn text(&self) -> String {
        const DIGITS: [char; 32] = [
            'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U',
            'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
        ];
        let mut text = String::new();
        // 20 bytes are 32 digits of 5 bits.
        let bits: Vec<u8> = self.0.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
        for digit in bits.chunks(5) {
            let value = digit.iter().fold(0_usize, |value, bit| value << 1 | usize::from(*bit));
            text.extend(DIGITS.get(value));
        }
        text
    }

    /// The inverse of [`Self::text`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bits = Vec::with_capacity(SECRET * 8);
        for sign in text.bytes() {
            let value = match sign {
                b'A'..=b'Z' => sign - b'A',
                b'2'..=b'7' => sign - b'2' + 26,
                _ => return None,
            };
            bits.extend((0..5).rev().map(|bit| value >> bit & 1));
        }
        let bytes: Vec<u8> = bits.chunks(8).map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit)).collect();
        Self::of(&bytes)
    }

    /// The address that an app reads (the Key URI format).
    #[must_use]
    pub fn uri(&self, issuer: &str, user: &str) -> String {
        let encode =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let (issuer, user) = (encode(issuer), encode(user));
        format!("otpauth://totp/{issuer}:{user}?secret={}&issuer={issuer}", self.text())
    }

    /// The time step of a code that is valid at this time; `None` where it is not. The caller accepts each step once.
    #[must_use]
    pub fn step_of(&self, code: &str, at: Timestamp) -> Option<i64> {
        let code: String = code.chars().filter(|sign| !sign.is_whitespace()).collect();
        let now = at.unix_timestamp() / STEP;
        let steps = now - SKEW..=now + SKEW;
        // Every step is compared, so that the time does not tell which one it was.
        steps.fold(
            None,
            |valid, step| {
                if bool::from(self.code(step).as_bytes().ct_eq(code.as_bytes())) { Some(step) } else { valid }
            },
        )
    }

    /// The code that an app shows at this time.
    #[must_use]
    pub fn code_at(&self, at: Timestamp) -> String {
        self.code(at.unix_timestamp() / STEP)
    }

    /// The code of a time step (RFC 4226, 5.3).
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length, and its last byte names four of its bytes")]
    fn code(&self, step: i64) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(&step.to_be_bytes());
        let digest: [u8; 20] = mac.finalize().into_bytes().into();
        let offset = usize::from(digest.last().expect("a digest has bytes") & 0xf);
        let bytes: [u8; 4] =
            digest.get(offset..offset + 4).and_then(|four| four.try_into().ok()).expect("15 + 4 is below 20");
        format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    /// The test vectors of RFC 6238, appendix B, for SHA-1, whose last six digits are the codes of six digits.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = TotpSecret::of(b"12345678901234567890").unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            assert_eq!(secret.step_of(code, at), Some(seconds / 30), "{seconds}");
            assert_eq!(secret.step_of(code, at + time::Duration::seconds(30)), Some(seconds / 30), "late");
            assert_eq!(secret.step_of(code, at + time::Duration::seconds(90)), None, "too late");
        }
    }

    #[test]
    fn a_secret_is_read_back_from_its_text() {
        let secret = TotpSecret::of(b"12345678901234567890").unwrap();
        assert_eq!(secret.text(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(TotpSecret::parse(&secret.text()).map(|read| read.0), Some(secret.0));
        assert!(TotpSecret::parse("GEZD").is_none() && TotpSecret::parse("gezdgnbvgy3tqojqgezdgnbvgy3tqoj1").is_none());
        let uri = secret.uri("Acme & Co", "ann@example.org");
        assert_eq!(
            uri,
            "otpauth://totp/Acme%20%26%20Co:ann%40example%2Eorg?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20Co"
        );
    }
}
