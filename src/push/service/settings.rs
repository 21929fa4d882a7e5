//! Inputs of the service, and the checks that need more than the input: addresses that the installation permits, stored
//! settings, and the log.

use std::time::Duration;

use super::{EndpointError, EndpointService};
use crate::contract::Cursor;
use crate::domain::endpoint::{Settings, SettingsChange, Signature};
use crate::domain::{AccountId, Invalid, Seq, ValidationErrors};

/// Settings of an endpoint that is created or updated.
#[derive(Debug, Default)]
pub struct EndpointInput {
    /// The settings.
    pub change: SettingsChange,
    /// The scheme of its secret; `None` keeps it, and is HMAC for a new endpoint.
    pub signature: Option<Signature>,
    /// The position at which a new endpoint starts; `None` is the end of the log.
    pub from: Option<LogPosition>,
    /// Errors that were found while the input was read; those that the service finds are added.
    pub errors: ValidationErrors,
}

/// A rotation of an endpoint's secret.
#[derive(Debug)]
pub struct Rotation {
    /// The time for which the previous secrets go on signing, within `OVERLAP_S`.
    pub overlap: Duration,
    /// The scheme of the new secret; `None` keeps it.
    pub signature: Option<Signature>,
}

/// A position in the log as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPosition {
    /// Before the first event.
    Start,
    /// At a cursor that this service gave out.
    Cursor(Cursor),
    /// At the event of this number.
    Event(Seq),
}

impl EndpointService {
    /// Returns the settings after a change, and adds everything that is wrong with it to `errors`.
    pub(super) fn changed_settings(
        &self,
        before: &Settings,
        mut change: SettingsChange,
        origin: &str,
        errors: &mut ValidationErrors,
    ) -> Settings {
        self.normalize_url(&mut change, errors);
        let keeps_header_values = change.keeps_header_values(before);
        let settings = change.apply(before, self.defaults(), origin, errors);
        // A caller who may change the URL could otherwise have the stored values sent to a server of their own.
        if keeps_header_values && errors.is_empty() && !is_same_server(&before.url, &settings.url) {
            let detail = "Must be given with their values, or be null: the stored values are for the previous server.";
            errors.push(Invalid::new("headers", detail));
        }
        settings
    }

    /// Checks a URL and replaces it by its normal form.
    fn normalize_url(&self, change: &mut SettingsChange, errors: &mut ValidationErrors) {
        let Some(Some(text)) = &mut change.url else { return };
        match self.policy.check_url(text) {
            Ok(url) => url.as_str().clone_into(text),
            Err(refused) => errors.push(Invalid::new("url", format!("Cannot be used: {refused}."))),
        }
    }

    /// Returns a position's number; `None` where the log has no such position.
    pub(super) async fn resolve(
        &self,
        account: AccountId,
        position: LogPosition,
    ) -> Result<Option<Seq>, EndpointError> {
        if position == LogPosition::Start {
            return Ok(Some(Seq::ZERO));
        }
        let head = self.context.store.head(account).await?.ok_or(EndpointError::NoAccount)?;
        let seq = match position {
            LogPosition::Start => Some(Seq::ZERO),
            LogPosition::Cursor(cursor) => (cursor.epoch == head.epoch).then_some(cursor.seq),
            LogPosition::Event(seq) => Some(seq),
        };
        Ok(seq.filter(|seq| (Seq::ZERO..=head.seq).contains(seq)))
    }
}

/// True for two URLs with the same scheme, host and port.
fn is_same_server(one: &str, other: &str) -> bool {
    let origin = |text: &str| url::Url::parse(text).map(|url| url.origin()).ok();
    origin(one).is_some_and(|one| Some(one) == origin(other))
}
