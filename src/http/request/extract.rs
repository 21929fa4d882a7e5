//! Extractors: bodies as JSON whatever their content type, identifiers, conditions, parameters.

use axum::body::Bytes;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::Uri;
use hyper::body::Body as _;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::caller::Caller;
use super::conditions;
use super::idempotency;
use super::slow_body::SlowBody;
use super::trace;
use crate::command::Idempotency;
use crate::contract::record::parse_uid;
use crate::contract::{input, timestamp};
use crate::domain::record::normalize_key;
use crate::domain::{Invalid, Seq, Target, Timestamp, value};
use crate::http::response::problem::Problem;

/// A write: its body, and the headers that belong to it.
pub(in crate::http) struct Write {
    pub(in crate::http) body: Bytes,
    pub(in crate::http) idempotency: Option<Idempotency>,
    pub(in crate::http) if_match: Option<Vec<Seq>>,
    pub(in crate::http) traceparent: Option<String>,
}

/// The longest body that is read, in bytes. A longer one is refused with 413.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct BodyLimit(pub(in crate::http) usize);

impl<S: Send + Sync> FromRequest<S> for Write
where
    BodyLimit: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let BodyLimit(limit) = BodyLimit::from_ref(state);
        let (parts, body) = request.into_parts();
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::unauthorized)?;
        let if_match = conditions::for_write(&parts.headers)?;
        // Before the body is read: a client that waits for 100 Continue then need not send it.
        if !usize::try_from(body.size_hint().lower()).is_ok_and(|lower| lower <= limit) {
            return Err(Problem::too_large(limit));
        }
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Problem::too_large(limit)),
            Err(error) if SlowBody::caused(&*error) => return Err(Problem::slow_body()),
            Err(_) => return Err(Problem::malformed("The body ended early.")),
        };
        let idempotency = idempotency::of(&parts, &body, &caller.origin)?;
        Ok(Self { body, idempotency, if_match, traceparent: trace::parent(&parts.headers) })
    }
}

impl Write {
    /// The body as JSON. The content type is ignored, because clients send JSON under many names.
    pub(in crate::http) fn json(&self) -> Result<serde_json::Value, Problem> {
        if self.body.is_empty() {
            return Err(Problem::malformed("The body is empty; JSON is expected."));
        }
        input::parse(&self.body).map_err(|unreadable| Problem::malformed(unreadable.to_string()))
    }
}

/// The longest text that can be a lookup key, in bytes.
const MAX_KEY: usize = 1_024;

/// The record that a path names.
pub(in crate::http) struct NamedTarget(pub(in crate::http) Target);

impl<S: Send + Sync> FromRequestParts<S> for NamedTarget {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(identifier) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::malformed("The identifier in the path is not UTF-8."))?;
        Ok(Self(target(&identifier, parts.uri.path())))
    }
}

/// A path names a record by its uid, else by its lookup key.
fn target(identifier: &str, raw: &str) -> Target {
    match parse_uid(identifier) {
        Some(uid) => Target::Uid(uid),
        None => Target::Key(readings(identifier, raw).iter().map(|text| normalize_key(text)).collect()),
    }
}

/// The readings of a path's last step, or of that before `/history` or `/erase`: the text as it stands and, if the path has an
/// unescaped `+`, the text with spaces for it.
pub(in crate::http) fn readings(identifier: &str, raw_path: &str) -> Vec<String> {
    // PostgreSQL stores no NUL and no key is this long, so neither names a record.
    if identifier.contains('\0') || identifier.len() > MAX_KEY {
        return Vec::new();
    }
    let of_record = ["/history", "/erase"].iter().find_map(|suffix| raw_path.strip_suffix(suffix));
    let raw_path = of_record.unwrap_or(raw_path);
    let raw = raw_path.rsplit('/').next().filter(|raw| raw.contains('+')).map(|raw| raw.replace('+', "%20"));
    // Escaped characters keep their meaning: in `C%2B%2B+Labs` only the last plus is a space.
    let spaced = raw.and_then(|raw| percent_decode_str(&raw).decode_utf8().ok().map(Cow::into_owned));
    [identifier.to_owned()].into_iter().chain(spaced).collect()
}

/// The query of a request, decoded, in its order.
pub(in crate::http) struct Query {
    pairs: Vec<(String, String)>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.uri))
    }
}

impl Query {
    pub(in crate::http) fn of(uri: &Uri) -> Self {
        // An absent query has no pairs, as an empty one.
        let query = uri.query().unwrap_or_default().as_bytes();
        Self { pairs: url::form_urlencoded::parse(query).into_owned().collect() }
    }

    /// A parameter's value. An empty value counts as absent.
    pub(in crate::http) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(in crate::http) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    pub(in crate::http) fn number<N: FromStr + PartialOrd + fmt::Display>(
        &self,
        name: &str,
        range: RangeInclusive<N>,
        default: N,
    ) -> Result<N, Invalid> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let number = value.trim().parse().ok().filter(|number| range.contains(number));
        let detail = || format!("Must be a whole number from {} to {}.", range.start(), range.end());
        number.ok_or_else(|| Invalid::new(name, detail()))
    }

    pub(in crate::http) fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(value::flag) == Some(true)
    }

    /// A timestamp with its offset. A space can only be a `+` that was not escaped.
    pub(in crate::http) fn timestamp(&self, name: &str) -> Result<Option<Timestamp>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let detail = "Must be an RFC 3339 date-time with an offset, such as 2026-11-24T03:00:00+00:00.";
        timestamp::parse(&value.replace(' ', "+")).map(Some).ok_or_else(|| Invalid::new(name, detail))
    }
}
