//! An endpoint's settings out of a request's body: what is absent stays as it is, `null` is the default again.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::domain::Invalid;
use crate::domain::endpoint::settings::{
    BATCH, DEBOUNCE_MS, MAX_BATCH, MAX_FILTERS, MAX_HEADERS, RATE, TIMEOUT_S, WINDOW, description, is_event_pattern,
    is_field_name, whole,
};
use crate::domain::endpoint::{
    DeliveryOrder, Header, HeaderValue, Mode, Settings, Signature, header_name, header_value,
};
use crate::push::address::AddressPolicy;
use crate::push::own_headers::MASK;

/// What a body is read against.
pub(super) struct Context<'a> {
    pub(super) policy: &'a AddressPolicy,
    /// The origin of the key that the request came with.
    pub(super) origin: &'a str,
    /// The window of endpoints that do not say.
    pub(super) window: usize,
}

/// The settings after a body; else all that is wrong with it.
pub(super) fn read(
    before: Settings,
    body: &mut Map<String, Json>,
    context: &Context<'_>,
) -> Result<Settings, Vec<Invalid>> {
    let default = Settings::defaults(context.window);
    let mut settings = before.clone();
    let mut errors = Vec::new();
    let mut reader = Reader { body, errors: &mut errors };
    reader.put(&mut settings.url, None, "url", |value| url(value, context.policy));
    reader.put(&mut settings.description, Some(default.description), "description", |value| {
        description(value.as_str().ok_or("Must be a string.")?)
    });
    reader.put(&mut settings.events, Some(default.events), "events", |value| {
        words(value, is_event_pattern)
            .ok_or_else(|| "Must be a list of at most 100 event types such as contact.*.".into())
    });
    reader.put(&mut settings.fields, Some(default.fields), "fields", |value| {
        words(value, is_field_name).ok_or_else(|| "Must be a list of at most 100 names of fields such as email.".into())
    });
    reader.put(&mut settings.exclude_own, Some(None), "exclude_own", |value| {
        let own = value.as_bool().ok_or("Must be true or false.")?;
        Ok(own.then(|| context.origin.to_owned()))
    });
    settings.mode = mode(&mut reader, settings.mode);
    reader.put(&mut settings.order, Some(default.order), "order", |value| {
        value.as_str().and_then(DeliveryOrder::from_name).ok_or_else(|| "Must be record, strict or none.".into())
    });
    reader.put(&mut settings.window, Some(default.window), "window", |value| {
        let window = whole(value.as_u64(), &WINDOW)?;
        usize::try_from(window).map_err(|error| error.to_string())
    });
    reader.put(&mut settings.rate, Some(None), "rate", |value| {
        let rate = whole(value.as_u64(), &RATE)?;
        u32::try_from(rate).map(Some).map_err(|error| error.to_string())
    });
    let mut own = Own { keeps: !before.headers.is_empty(), headers: std::mem::take(&mut settings.headers) };
    let none = Own { keeps: false, headers: default.headers };
    reader.put(&mut own, Some(none), "headers", |value| headers(value, &before.headers));
    settings.headers = own.headers;
    reader.put(&mut settings.timeout, Some(default.timeout), "timeout_s", |value| {
        whole(value.as_u64(), &TIMEOUT_S).map(Duration::from_secs)
    });
    if settings.url.is_empty() && !errors.iter().any(|error| error.pointer == "#/url") {
        errors.insert(0, Invalid::new("url", "Is required."));
    }
    // A caller who may change the URL could otherwise have the values sent to a server of their own.
    if own.keeps && !is_same_server(&before.url, &settings.url) && errors.is_empty() {
        let detail = "Must be given with their values, or be null: those that are stored are for the server before.";
        errors.push(Invalid::new("headers", detail));
    }
    if errors.is_empty() { Ok(settings) } else { Err(errors) }
}

/// Whether two URLs lead to the same scheme, host and port.
fn is_same_server(one: &str, other: &str) -> bool {
    let origin = |text: &str| url::Url::parse(text).map(|url| url.origin()).ok();
    origin(one).is_some_and(|one| Some(one) == origin(other))
}

/// The scheme that a body asks for.
pub(super) fn signature(body: &mut Map<String, Json>) -> Result<Option<Signature>, Invalid> {
    match body.remove("signature") {
        None | Some(Json::Null) => Ok(None),
        Some(value) => match value.as_str().and_then(Signature::from_name) {
            Some(signature) => Ok(Some(signature)),
            None => Err(Invalid::new("signature", "Must be hmac or ed25519.")),
        },
    }
}

/// Takes members of a body one by one, and notes what cannot be taken.
struct Reader<'a> {
    body: &'a mut Map<String, Json>,
    errors: &'a mut Vec<Invalid>,
}

impl Reader<'_> {
    fn put<T>(
        &mut self,
        setting: &mut T,
        default: Option<T>,
        key: &str,
        read: impl FnOnce(&Json) -> Result<T, String>,
    ) {
        let read = match (self.body.remove(key), default) {
            (None, _) => return,
            (Some(Json::Null), Some(default)) => Ok(default),
            (Some(Json::Null), None) => Err("Is required.".to_owned()),
            (Some(value), _) => read(&value),
        };
        match read {
            Ok(value) => *setting = value,
            Err(detail) => self.errors.push(Invalid::new(key, detail)),
        }
    }
}

/// The mode with what belongs to it: `max_batch` says something of a batch alone, `debounce_ms` of the latest alone.
fn mode(reader: &mut Reader<'_>, before: Mode) -> Mode {
    let (mut name, mut max, mut debounce) = (before.name(), before.max_batch(), before.debounce());
    reader.put(&mut name, Some("single"), "mode", |value| {
        let known = Mode::NAMES.into_iter().find(|known| value == known);
        known.ok_or_else(|| "Must be single, batch or latest.".into())
    });
    reader.put(&mut max, Some(MAX_BATCH), "max_batch", |value| {
        usize::try_from(whole(value.as_u64(), &BATCH)?).map_err(|error| error.to_string())
    });
    reader.put(&mut debounce, Some(Duration::ZERO), "debounce_ms", |value| {
        whole(value.as_u64(), &DEBOUNCE_MS).map(Duration::from_millis)
    });
    Mode::of_name(name, max, debounce).unwrap_or(before)
}

fn url(value: &Json, policy: &AddressPolicy) -> Result<String, String> {
    let text = value.as_str().ok_or("Must be a string.")?;
    match policy.check_url(text) {
        Ok(url) => Ok(url.as_str().to_owned()),
        Err(refused) => Err(format!("Cannot be used: {refused}.")),
    }
}

fn words(value: &Json, known: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let words = value.as_array().filter(|words| words.len() <= MAX_FILTERS)?;
    words.iter().map(|word| word.as_str().filter(|word| known(word)).map(str::to_owned)).collect()
}

/// An endpoint's own headers after a body.
struct Own {
    headers: Vec<Header>,
    /// Whether some have the value that they had.
    keeps: bool,
}

/// Own headers: none that the delivery itself has, none that says how the message is framed, encoded or routed. The mask
/// that stands for a value where one is shown keeps the value that `before` has.
fn headers(value: &Json, before: &[Header]) -> Result<Own, String> {
    let wrong = || format!("Must be an object of at most {MAX_HEADERS} headers and their values.");
    let own = value.as_object().filter(|own| own.len() <= MAX_HEADERS).ok_or_else(wrong)?;
    let mut headers: Vec<Header> = Vec::with_capacity(own.len());
    let mut keeps = false;
    for (name, value) in own {
        let name = header_name(name)?;
        if headers.iter().any(|other| other.name == name) {
            return Err(format!("Must hold {name} once."));
        }
        let text = header_value(&name, value.as_str())?;
        if text != MASK {
            headers.push(Header { name, value: HeaderValue::Clear(text.to_owned()) });
        } else if let Some(stored) = before.iter().find(|stored| stored.name == name) {
            keeps = true;
            headers.push(stored.clone());
        } else {
            return Err(format!(
                "Must hold a value for {name}: {MASK} stands for one that is stored, and there is none."
            ));
        }
    }
    Ok(Own { headers, keeps })
}
