//! The form of an endpoint's settings: its fields from stored settings, and settings from its fields.

use std::time::Duration;

use super::super::super::form::{FieldErrors, Form};
use super::ONCE;
use crate::clock;
use crate::console::ORIGIN;
use crate::domain::ValidationErrors;
use crate::domain::endpoint::settings::{
    BATCH, DEBOUNCE_MS, MAX_FILTERS, MAX_HEADERS, RATE, TIMEOUT_S, WINDOW, description, is_event_pattern,
    is_field_name, whole,
};
use crate::domain::endpoint::{
    Change, DeliveryOrder, HeaderChange, ModeKind, Settings, SettingsChange, Signature, header_name, header_value,
};
use crate::push::own_headers::MASK;
use crate::push::service::{EndpointInput, LogPosition};

/// Patterns that have a checkbox of their own, with their words.
pub(super) const PATTERNS: [(&str, &str); 8] = [
    ("contact.*", "Contacts"),
    ("company.*", "Companies"),
    ("project.*", "Projects"),
    ("circle.*", "Circles of contacts"),
    ("schema.*", "Custom fields"),
    ("audience.*", "Marketing audiences"),
    ("conflict.*", "Conflicts"),
    ("push.*", "Health of endpoints"),
];

/// The settings that a form asks for.
pub(super) struct ReadSettings {
    pub(super) input: EndpointInput,
    /// The origin whose changes are left out; that of the console where none are.
    pub(super) origin: String,
}

/// The fields of a new endpoint.
pub(super) fn new() -> Form {
    fields(&[(ONCE, clock::random_uuid().to_string()), ("mode", "single".to_owned()), ("order", "record".to_owned())])
}

/// The fields of stored settings.
pub(super) fn of_settings(settings: &Settings) -> Form {
    let known = |event: &&String| PATTERNS.iter().any(|(pattern, _)| pattern == event);
    let more: Vec<&str> = settings.events.iter().filter(|event| !known(event)).map(String::as_str).collect();
    let headers: Vec<String> = settings.headers.iter().map(|header| format!("{}: {MASK}", header.name)).collect();
    let mut pairs = vec![
        ("url", settings.url.clone()),
        ("description", settings.description.clone()),
        ("more_events", more.join(", ")),
        ("fields", settings.fields.join(", ")),
        ("exclude", settings.exclude_own.clone().unwrap_or_default()),
        ("mode", settings.mode.name().to_owned()),
        ("order", settings.order.name().to_owned()),
        ("window", settings.window.to_string()),
        ("rate", settings.rate.map(|rate| rate.to_string()).unwrap_or_default()),
        ("headers", headers.join("\n")),
        ("timeout_s", settings.timeout.as_secs().to_string()),
    ];
    match settings.mode.kind() {
        ModeKind::Batch => pairs.push(("max_batch", settings.mode.max_batch().to_string())),
        ModeKind::Latest => pairs.push(("debounce_ms", settings.mode.debounce().as_millis().to_string())),
        ModeKind::Single => {}
    }
    pairs.extend(settings.events.iter().filter(known).map(|event| ("events", event.clone())));
    fields(&pairs)
}

fn fields(pairs: &[(&str, String)]) -> Form {
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    Form::parse(text.as_bytes())
}

/// Reads the fields. An empty field is the setting's default.
pub(super) fn read(form: &Form) -> Result<ReadSettings, FieldErrors> {
    let mut reader = Reader { form, errors: FieldErrors::default() };
    if form.filled("url").is_none() {
        reader.errors.add("url", "Enter the URL that requests are sent to.");
    }
    let mode = choice(form, "mode", ModeKind::from_name).unwrap_or(ModeKind::Single);
    let change = SettingsChange {
        url: Some(form.filled("url").map(str::to_owned)),
        description: reader.read("description", description),
        events: Some(Some(reader.events())),
        fields: Some(Some(reader.changed_fields())),
        exclude_own: Some(form.filled("exclude").map(|_| true)),
        mode: Some(Some(mode)),
        max_batch: reader.number("max_batch", &BATCH).map(|max| max.and_then(|max| usize::try_from(max).ok())),
        debounce: reader.number("debounce_ms", &DEBOUNCE_MS).map(|millis| millis.map(Duration::from_millis)),
        order: Some(choice(form, "order", DeliveryOrder::from_name)),
        window: reader.number("window", &WINDOW).map(|window| window.and_then(|window| usize::try_from(window).ok())),
        rate: reader.number("rate", &RATE).map(|rate| rate.and_then(|rate| u32::try_from(rate).ok())),
        headers: reader.headers(),
        timeout: reader.number("timeout_s", &TIMEOUT_S).map(|seconds| seconds.map(Duration::from_secs)),
    };
    if !reader.errors.is_empty() {
        return Err(reader.errors);
    }
    let from = (form.text("from") == "start").then_some(LogPosition::Start);
    let signature = choice(form, "signature", Signature::from_name);
    let input = EndpointInput { change, signature, from, errors: ValidationErrors::default() };
    Ok(ReadSettings { input, origin: form.filled("exclude").unwrap_or(ORIGIN).to_owned() })
}

/// The errors of the service beside the fields that they are about.
pub(super) fn field_errors(errors: ValidationErrors) -> FieldErrors {
    let mut fields = FieldErrors::default();
    for invalid in errors.into_list() {
        let field = invalid.pointer.trim_start_matches("#/");
        match field {
            "url" => fields.add(field, url_error(&invalid.detail)),
            "headers" => fields.add(
                field,
                "Enter the values again: the stored ones are for the previous server, and are not sent to another one.",
            ),
            // Errors of the endpoint as a whole stand at the top of the form.
            "" | "#" => fields.add("form", invalid.detail),
            field => fields.add(field, invalid.detail),
        }
    }
    fields
}

/// The refusal of a URL in plain words.
fn url_error(detail: &str) -> String {
    let reason = detail.strip_prefix("Cannot be used: ").unwrap_or(detail).trim_end_matches('.');
    if let Some(family) = reason.strip_prefix("the host's address is refused: ") {
        return format!(
            "Webhooks are not sent to this address, because it is no public one: {family}. Use an address that the internet can \
             reach, or ask the operator of this service to permit it."
        );
    }
    match reason.strip_prefix("the URL is refused: ") {
        Some("only https is permitted") => {
            "Use an address that begins with https://, so that nobody can read along.".to_owned()
        }
        Some("it is not an absolute URL") => "Enter a whole URL, such as https://example.com/hook.".to_owned(),
        Some("it holds credentials") => {
            "Leave out the user name and password; send credentials as an own header instead.".to_owned()
        }
        Some(why) => format!("This URL cannot be used: {why}."),
        None => detail.to_owned(),
    }
}

fn choice<T>(form: &Form, field: &str, of_name: impl Fn(&str) -> Option<T>) -> Option<T> {
    form.filled(field).and_then(of_name)
}

struct Reader<'a> {
    form: &'a Form,
    errors: FieldErrors,
}

impl Reader<'_> {
    fn read<T>(&mut self, field: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Change<T> {
        let Some(text) = self.form.filled(field) else { return Some(None) };
        match read(text) {
            Ok(value) => Some(Some(value)),
            Err(detail) => {
                self.errors.add(field, detail);
                None
            }
        }
    }

    fn number(&mut self, field: &str, limits: &std::ops::RangeInclusive<u64>) -> Change<u64> {
        self.read(field, |text| whole(text.parse().ok(), limits))
    }

    /// The ticked patterns, then the written ones.
    fn events(&mut self) -> Vec<String> {
        let ticked = self.form.all("events").map(str::to_owned);
        let written = words(self.form.text("more_events"));
        let mut events: Vec<String> = Vec::new();
        for event in ticked.chain(written) {
            if !is_event_pattern(&event) {
                self.errors.add(
                    "more_events",
                    format!("There is no type of event “{event}”. Write one such as contact.created or company.*."),
                );
            }
            if !events.contains(&event) {
                events.push(event);
            }
        }
        if events.len() > MAX_FILTERS {
            self.errors.add("more_events", format!("Name at most {MAX_FILTERS} types of events."));
        }
        events
    }

    fn changed_fields(&mut self) -> Vec<String> {
        let fields: Vec<String> = words(self.form.text("fields")).collect();
        if let Some(unknown) = fields.iter().find(|field| !is_field_name(field)) {
            self.errors.add("fields", format!("There is no field “{unknown}”. Write names such as email or phone."));
        }
        if fields.len() > MAX_FILTERS {
            self.errors.add("fields", format!("Name at most {MAX_FILTERS} fields."));
        }
        fields
    }

    fn headers(&mut self) -> Change<Vec<HeaderChange>> {
        let mut headers: Vec<HeaderChange> = Vec::new();
        for line in self.form.text("headers").lines().map(str::trim).filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once(':') else {
                self.errors.add("headers", "Write one header per line, as Name: value.");
                return None;
            };
            let read = header_name(name.trim()).and_then(|name| {
                let value = header_value(&name, Some(value.trim()))?;
                let value = (value != MASK).then(|| value.to_owned());
                Ok(HeaderChange { name, value })
            });
            match read {
                Ok(header) if headers.iter().any(|other| other.name == header.name) => {
                    self.errors.add("headers", format!("Write {} once.", header.name));
                }
                Ok(header) => headers.push(header),
                Err(detail) => self.errors.add("headers", detail),
            }
        }
        if headers.len() > MAX_HEADERS {
            self.errors.add("headers", format!("Write at most {MAX_HEADERS} headers."));
        }
        Some(Some(headers))
    }
}

/// The words of a list that is separated by commas or spaces.
fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split([',', ' ', '\n', '\r']).filter(|word| !word.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::endpoint::Mode;

    fn applied(form: &Form) -> Settings {
        let read = read(form).expect("the form is right");
        let mut errors = ValidationErrors::default();
        let defaults = Settings::defaults(32);
        read.input.change.apply(&defaults.clone(), defaults, &read.origin, &mut errors)
    }

    #[test]
    fn settings_are_read_back_from_their_fields() {
        let settings = Settings {
            url: "https://example.com/hook".to_owned(),
            description: "Shop".to_owned(),
            events: vec!["contact.*".to_owned(), "project.created".to_owned()],
            fields: vec!["email".to_owned()],
            exclude_own: Some("erp".to_owned()),
            mode: Mode::Batch { max: 7 },
            order: DeliveryOrder::Strict,
            rate: Some(9),
            timeout: Duration::from_secs(4),
            ..Settings::defaults(16)
        };
        assert_eq!(applied(&of_settings(&settings)), settings);
    }

    #[test]
    fn each_wrong_field_has_its_own_error() {
        let form = Form::parse(
            b"url=&more_events=contact.*,nothing.x&fields=colour&headers=x&window=0&rate=x&timeout_s=61&max_batch=101",
        );
        let errors = read(&form).err().expect("everything is wrong");
        for field in ["url", "more_events", "fields", "headers", "window", "rate", "timeout_s", "max_batch"] {
            assert!(errors.get(field).is_some(), "{field}");
        }
    }

    #[test]
    fn a_refused_address_is_explained_without_jargon() {
        let shown = url_error("Cannot be used: the host's address is refused: private (RFC 1918).");
        assert!(shown.contains("no public one: private (RFC 1918)"), "{shown}");
        assert!(url_error("Cannot be used: the URL is refused: only https is permitted.").contains("https://"));
        assert_eq!(
            url_error("Cannot be used: the URL is refused: it has a fragment."),
            "This URL cannot be used: it has a fragment."
        );
    }
}
