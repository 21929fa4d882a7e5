//! A change of an endpoint's settings, and its pure application.

use std::time::Duration;

use super::header::{Header, HeaderValue};
use super::settings::{DeliveryOrder, Mode, ModeKind, Settings};
use crate::domain::{Invalid, ValidationErrors};

/// A change of one setting: `None` keeps it, `Some(None)` resets it to its default, `Some(Some(_))` sets it.
pub(crate) type Change<T> = Option<Option<T>>;

/// A change of settings. Its values keep the limits of [`super::settings`] already, except the URL, which the service
/// checks against the addresses that it permits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// The URL, as it was entered.
    pub url: Change<String>,
    /// See [`Settings::description`].
    pub description: Change<String>,
    /// See [`Settings::events`].
    pub events: Change<Vec<String>>,
    /// See [`Settings::fields`].
    pub fields: Change<Vec<String>>,
    /// True leaves out the events of the origin that makes the change.
    pub exclude_own: Change<bool>,
    /// The kind of mode.
    pub mode: Change<ModeKind>,
    /// Events in one delivery, in mode `batch`.
    pub max_batch: Change<usize>,
    /// The debounce time, in mode `latest`.
    pub debounce: Change<Duration>,
    /// See [`Settings::order`].
    pub order: Change<DeliveryOrder>,
    /// See [`Settings::window`].
    pub window: Change<usize>,
    /// See [`Settings::rate`].
    pub rate: Change<u32>,
    /// All headers of the endpoint's own.
    pub headers: Change<Vec<HeaderChange>>,
    /// See [`Settings::timeout`].
    pub timeout: Change<Duration>,
}

/// A header of an endpoint's own after a change. `Debug` shows its name alone: the value may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderChange {
    /// In lower case.
    pub name: String,
    /// The value; `None` keeps the stored one.
    pub value: Option<String>,
}

impl std::fmt::Debug for HeaderChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeaderChange").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SettingsChange {
    /// Returns the settings after the change. Refuses a URL that is missing, and headers that keep a value which is not
    /// stored. `origin` is the one that makes the change.
    #[must_use]
    pub fn apply(self, before: &Settings, defaults: Settings, origin: &str, errors: &mut ValidationErrors) -> Settings {
        let mode = self.mode(before.mode, defaults.mode);
        let Self { url, description, events, fields, exclude_own, order, window, rate, headers, timeout, .. } = self;
        let exclude_own = exclude_own.map(|own| own.unwrap_or(false).then(|| origin.to_owned()));
        let rate = rate.unwrap_or(before.rate);
        let settings = Settings {
            url: changed(url, &before.url, defaults.url),
            description: changed(description, &before.description, defaults.description),
            events: changed(events, &before.events, defaults.events),
            fields: changed(fields, &before.fields, defaults.fields),
            exclude_own: exclude_own.unwrap_or_else(|| before.exclude_own.clone()),
            mode,
            order: changed(order, &before.order, defaults.order),
            window: changed(window, &before.window, defaults.window),
            rate,
            headers: changed_headers(headers, &before.headers, errors),
            timeout: changed(timeout, &before.timeout, defaults.timeout),
        };
        if settings.url.is_empty() && !errors.contains("#/url") {
            errors.push(Invalid::new("url", "Is required."));
        }
        settings
    }

    /// True where a header keeps its stored value, if the endpoint had one.
    #[must_use]
    pub fn keeps_header_values(&self, before: &Settings) -> bool {
        match &self.headers {
            None => !before.headers.is_empty(),
            Some(headers) => headers.iter().flatten().any(|header| header.value.is_none()),
        }
    }

    /// The mode with the setting that belongs to it.
    fn mode(&self, before: Mode, default: Mode) -> Mode {
        let max = changed(self.max_batch, &before.max_batch(), default.max_batch());
        let debounce = changed(self.debounce, &before.debounce(), default.debounce());
        Mode::new(changed(self.mode, &before.kind(), default.kind()), max, debounce)
    }
}

fn changed<T: Clone>(change: Change<T>, before: &T, default: T) -> T {
    match change {
        None => before.clone(),
        Some(value) => value.unwrap_or(default),
    }
}

fn changed_headers(change: Change<Vec<HeaderChange>>, before: &[Header], errors: &mut ValidationErrors) -> Vec<Header> {
    let Some(change) = change else { return before.to_vec() };
    let mut headers = Vec::new();
    for HeaderChange { name, value } in change.into_iter().flatten() {
        match value {
            Some(text) => headers.push(Header { name, value: HeaderValue::Clear(text) }),
            None => match before.iter().find(|stored| stored.name == name) {
                Some(stored) => headers.push(stored.clone()),
                None => errors.push(Invalid::new(
                    "headers",
                    format!("Must hold a value for {name}: a mask stands for one that is stored, and there is none."),
                )),
            },
        }
    }
    headers
}
