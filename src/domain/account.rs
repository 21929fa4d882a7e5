//! An account's subscription and settings.

use std::fmt;

use super::text_enum::text_enum;

text_enum! {
    /// The subscription tier, from the smallest to the largest. It sets the monthly quota of calls.
    #[derive(Hash)]
    #[expect(missing_docs, reason = "each variant is its name on the price list")]
    pub enum Tier {
        FreeTrial = "free-trial",
        Start = "start",
        Thrive = "thrive",
        Pinnacle = "pinnacle",
    }
}

impl Tier {
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
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

text_enum! {
    /// The account's setting for a PUT, GET or DELETE of a record that does not exist.
    pub enum OnMissing {
        /// "Fail the request".
        Fail = "fail",
        /// "Treat as successful".
        Succeed = "succeed",
    }
}
