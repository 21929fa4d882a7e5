//! What an account bought, and how it wants to be answered.

use std::fmt;

/// The subscription tier; it sets the monthly number of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is its name on the price list")]
pub enum Tier {
    FreeTrial,
    Start,
    Thrive,
    Pinnacle,
}

impl Tier {
    /// From the smallest to the largest.
    pub const ALL: [Self; 4] = [Self::FreeTrial, Self::Start, Self::Thrive, Self::Pinnacle];

    /// Calls per calendar month (UTC).
    #[must_use]
    pub fn monthly_calls(self) -> u64 {
        match self {
            Self::FreeTrial => 80,
            Self::Start => 400,
            Self::Thrive => 2_000,
            Self::Pinnacle => 20_000,
        }
    }

    /// The name on the price list.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::FreeTrial => "Free Trial",
            Self::Start => "Start",
            Self::Thrive => "Thrive",
            Self::Pinnacle => "Pinnacle",
        }
    }

    /// The word in configuration, database and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FreeTrial => "free-trial",
            Self::Start => "start",
            Self::Thrive => "thrive",
            Self::Pinnacle => "pinnacle",
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a PUT, GET or DELETE of a record that does not exist is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// "Fail the request".
    Fail,
    /// "Treat as successful".
    Succeed,
}

impl OnMissing {
    /// The word in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Succeed => "succeed",
        }
    }

    /// The inverse of [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Fail, Self::Succeed].into_iter().find(|setting| setting.name() == name)
    }
}
