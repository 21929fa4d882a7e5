//! Settings of a push endpoint: their limits, their defaults and the rules that each value keeps.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::header::Header;
use crate::domain::text_enum::text_enum;
use crate::domain::value::plain;
use crate::domain::{Entity, EventType};

/// Characters of a description; a longer one is refused.
pub(crate) const MAX_DESCRIPTION: usize = 255;
/// Event types, and names of fields, that an endpoint may filter by; a longer list is refused.
pub(crate) const MAX_FILTERS: usize = 100;
/// Headers of an endpoint's own; a larger set is refused.
pub(crate) const MAX_HEADERS: usize = 20;
/// Deliveries in flight at once; a value outside is refused.
pub(crate) const WINDOW: RangeInclusive<u64> = 1..=256;
/// Deliveries per second; a value outside is refused. No rate at all means no limit.
pub(crate) const RATE: RangeInclusive<u64> = 1..=10_000;
/// Events in one delivery in mode `batch`; a value outside is refused.
pub(crate) const BATCH: RangeInclusive<u64> = 1..=100;
/// Events in one delivery in mode `batch` where the endpoint names no number: the largest that [`BATCH`] permits.
pub(crate) const MAX_BATCH: usize = 100;
/// Milliseconds that a record's first pending event waits in mode `latest`; a value outside is refused.
pub(crate) const DEBOUNCE_MS: RangeInclusive<u64> = 0..=60_000;
/// Seconds that an attempt may take; a value outside is refused.
pub(crate) const TIMEOUT_S: RangeInclusive<u64> = 1..=60;
/// The time that an attempt may take where the endpoint names none.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);

/// Choices of an endpoint's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The normalized URL that deliveries go to.
    pub url: String,
    /// Text for people; no rule reads it.
    pub description: String,
    /// Patterns of event types without their root, `contact.*`; empty means all.
    pub events: Vec<String>,
    /// Names of fields of which one at least must have changed; empty means any.
    pub fields: Vec<String>,
    /// Events of this origin are left out.
    pub exclude_own: Option<String>,
    /// The contents of one delivery.
    pub mode: Mode,
    /// Which events wait for which.
    pub order: DeliveryOrder,
    /// Deliveries in flight at once, within [`WINDOW`].
    pub window: usize,
    /// Deliveries per second, within [`RATE`]; `None` is no limit.
    pub rate: Option<u32>,
    /// Sent with each delivery.
    pub headers: Vec<Header>,
    /// The time that an attempt may take, within [`TIMEOUT_S`].
    pub timeout: Duration,
}

/// The contents of one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One event.
    Single,
    /// Several events.
    Batch {
        /// Events in a delivery, within [`BATCH`].
        max: usize,
    },
    /// The newest state of each record that has pending events.
    Latest {
        /// The time that the first of them waits for others, within [`DEBOUNCE_MS`]; zero sends at once.
        debounce: Duration,
    },
}

text_enum! {
    /// The kinds of modes.
    pub enum ModeKind {
        /// See [`Mode::Single`].
        Single = "single",
        /// See [`Mode::Batch`].
        Batch = "batch",
        /// See [`Mode::Latest`].
        Latest = "latest",
    }
}

impl Mode {
    /// The mode of a kind with the setting that belongs to it; the other one is ignored.
    #[must_use]
    pub fn new(kind: ModeKind, max: usize, debounce: Duration) -> Self {
        match kind {
            ModeKind::Single => Self::Single,
            ModeKind::Batch => Self::Batch { max },
            ModeKind::Latest => Self::Latest { debounce },
        }
    }

    /// The kind of mode.
    #[must_use]
    pub fn kind(self) -> ModeKind {
        match self {
            Self::Single => ModeKind::Single,
            Self::Batch { .. } => ModeKind::Batch,
            Self::Latest { .. } => ModeKind::Latest,
        }
    }

    /// The name on the wire and in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.kind().name()
    }

    /// The size of a batch: in other modes the default that a change to mode `batch` would begin with.
    #[must_use]
    pub fn max_batch(self) -> usize {
        match self {
            Self::Batch { max } => max,
            Self::Single | Self::Latest { .. } => MAX_BATCH,
        }
    }

    /// The debounce time: in other modes the default that a change to mode `latest` would begin with.
    #[must_use]
    pub fn debounce(self) -> Duration {
        match self {
            Self::Latest { debounce } => debounce,
            Self::Single | Self::Batch { .. } => Duration::ZERO,
        }
    }
}

text_enum! {
    /// Which events wait for which.
    pub enum DeliveryOrder {
        /// Events of one record wait for each other.
        Record = "record",
        /// Each event waits for the one before it.
        Strict = "strict",
        /// No event waits for another.
        None = "none",
    }
}

text_enum! {
    /// How deliveries are signed.
    pub enum Signature {
        /// HMAC-SHA256 with a secret that both sides know: `v1,`.
        Hmac = "hmac",
        /// Ed25519 with a private key that never leaves this service: `v1a,`.
        Ed25519 = "ed25519",
    }
}

impl Settings {
    /// Settings of an endpoint that sets nothing but its URL, which is empty here. `window` is the installation's default.
    #[must_use]
    pub fn defaults(window: usize) -> Self {
        Self {
            url: String::new(),
            description: String::new(),
            events: Vec::new(),
            fields: Vec::new(),
            exclude_own: None,
            mode: Mode::Single,
            order: DeliveryOrder::Record,
            window: usize::try_from(*WINDOW.end()).map_or(window, |max| window.min(max)),
            rate: None,
            headers: Vec::new(),
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// A description as it is stored.
pub(crate) fn description(text: &str) -> Result<String, String> {
    plain(text, MAX_DESCRIPTION)
}

/// A number within a limit. `None` stands for a value that is no whole number.
pub(crate) fn whole(number: Option<u64>, limits: &RangeInclusive<u64>) -> Result<u64, String> {
    let number = number.filter(|number| limits.contains(number));
    number.ok_or_else(|| format!("Must be a whole number from {} to {}.", limits.start(), limits.end()))
}

/// True where a pattern can match any event: an entity or `*`, then an event type or `*`.
#[must_use]
pub(crate) fn is_event_pattern(text: &str) -> bool {
    match text.split_once('.') {
        None => text == "*",
        Some((entity, event_type)) => {
            (entity == "*" || Entity::from_name(entity).is_some())
                && (event_type == "*" || EventType::from_name(event_type).is_some())
        }
    }
}

/// True where some entity has a field of this name.
#[must_use]
pub(crate) fn is_field_name(name: &str) -> bool {
    Entity::ALL.into_iter().any(|entity| entity.field(name).is_some())
}
