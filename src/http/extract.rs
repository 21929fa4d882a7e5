//! Reading requests: bodies as JSON whatever their content type says, identifiers, conditions, parameters.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use hyper::{HeaderMap, Uri};
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

use super::Api;
use super::auth::Caller;
use super::problem::Problem;
use crate::command::Idempotency;
use crate::contract::record::parse_uid;
use crate::contract::{input, moment};
use crate::domain::record::fold_key;
use crate::domain::{Invalid, Seq, Target, Timestamp};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::unauthorized)
    }
}

/// A write: its body, and what the request says around it.
pub(super) struct Write {
    pub(super) body: Bytes,
    pub(super) idempotency: Option<Idempotency>,
    pub(super) if_match: Option<Vec<Seq>>,
    pub(super) traceparent: Option<String>,
}

impl FromRequest<Arc<Api>> for Write {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let limit = api.config.http.body_limit_bytes;
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Problem::too_large(limit)),
            Err(_) => return Err(Problem::malformed("The body ended early.")),
        };
        let idempotency = idempotency(&parts, &body)?;
        Ok(Self {
            body,
            idempotency,
            if_match: versions(&parts.headers, &IF_MATCH),
            traceparent: text(&parts.headers, &TRACEPARENT).filter(|text| is_traceparent(text)).map(str::to_owned),
        })
    }
}

impl Write {
    /// The body as JSON. Its content type is not looked at: clients send JSON under many names.
    pub(super) fn json(&self) -> Result<serde_json::Value, Problem> {
        if self.body.is_empty() {
            return Err(Problem::malformed("The body is empty; JSON is expected."));
        }
        input::parse(&self.body).map_err(|unreadable| Problem::malformed(unreadable.to_string()))
    }
}

/// Version 00 of W3C Trace Context (3.2.2): four fields of hexadecimal digits. Anything else is not passed on.
fn is_traceparent(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([2, 32, 16, 2]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn idempotency(parts: &Parts, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    // The draft wants a quoted string (RFC 9651, 3.3.3), most clients send it bare.
    let key = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if key.is_empty() || key.len() > 255 {
        let detail = "Idempotency-Key must be 1 to 255 visible ASCII characters.";
        return Err(Problem::malformed(detail));
    }
    let mut hash = Sha256::new();
    hash.update(parts.method.as_str());
    hash.update([0]);
    hash.update(parts.uri.path());
    hash.update([0]);
    hash.update(body);
    Ok(Some(Idempotency { key: key.to_owned(), request_hash: hash.finalize().into() }))
}

/// The versions that a condition names (RFC 9110, 13.1.1); `None` where it is absent or `*`.
fn versions(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<Seq>> {
    let value = text(headers, name)?.trim();
    if value == "*" {
        return None;
    }
    // A weak tag never matches here, and what is no tag of ours matches nothing.
    let version = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Seq);
    Some(value.split(',').filter_map(version).collect())
}

/// Whether the client already has this version (RFC 9110, 13.1.2).
pub(super) fn has_version(headers: &HeaderMap, version: Seq) -> bool {
    has_tag(headers, &format!("\"{version}\""))
}

/// Whether the client already has what this entity tag, with its quotes, names (RFC 9110, 13.1.2).
pub(super) fn has_tag(headers: &HeaderMap, tag: &str) -> bool {
    let Some(value) = text(headers, &IF_NONE_MATCH) else { return false };
    value.split(',').any(|other| other.trim() == "*" || other.trim().trim_start_matches("W/") == tag)
}

/// The longest text that can be a lookup key, in bytes.
const LONGEST_KEY: usize = 1_024;

/// The record that a path names.
pub(super) struct Named(pub(super) Target);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(identifier) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::malformed("The identifier in the path is not UTF-8."))?;
        Ok(Self(target(&identifier, parts.uri.path())))
    }
}

/// How a path names a record: by its uid, else by its key.
fn target(identifier: &str, raw: &str) -> Target {
    match parse_uid(identifier) {
        Some(uid) => Target::Uid(uid),
        None => Target::Key(readings(identifier, raw).iter().map(|text| fold_key(text)).collect()),
    }
}

/// What the last step of a path may mean: the text literally or, where the path has a `+` as it stands (and not as
/// `%2B`), with a space for it.
pub(super) fn readings(identifier: &str, raw_path: &str) -> Vec<String> {
    // PostgreSQL takes no NUL, and no key is so long: neither names a record.
    if identifier.contains('\0') || identifier.len() > LONGEST_KEY {
        return Vec::new();
    }
    let raw = raw_path.rsplit('/').next().filter(|raw| raw.contains('+')).map(|raw| raw.replace('+', "%20"));
    // What is escaped stays what it is: in `C%2B%2B+Labs` only the last plus is a space.
    let spaced = raw.and_then(|raw| percent_decode_str(&raw).decode_utf8().ok().map(Cow::into_owned));
    [identifier.to_owned()].into_iter().chain(spaced).collect()
}

/// The query of a request, decoded, in order.
pub(super) struct Query {
    pairs: Vec<(String, String)>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::of(&parts.uri))
    }
}

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        Self { pairs: url::form_urlencoded::parse(query).into_owned().collect() }
    }

    /// A parameter's value; an empty one is as good as none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(key, _)| key == name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    pub(super) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
        default: i64,
    ) -> Result<i64, Invalid> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let number = value.trim().parse().ok().filter(|number| range.contains(number));
        let detail = || format!("Must be a whole number from {} to {}.", range.start(), range.end());
        number.ok_or_else(|| Invalid::new(name, detail()))
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    /// A moment with its offset. A space can only be a `+` that was not escaped.
    pub(super) fn moment(&self, name: &str) -> Result<Option<Timestamp>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let detail = "Must be an RFC 3339 date-time with an offset, such as 2026-11-24T03:00:00+00:00.";
        moment::parse(&value.replace(' ', "+")).map(Some).ok_or_else(|| Invalid::new(name, detail))
    }
}

/// Where the client believes that the service is: `http://host:port`.
pub(super) struct Origin(pub(super) String);

impl Origin {
    /// The host's name, without its port.
    pub(super) fn host(&self) -> &str {
        let authority = self.0.split_once("://").map_or(&*self.0, |(_, authority)| authority);
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        }
    }
}

impl FromRequestParts<Arc<Api>> for Origin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<super::server::Peer>().map(|peer| peer.0.ip());
        let trusted = peer.is_some_and(|ip| api.config.http.trusted_proxies.iter().any(|net| net.contains(&ip)));
        let forwarded = |name: &str| {
            let value = parts.headers.get(name).filter(|_| trusted)?.to_str().ok()?;
            value.split(',').next().map(str::trim)
        };
        let scheme = match forwarded("x-forwarded-proto") {
            Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let host = forwarded("x-forwarded-host")
            .or_else(|| text(&parts.headers, &hyper::header::HOST))
            .or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str))
            .unwrap_or("localhost");
        Ok(Self(format!("{scheme}://{host}")))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
