//! Subscription tiers: an installation's price list. Which tiers there are is configuration (`quota.tiers`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::brand;

/// The longest name of a tier, in bytes.
const MAX_NAME: usize = 40;

/// The largest number of tiers. Each one is a label of a metric.
const MAX_TIERS: usize = 100;

/// The largest limit: the largest integer that a structured header field can hold (RFC 9651, section 3.3.1).
const MAX_CALLS: u64 = 999_999_999_999_999;

/// The name of a tier, such as `free-trial`: 1 to 40 of a to z, 0 to 9 and `-`. An account may have a tier that the price
/// list does not have any more. Cloning shares the text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tier(Arc<str>);

/// A tier's title on the price list, and the number of calls that it allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierTerms {
    /// The name on the price list: 1 to 60 characters on one line.
    pub title: String,
    /// Calls per calendar month (UTC): 1 to 999,999,999,999,999.
    pub calls_per_month: u64,
}

/// The tiers of an installation: 1 to 100, each with a valid name and terms. Cloning shares them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, TierTerms>", into = "BTreeMap<String, TierTerms>")]
pub struct Tiers(Arc<BTreeMap<Tier, TierTerms>>);

impl Tier {
    /// Reads a name.
    pub fn parse(name: &str) -> Result<Self, &'static str> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) {
            Ok(Self(name.into()))
        } else {
            Err("the name of a tier is 1 to 40 of a to z, 0 to 9 and -")
        }
    }

    /// The name, by which the configuration, the database and the API know the tier.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Tiers {
    /// Returns the tier of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Tier> {
        self.0.keys().find(|tier| tier.name() == name)
    }

    /// The title and the limit of a tier; `None` where it is not configured.
    #[must_use]
    pub fn terms(&self, tier: &Tier) -> Option<&TierTerms> {
        self.0.get(tier)
    }

    /// Returns a tier's calls per month; `None` where the price list lacks the tier.
    #[must_use]
    pub fn monthly_calls(&self, tier: &Tier) -> Option<u64> {
        self.0.get(tier).map(|terms| terms.calls_per_month)
    }

    /// Returns all tiers, from the smallest limit to the largest, those of equal limits by name.
    #[must_use]
    pub fn by_size(&self) -> Vec<(&Tier, &TierTerms)> {
        let mut tiers: Vec<_> = self.0.iter().collect();
        tiers.sort_by_key(|(_, terms)| terms.calls_per_month);
        tiers
    }

    /// Returns the tier with the fewest calls.
    #[must_use]
    #[expect(clippy::expect_used, reason = "there is no account without a tier")]
    pub fn smallest(&self) -> (&Tier, &TierTerms) {
        self.0.iter().min_by_key(|(_, terms)| terms.calls_per_month).expect("there is at least one tier")
    }

    /// Returns the tier with the most calls.
    #[must_use]
    #[expect(clippy::expect_used, reason = "there is no account without a tier")]
    pub fn largest(&self) -> (&Tier, &TierTerms) {
        self.0.iter().max_by_key(|(_, terms)| terms.calls_per_month).expect("there is at least one tier")
    }

    /// Returns all names, from the smallest limit to the largest, separated by commas.
    #[must_use]
    pub fn names(&self) -> String {
        self.by_size().into_iter().map(|(tier, _)| tier.name()).collect::<Vec<_>>().join(", ")
    }
}

impl Default for Tiers {
    fn default() -> Self {
        let terms = [
            ("free-trial", "Free Trial", 80),
            ("start", "Start", 400),
            ("thrive", "Thrive", 2_000),
            ("pinnacle", "Pinnacle", 20_000),
        ];
        let terms = terms.map(|(name, title, calls_per_month)| {
            (Tier(name.into()), TierTerms { title: title.to_owned(), calls_per_month })
        });
        Self(Arc::new(terms.into()))
    }
}

impl TryFrom<BTreeMap<String, TierTerms>> for Tiers {
    type Error = String;

    fn try_from(terms: BTreeMap<String, TierTerms>) -> Result<Self, String> {
        if !(1..=MAX_TIERS).contains(&terms.len()) {
            return Err(format!("quota.tiers must have 1 to {MAX_TIERS} tiers"));
        }
        let tiers = terms.into_iter().map(|(name, terms)| {
            let tier = Tier::parse(&name).map_err(|error| format!("quota.tiers has {name:?}, but {error}"))?;
            brand::parse_name(&terms.title)
                .map_err(|_| format!("quota.tiers.{tier}.title must be 1 to 60 characters on one line"))?;
            if !(1..=MAX_CALLS).contains(&terms.calls_per_month) {
                return Err(format!("quota.tiers.{tier}.calls_per_month must be 1 to {MAX_CALLS}"));
            }
            Ok((tier, terms))
        });
        Ok(Self(Arc::new(tiers.collect::<Result<_, _>>()?)))
    }
}

impl From<Tiers> for BTreeMap<String, TierTerms> {
    fn from(tiers: Tiers) -> Self {
        tiers.0.iter().map(|(tier, terms)| (tier.name().to_owned(), terms.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiers<const N: usize>(terms: [(&str, &str, u64); N]) -> Result<Tiers, String> {
        let terms = terms.map(|(name, title, calls_per_month)| {
            (name.to_owned(), TierTerms { title: title.to_owned(), calls_per_month })
        });
        Tiers::try_from(BTreeMap::from(terms))
    }

    #[test]
    fn tiers_are_listed_from_the_smallest_limit_to_the_largest() {
        assert_eq!(Tiers::default().names(), "free-trial, start, thrive, pinnacle");
        let own = tiers([("gold", "Gold", 10), ("basic", "Basic", 5), ("also-gold", "Gold 2", 10)]).unwrap();
        assert_eq!(own.names(), "basic, also-gold, gold");
        let gold = own.named("gold").unwrap();
        assert_eq!((gold.name(), own.monthly_calls(gold)), ("gold", Some(10)));
        assert_eq!((own.named("thrive"), own.monthly_calls(&Tier::parse("thrive").unwrap())), (None, None));
    }

    #[test]
    fn a_tier_that_could_not_be_used_is_refused_by_name() {
        for (wrong, named) in [
            (("Gold", "Gold", 1), "\"Gold\""),
            (("", "Gold", 1), "\"\""),
            (("gold", " ", 1), "quota.tiers.gold.title"),
            (("gold", "two\nlines", 1), "quota.tiers.gold.title"),
            (("gold", "Gold", 0), "quota.tiers.gold.calls_per_month"),
            (("gold", "Gold", MAX_CALLS + 1), "quota.tiers.gold.calls_per_month"),
        ] {
            let error = tiers([wrong]).unwrap_err();
            assert!(error.contains(named), "{wrong:?}: {error}");
        }
        assert!(tiers([]).unwrap_err().contains("1 to 100"));
        assert_eq!(Tier::parse(&"x".repeat(41)), Err("the name of a tier is 1 to 40 of a to z, 0 to 9 and -"));
        assert!(tiers([("gold", "Gold", MAX_CALLS)]).is_ok());
    }
}
