//! An endpoint's settings out of a request's body: what is absent stays as it is, `null` is the default again.

use std::time::Duration;

use hyper::header::HeaderName;
use serde_json::{Map, Value as Json};

use crate::domain::endpoint::{DeliveryOrder, Header, HeaderValue, Mode, Settings, Signature};
use crate::domain::value::plain;
use crate::domain::{Entity, Field, Invalid};
use crate::push::address::AddressPolicy;
use crate::push::client::is_reserved;
use crate::push::filter::EventFilter;
use crate::push::own_headers::MASK;
use crate::store::endpoints::MAX_BATCH;

/// The longest description, in characters, and the longest value of an own header.
const MAX_TEXT: usize = 255;
const MAX_VALUE: usize = 1_000;
/// Patterns of events, names of fields.
const MAX_WORDS: usize = 100;
const MAX_HEADERS: usize = 20;
const MAX_WINDOW: usize = 256;
const MAX_RATE: u32 = 10_000;
const MAX_DEBOUNCE_MS: u64 = 60_000;
const MAX_TIMEOUT_S: u64 = 60;
/// Seconds that an attempt may take where the endpoint does not say.
const TIMEOUT_S: u64 = 15;

/// What an endpoint has that says nothing.
pub(super) fn defaults(window: usize) -> Settings {
    Settings {
        url: String::new(),
        description: String::new(),
        events: Vec::new(),
        fields: Vec::new(),
        exclude_own: None,
        mode: Mode::Single,
        order: DeliveryOrder::Record,
        window: window.min(MAX_WINDOW),
        rate: None,
        headers: Vec::new(),
        timeout: Duration::from_secs(TIMEOUT_S),
    }
}

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
    let default = defaults(context.window);
    let mut settings = before.clone();
    let mut errors = Vec::new();
    let mut reader = Reader { body, errors: &mut errors };
    reader.put(&mut settings.url, None, "url", |value| url(value, context.policy));
    reader.put(&mut settings.description, Some(default.description), "description", |value| {
        plain(value.as_str().ok_or("Must be a string.")?, MAX_TEXT)
    });
    reader.put(&mut settings.events, Some(default.events), "events", |value| {
        words(value, EventFilter::is_pattern)
            .ok_or_else(|| "Must be a list of at most 100 event types such as contact.*.".into())
    });
    reader.put(&mut settings.fields, Some(default.fields), "fields", |value| {
        words(value, is_field).ok_or_else(|| "Must be a list of at most 100 names of fields such as email.".into())
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
        let window = whole(value, 1, MAX_WINDOW as u64)?;
        usize::try_from(window).map_err(|error| error.to_string())
    });
    reader.put(&mut settings.rate, Some(None), "rate", |value| {
        let rate = whole(value, 1, MAX_RATE.into())?;
        u32::try_from(rate).map(Some).map_err(|error| error.to_string())
    });
    let mut own = Own { keeps: !before.headers.is_empty(), headers: std::mem::take(&mut settings.headers) };
    let none = Own { keeps: false, headers: default.headers };
    reader.put(&mut own, Some(none), "headers", |value| headers(value, &before.headers));
    settings.headers = own.headers;
    reader.put(&mut settings.timeout, Some(default.timeout), "timeout_s", |value| {
        whole(value, 1, MAX_TIMEOUT_S).map(Duration::from_secs)
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
    let (mut name, mut max, mut debounce) = match before {
        Mode::Single => ("single", MAX_BATCH, Duration::ZERO),
        Mode::Batch { max } => ("batch", max, Duration::ZERO),
        Mode::Latest { debounce } => ("latest", MAX_BATCH, debounce),
    };
    reader.put(&mut name, Some("single"), "mode", |value| {
        let known = ["single", "batch", "latest"].into_iter().find(|known| value == known);
        known.ok_or_else(|| "Must be single, batch or latest.".into())
    });
    reader.put(&mut max, Some(MAX_BATCH), "max_batch", |value| {
        usize::try_from(whole(value, 1, MAX_BATCH as u64)?).map_err(|error| error.to_string())
    });
    reader.put(&mut debounce, Some(Duration::ZERO), "debounce_ms", |value| {
        whole(value, 0, MAX_DEBOUNCE_MS).map(Duration::from_millis)
    });
    match name {
        "batch" => Mode::Batch { max },
        "latest" => Mode::Latest { debounce },
        _ => Mode::Single,
    }
}

fn url(value: &Json, policy: &AddressPolicy) -> Result<String, String> {
    let text = value.as_str().ok_or("Must be a string.")?;
    match policy.check_url(text) {
        Ok(url) => Ok(url.as_str().to_owned()),
        Err(refused) => Err(format!("Cannot be used: {refused}.")),
    }
}

fn words(value: &Json, known: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let words = value.as_array().filter(|words| words.len() <= MAX_WORDS)?;
    words.iter().map(|word| word.as_str().filter(|word| known(word)).map(str::to_owned)).collect()
}

fn is_field(name: &str) -> bool {
    Entity::ALL.into_iter().any(|entity| Field::from_name(entity, name).is_some())
}

pub(super) fn whole(value: &Json, least: u64, most: u64) -> Result<u64, String> {
    let number = value.as_u64().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("Must be a whole number from {least} to {most}."))
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
        let lower = name.to_ascii_lowercase();
        let Ok(parsed) = HeaderName::try_from(&*lower) else {
            return Err("Can hold names of headers alone.".to_owned());
        };
        if lower.len() > MAX_TEXT || is_reserved(&parsed) || lower.starts_with("content-") || lower == "traceparent" {
            return Err(format!("Can hold no {lower}: it is written by the delivery itself."));
        }
        if headers.iter().any(|other| other.name == lower) {
            return Err(format!("Must hold {lower} once."));
        }
        let printable = |text: &&str| text.len() <= MAX_VALUE && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        let Some(value) = value.as_str().filter(printable) else {
            return Err(format!("Must hold up to {MAX_VALUE} visible ASCII characters for {lower}."));
        };
        if value != MASK {
            // Told here, where it is set, and not by deliveries that lack it.
            if value.parse::<hyper::header::HeaderValue>().is_err() {
                return Err(format!("Must hold a value that can be sent for {lower}."));
            }
            headers.push(Header { name: lower, value: HeaderValue::Clear(value.to_owned()) });
        } else if let Some(stored) = before.iter().find(|stored| stored.name == lower) {
            keeps = true;
            headers.push(stored.clone());
        } else {
            return Err(format!(
                "Must hold a value for {lower}: {MASK} stands for one that is stored, and there is none."
            ));
        }
    }
    Ok(Own { headers, keeps })
}
