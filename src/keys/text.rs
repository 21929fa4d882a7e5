//! The text of a secret key.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The digits of base 62, lowest first.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const BASE: u32 = 62;

/// Random characters.
const RANDOM: usize = 30;

/// Characters of the checksum: 62^6 is more than 2^32.
const CHECK: usize = 6;

/// The lengths of a key from elsewhere, in characters.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=255;

/// A secret key. Only [`Self::text`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

impl SecretKey {
    /// A new key of this brand.
    #[must_use]
    pub fn make(slug: &str) -> Self {
        let mut text = format!("{slug}_live_");
        text.extend((0..RANDOM).map(|_| digit(rand::random_range(0..BASE))));
        let check = checksum(&text);
        Self(text + &check)
    }

    /// A key from elsewhere: 8 to 255 visible ASCII characters.
    #[must_use]
    pub fn import(text: &str) -> Option<Self> {
        let fits = LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// Whether it has the form of a generated key of this brand and a wrong checksum, so that no such key exists.
    #[must_use]
    pub fn is_mistyped(&self, slug: &str) -> bool {
        let random = self.0.strip_prefix(slug).and_then(|rest| rest.strip_prefix("_live_"));
        let has_form = random.is_some_and(|random| {
            random.len() == RANDOM + CHECK && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        // A key that is shorter than a checksum does not have the form.
        let checked = self.0.split_at_checked(self.0.len().saturating_sub(CHECK));
        has_form && checked.is_some_and(|(before, check)| checksum(before) != check)
    }

    /// The key as its owner sends it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The first characters, by which people tell their keys apart: 12, or four of the random ones where the brand is longer,
    /// and never more than a third of a key from elsewhere.
    #[must_use]
    pub fn prefix(&self) -> String {
        let brand = self.0.find("_live_").map_or(0, |end| end + "_live_".len());
        self.0.chars().take((brand + 4).max(12).min(self.0.len() / 3 + usize::from(brand > 0) * 4)).collect()
    }

    /// The hash by which the database finds it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// CRC-32 (ISO-HDLC) in base 62, the largest digit first.
fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [digit(0); CHECK];
    for digit_slot in digits.iter_mut().rev() {
        *digit_slot = digit(rest % BASE);
        rest /= BASE;
    }
    digits.iter().collect()
}

/// The digit of a value below [`BASE`].
#[expect(clippy::indexing_slicing, reason = "a value that is no digit would make keys that check nothing")]
fn digit(value: u32) -> char {
    char::from(DIGITS[value as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_form_and_its_checksum() {
        let secret = SecretKey::make("acme");
        let random = secret.text().strip_prefix("acme_live_").unwrap();
        assert!(random.len() == 36 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{random}");
        assert!(!secret.is_mistyped("acme"));
        assert_ne!(secret, SecretKey::make("acme"));
    }

    #[test]
    fn a_prefix_tells_keys_apart_and_gives_none_away() {
        let [one, other] = [(); 2].map(|()| SecretKey::make("unificus"));
        assert_eq!(one.prefix().len(), "unificus_live_".len() + 4);
        assert!(one.text().starts_with(&one.prefix()));
        assert_ne!(one.prefix(), other.prefix());
        assert_eq!(SecretKey::make("a").prefix().len(), 12);
        assert_eq!(SecretKey::import("12345678").unwrap().prefix(), "12");
        assert_eq!(SecretKey::import(&"x".repeat(60)).unwrap().prefix(), "x".repeat(12));
    }

    /// The check value of CRC-32, 0xCBF43926 of "123456789", and that of nothing, 0.
    #[test]
    fn the_checksum_is_six_digits_of_base_62() {
        let value = |check: &str| {
            check.bytes().fold(0, |sum, byte| sum * 62 + DIGITS.iter().position(|digit| *digit == byte).unwrap())
        };
        assert_eq!(value(&checksum("123456789")), 0xCBF4_3926);
        assert_eq!(checksum(""), "000000");
        assert_eq!(checksum("123456789").len(), 6);
    }

    #[test]
    fn a_typing_error_anywhere_after_the_brand_is_seen() {
        let secret = SecretKey::make("acme");
        for at in "acme_live_".len()..secret.text().len() {
            let mut text = secret.text().to_owned().into_bytes();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            let typed = SecretKey::import(std::str::from_utf8(&text).unwrap()).unwrap();
            assert!(typed.is_mistyped("acme"), "character {at}");
            assert!(!typed.is_mistyped("other"), "a key of another brand is not ours to judge");
        }
        let mut cut = secret.text().to_owned();
        cut.pop();
        let cut = SecretKey::import(&cut).unwrap();
        assert!(!cut.is_mistyped("acme"), "it has not our form, and may come from elsewhere");
    }

    #[test]
    fn a_key_from_elsewhere_is_visible_ascii_of_some_length() {
        for text in ["12345678", "sec_live_abc", "a+b/c=~!\"#", &"x".repeat(255)] {
            assert_eq!(SecretKey::import(text).unwrap().text(), text);
        }
        for text in ["", "1234567", "with space", "tab\tbed!", "ünïcödé!", "line\nfeed", &"x".repeat(256)] {
            assert_eq!(SecretKey::import(text), None, "{text:?}");
        }
        assert_eq!(format!("{:?}", SecretKey::make("acme")), "Secret");
    }
}
