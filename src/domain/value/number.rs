//! Numbers and amounts of money.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 2^53: below it every whole number has its own `f64` and its own text.
const WHOLE: f64 = 9_007_199_254_740_992.0;

/// A finite number; equal numbers are equal bits.
#[derive(Debug, Clone, Copy)]
pub struct Number(f64);

impl Number {
    /// `None` where it is infinite or not a number.
    #[must_use]
    pub fn new(number: f64) -> Option<Self> {
        // Adding zero makes -0 be 0.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// The whole number, where it is one and below 2^53.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    pub fn whole(self) -> Option<i64> {
        (self.0.fract() == 0.0 && self.0.abs() < WHOLE).then_some(self.0 as i64)
    }

    /// The number itself.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Number {
    /// A position in a log. Logs have fewer than 2^53 events, so that it is exact.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
    pub(crate) fn of_position(seq: super::super::Seq) -> Self {
        Self(seq.0 as f64)
    }
}

impl From<u32> for Number {
    fn from(number: u32) -> Self {
        Self(f64::from(number))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.whole() {
            Some(whole) => whole.fmt(f),
            None => self.0.fmt(f),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => serializer.serialize_i64(whole),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("not a finite number"))
    }
}

/// An amount in a currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In units of the currency, not in hundredths.
    pub amount: Number,
    /// Three capital letters (ISO 4217).
    pub currency: String,
}

impl Money {
    /// Reads a currency code in any case.
    pub fn new(amount: Number, currency: &str) -> Result<Self, String> {
        let currency = currency.trim();
        // A code of another length is invalid and is not converted.
        let currency = if currency.len() == 3 { currency.to_ascii_uppercase() } else { String::new() };
        if currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self { amount, currency })
        } else {
            Err("currency must be a code of three letters (ISO 4217), such as EUR.".to_owned())
        }
    }
}
