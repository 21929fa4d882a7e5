//! Push endpoints: what an account chooses about its webhooks, and what its log says of them.

mod header;
mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use header::{Header, HeaderValue};
pub use report::ReportHealth;

use super::text_enum::text_enum;

/// What an endpoint's owner chose.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Settings {
    pub url: String,
    pub description: String,
    /// Patterns of event types without their root, `contact.*`; empty means all.
    pub events: Vec<String>,
    /// Names of fields of which one at least must have changed; empty means any.
    pub fields: Vec<String>,
    /// Events of this origin are left out.
    pub exclude_own: Option<String>,
    pub mode: Mode,
    pub order: DeliveryOrder,
    /// Deliveries in flight at once, 1 to 256.
    pub window: usize,
    /// Deliveries per second at most.
    pub rate: Option<u32>,
    /// Sent with each delivery.
    pub headers: Vec<Header>,
    /// What an attempt may take, 1 s to 60 s.
    pub timeout: Duration,
}

/// What one delivery holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One event.
    Single,
    /// Up to so many events, 1 to 100.
    Batch {
        /// Events in a delivery at most.
        max: usize,
    },
    /// Of each record that has waiting events the newest state, once the first of them has waited for so long.
    Latest {
        /// At most a minute; zero sends at once.
        debounce: Duration,
    },
}

impl Mode {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Batch { .. } => "batch",
            Self::Latest { .. } => "latest",
        }
    }
}

text_enum! {
    /// Which events wait for which.
    pub enum DeliveryOrder {
        /// Those of one record for each other.
        Record = "record",
        /// Each for the one before it.
        Strict = "strict",
        /// None for any.
        None = "none",
    }
}

text_enum! {
    /// How deliveries are signed.
    pub enum Signature {
        /// HMAC-SHA256 with a secret that both sides know: `v1,`.
        Hmac = "hmac",
        /// Ed25519 with a key that nobody else knows: `v1a,`.
        Ed25519 = "ed25519",
    }
}

text_enum! {
    /// Whether an endpoint is delivered to.
    pub enum State {
        /// It is.
        Live = "live",
        /// Not until its owner resumes it.
        Paused = "paused",
        /// Not until its owner resumes it, since it was gone or failed for days.
        Disabled = "disabled",
    }
}

text_enum! {
    /// How an endpoint fares, as far as the log was told.
    pub enum Health {
        /// It takes what it is sent.
        Well = "well",
        /// It has taken nothing for a day.
        Failing = "failing",
        /// It was given up.
        Disabled = "disabled",
    }
}
