//! Refusals as RFC 9457 problems. The status of an error is chosen in this file alone.
//!
//! Beside the members of the RFC every problem has `success: false` and `message`, which existing clients read. A
//! problem is rendered by the outermost layer, which knows the request's path (`instance`).

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use serde_json::{Value as Json, json};

use crate::clock::Clock;
use crate::command::Failure;
use crate::contract::record::{Ending, ending};
use crate::domain::{Entity, Invalid, Refusal, Seq, ValidationErrors};
use crate::keys::AuthError;
use crate::store::StoreError;

/// The media type of a problem.
const PROBLEM_JSON: &str = "application/problem+json";

/// The errors that `detail` names. Further ones are counted there, and listed in `errors`.
const MAX_LISTED: usize = 5;

/// Marks a response that is the stored one of an earlier request.
pub(in crate::http) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request that was refused or failed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    /// Members that the RFC does not define.
    extra: Vec<(&'static str, Json)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, kind: "about:blank", title, detail: detail.into(), extra: Vec::new(), headers: Vec::new() }
    }

    pub(in crate::http) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Malformed request", detail)
    }

    pub(in crate::http) fn unauthorized() -> Self {
        let detail = "X-Public-ID and X-Secret-Key must name an account and one of its keys.";
        Self::new(StatusCode::UNAUTHORIZED, "Not authenticated", detail)
    }

    pub(in crate::http) fn test_credentials() -> Self {
        let detail = "The test credentials only read sample data: they cannot write or follow a stream. Use the keys of an account.";
        Self::new(StatusCode::UNAUTHORIZED, "Not authenticated", detail)
    }

    pub(in crate::http) fn read_only() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Read-only key", "This key may read only; nothing was changed.")
    }

    pub(in crate::http) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", "There is no such resource.")
    }

    /// The problem that a response carries, or that a client error of another media type stands for; nothing for a success
    /// and for a rendered problem.
    pub(in crate::http) fn of(response: &mut Response) -> Option<Self> {
        if let Some(problem) = response.extensions_mut().remove() {
            return Some(problem);
        }
        // axum's response to a method that a route does not have.
        if response.status() == StatusCode::METHOD_NOT_ALLOWED && !is_rendered(response) {
            return Some(Self::method_not_allowed(response.headers().get(ALLOW).cloned()));
        }
        // axum's responses to paths and queries that it cannot read.
        let bare = response.status().is_client_error() && !is_rendered(response);
        bare.then(|| Self::malformed("The request's path or query cannot be read."))
    }

    fn method_not_allowed(allow: Option<HeaderValue>) -> Self {
        let detail = "This resource does not take this method; Allow lists those that it takes.";
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail);
        problem.headers.extend(allow.map(|allow| (ALLOW, allow)));
        problem
    }

    pub(in crate::http) fn missing(what: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", format!("No matching {what} was found."))
    }

    /// A record was requested as it was before it existed.
    pub(in crate::http) fn not_created(what: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", format!("The {what} did not exist then: it was created later."))
    }

    pub(in crate::http) fn too_large(limit: usize) -> Self {
        let detail = format!("The body must have at most {limit} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Body too large", detail)
    }

    pub(in crate::http) fn invalid(errors: &[Invalid]) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation failed", in_one_sentence(errors));
        problem.extra.push(("errors", json!(errors)));
        problem
    }

    /// Refuses a list of which no item could be carried out; `data` has the reason of each item.
    pub(in crate::http) fn no_item_managed(data: &[Json]) -> Self {
        let errors: Vec<Json> = data.iter().enumerate().flat_map(|(index, item)| item_errors(index, item)).collect();
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Validation failed", "No item was managed.");
        problem.extra.push(("errors", json!(errors)));
        problem.extra.push(("data", json!(data)));
        problem
    }

    /// The result of one item of a list.
    pub(in crate::http) fn item(self, index: usize) -> Json {
        let mut item = json!({"index": index, "success": false, "message": self.detail});
        if let Json::Object(members) = &mut item {
            members.extend(self.extra.into_iter().map(|(key, value)| (key.to_owned(), value)));
        }
        item
    }

    pub(in crate::http) fn resync() -> Self {
        let detail = "The log was restored after this cursor was issued. Synchronise again from the lists.";
        let mut problem = Self::new(StatusCode::GONE, "Resync required", detail);
        problem.kind = "/problems/resync-required";
        problem
    }

    /// 429, which clients know from rate limits: they wait and retry.
    pub(in crate::http) fn too_many_sessions(detail: String) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many streams or long polls", detail);
        problem.kind = "/problems/too-many-sessions";
        problem.headers.push((RETRY_AFTER, HeaderValue::from_static("5")));
        problem
    }

    pub(in crate::http) fn unavailable(detail: &'static str) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service unavailable", detail);
        problem.headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
        problem
    }

    /// The body of a request did not arrive in time.
    pub(in crate::http) fn slow_body() -> Self {
        Self::slow("The request's body arrived too slowly; nothing was changed.")
    }

    /// The head of a request began and did not end in time.
    pub(in crate::http) fn slow_head() -> Self {
        Self::slow("The request's head arrived too slowly.")
    }

    fn slow(detail: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "Request timeout", detail)
    }

    /// A transfer coding that the service does not support (RFC 9112, 6.1).
    pub(in crate::http) fn unknown_coding() -> Self {
        let detail = "Transfer-Encoding must be chunked, and nothing before it.";
        Self::new(StatusCode::NOT_IMPLEMENTED, "Not implemented", detail)
    }

    pub(in crate::http) fn too_many_connections() -> Self {
        Self::unavailable("Too many connections are open from this address. Close some, or send requests over fewer.")
    }

    pub(in crate::http) fn long_target() -> Self {
        let detail = "The request's path and query must have at most 32768 bytes.";
        Self::new(StatusCode::URI_TOO_LONG, "URI too long", detail)
    }

    /// A head that the HTTP library could not parse, by the status that the library chose.
    pub(in crate::http) fn unreadable_head(status: u16) -> Self {
        match status {
            414 => Self::long_target(),
            431 => {
                let detail = "The request's head must have at most 65536 bytes and 100 header fields.";
                Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request header fields too large", detail)
            }
            _ => Self::malformed("The request cannot be parsed: its first line or a header field is not HTTP/1.1."),
        }
    }

    /// `writes` says that the request may have changed something before it was ended.
    pub(in crate::http) fn too_slow(writes: bool) -> Self {
        Self::unavailable(if writes {
            "The request took too long, and the result of the write is not known. Retry with the same Idempotency-Key, or \
             read the record first."
        } else {
            "The request took too long. Retry in a few seconds."
        })
    }

    pub(in crate::http) fn no_slot() -> Self {
        Self::unavailable("Too many deliveries are in flight. Retry in a few seconds.")
    }

    pub(in crate::http) fn no_database() -> Self {
        Self::unavailable("The service cannot reach its database. Retry in a few seconds.")
    }

    /// The account runs as many searches as it may. 503 as for a full lane, and not 429: the account is within its rate
    /// limits, and the same request succeeds a moment later.
    fn too_many_searches() -> Self {
        let detail = "Too many searches of this account are running. Retry in a moment, with fewer at once.";
        Self { kind: "/problems/too-many-searches", ..Self::unavailable(detail) }
    }

    fn search_too_slow() -> Self {
        let detail =
            "The search took too long and was ended. Use a narrower filter, or the default order without a filter.";
        Self { kind: "/problems/search-too-slow", ..Self::unavailable(detail) }
    }

    /// Has no `Retry-After`: a retry does not help before the operator has acted.
    pub(in crate::http) fn no_master_key() -> Self {
        let detail = "Secrets of endpoints are stored sealed, and there is no key to seal them with. The operator must set \
                      secrets.master_keys.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "No master key", detail)
    }

    /// Has no `Retry-After`: a retry does not help before the operator has acted.
    pub(in crate::http) fn unknown_tier() -> Self {
        let detail = "The limits of this account's tier are not configured. The operator must add the tier to quota.tiers, \
                      or move the account to another one.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unknown tier", detail)
    }

    /// `policy` is the name, in `RateLimit-Policy`, of the limit that is used up.
    pub(in crate::http) fn quota_exceeded(policy: &'static str, detail: String, retry_after_s: u64) -> Self {
        let mut problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Quota exceeded", detail);
        problem.kind = "https://iana.org/assignments/http-problem-types#quota-exceeded";
        problem.extra.push(("violated-policies", json!([policy])));
        problem.headers.push((RETRY_AFTER, HeaderValue::from(retry_after_s)));
        problem
    }

    pub(in crate::http) fn internal() -> Self {
        let detail = "The request failed; nothing was changed. The reason is in the log of the service.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal error", detail)
    }

    pub(in crate::http) fn replayed(mut self, replayed: bool) -> Self {
        if replayed {
            self.headers.push((REPLAYED, HeaderValue::from_static("true")));
        }
        self
    }

    /// Whether this is the stored response of an earlier request.
    pub(in crate::http) fn is_replayed(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == REPLAYED)
    }

    /// Whether a record is missing, which an account may choose to receive as a success.
    pub(in crate::http) fn is_missing_record(&self) -> bool {
        matches!(self.status, StatusCode::NOT_FOUND | StatusCode::GONE)
    }

    /// The status as a number.
    pub(in crate::http) fn status_code(&self) -> u16 {
        self.status.as_u16()
    }

    /// An operation of an atomic batch in which another one failed.
    pub(in crate::http) fn not_applied() -> Self {
        let detail = "Not applied, because another operation of the atomic batch failed.";
        Self::new(StatusCode::FAILED_DEPENDENCY, "Not applied", detail)
    }

    /// The members of a problem inside a successful response.
    pub(in crate::http) fn members(&self) -> Json {
        let status = self.status.as_u16();
        let mut body = json!({"type": self.kind, "title": self.title, "status": status, "detail": self.detail});
        if let Json::Object(members) = &mut body {
            members.extend(self.extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        }
        body
    }

    /// The status, as a metric's label.
    pub(in crate::http) fn status_text(&self) -> &str {
        self.status.as_str()
    }

    /// The whole HTTP message, for connections on which the HTTP library writes no response. The connection closes
    /// after it.
    pub(in crate::http) fn message(&self, instance: &str) -> Vec<u8> {
        let body = self.body(instance);
        let reason = self.status.canonical_reason().unwrap_or(self.title);
        let date = httpdate::fmt_http_date(Clock::system().now().into());
        let own = self.headers.iter().filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value.to_str().ok()?)));
        let own: String = own.collect();
        format!(
            "HTTP/1.1 {} {reason}\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\nx-content-type-options: \
             nosniff\r\n{own}connection: close\r\ndate: {date}\r\n\r\n{body}",
            self.status.as_str(),
            body.len(),
        )
        .into_bytes()
    }

    /// The response to a request of this path.
    pub(in crate::http) fn render(&self, instance: &str) -> Response {
        let mut response = (self.status, self.body(instance)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }

    fn body(&self, instance: &str) -> String {
        let mut body = json!({
            "type": self.kind,
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": instance,
            "success": false,
            "message": self.detail,
        });
        if let Json::Object(members) = &mut body {
            members.extend(self.extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        }
        body.to_string()
    }
}

/// The first [`MAX_LISTED`] errors as one sentence; `errors` lists all.
fn in_one_sentence(errors: &[Invalid]) -> String {
    let listed: Vec<String> =
        errors.iter().take(MAX_LISTED).map(|error| sentence(error).trim_end_matches('.').to_owned()).collect();
    let more = errors.len().saturating_sub(MAX_LISTED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}.", listed.join("; "))
}

/// The errors of one item, with pointers into the whole list: `#/2/email`.
fn item_errors(index: usize, item: &Json) -> Vec<Json> {
    let errors = item.get("errors").and_then(Json::as_array).into_iter().flatten();
    let pointer = |error: &Json| {
        let below = error.get("pointer").and_then(Json::as_str).unwrap_or("#").trim_start_matches('#').to_owned();
        format!("#/{index}{below}")
    };
    errors.map(|error| json!({"pointer": pointer(error), "detail": error.get("detail")})).collect()
}

/// `#/email` and "Is required." as one sentence: "email is required."
fn sentence(invalid: &Invalid) -> String {
    let field = invalid.pointer.trim_start_matches(['#', '/']);
    // A detail that names its subject is a sentence already.
    if field.is_empty() || !matches!(invalid.detail.split(' ').next(), Some("Is" | "Must" | "Can")) {
        return invalid.detail.clone();
    }
    let mut detail = invalid.detail.chars();
    let first: String = detail.next().map(|first| first.to_ascii_lowercase()).into_iter().collect();
    format!("{field} {first}{}", detail.as_str())
}

/// Whether a response has a body for its client: a problem, or a page of the console.
fn is_rendered(response: &Response) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == PROBLEM_JSON || kind.as_bytes().starts_with(b"text/html"))
}

impl IntoResponse for Problem {
    /// A bare status that carries the problem; the outermost layer calls [`Problem::render`].
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(entity) => Self::missing(entity.noun()),
            Refusal::Gone { entity, deleted_seq, merged_into } => {
                let mut problem = gone(entity, deleted_seq.0);
                problem.extra.extend(merged_into.map(|uid| ("merged_into", json!(uid))));
                problem
            }
            Refusal::Ambiguous { entity, uids } => {
                let detail = format!("More than one {} matches. Merge them, or name one by its uid.", entity.noun());
                let mut problem = Self::new(StatusCode::CONFLICT, "Ambiguous match", detail);
                problem.kind = "/problems/ambiguous-match";
                problem.extra.push(("uids", json!(uids)));
                problem
            }
            Refusal::Concurrent { entity, version, fields } => {
                let detail = format!(
                    "Another system changed this {} after your base: {}. Read it and decide again.",
                    entity.noun(),
                    fields.join(", ")
                );
                let mut problem = Self::new(StatusCode::CONFLICT, "Concurrent change", detail);
                problem.kind = "/problems/concurrent-change";
                problem.extra.push(("version", json!(version)));
                problem.extra.push(("fields", json!(fields)));
                problem
            }
            Refusal::Stale { version } => {
                let detail = format!("If-Match does not name the current version, which is {version}.");
                Self::new(StatusCode::PRECONDITION_FAILED, "Precondition failed", detail)
            }
            Refusal::Invalid(errors) => Self::invalid(&errors),
            Refusal::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Idempotency key reused",
                "This Idempotency-Key was used before with another request.",
            ),
        }
    }
}

/// A deleted record that was requested by its uid.
pub(in crate::http) fn gone(entity: Entity, deleted_seq: i64) -> Problem {
    let detail =
        format!("This {} was {}.", entity.noun(), if entity == Entity::CustomField { "archived" } else { "deleted" });
    let mut problem = Problem::new(StatusCode::GONE, "Gone", detail);
    problem.extra.push(("deleted_seq", json!(deleted_seq)));
    problem
}

/// A tombstone that was requested by its uid; says whether it was merged or erased.
pub(in crate::http) fn gone_record(entity: Entity, version: Seq, record: &str) -> Problem {
    let mut problem = gone(entity, version.0);
    match ending(record) {
        Ok(Ending { merged_into: Some(into), .. }) => {
            problem.detail = format!("This {} was merged into another one.", entity.noun()).into();
            problem.extra.push(("merged_into", json!(into)));
        }
        Ok(Ending { erased: true, .. }) => problem.detail = format!("This {} was erased.", entity.noun()).into(),
        Ok(_) => {}
        Err(error) => tracing::error!(error = %error, "read tombstone failed"),
    }
    problem
}

impl From<ValidationErrors> for Problem {
    fn from(errors: ValidationErrors) -> Self {
        Self::invalid(&errors.into_list())
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { refusal, replayed } => Self::from(refusal).replayed(replayed),
            Failure::StepRefused { refusal, .. } => Self::from(refusal),
            Failure::NoAccount => Self::unauthorized(),
            Failure::Full => {
                Self::unavailable("Too many writes are waiting; nothing was changed. Retry in a few seconds.")
            }
            Failure::Unavailable => Self::unavailable(
                "The result of the write is not known. Retry with the same Idempotency-Key, or read the record first.",
            ),
            Failure::Broken => Self::internal(),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Unauthorized => Self::unauthorized(),
            AuthError::NoDatabase => Self::no_database(),
            AuthError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            // Metrics count these two. They are not logged, because a caller could fill the log with them.
            StoreError::Busy => return Self::too_many_searches(),
            StoreError::TimedOut(_) => return Self::search_too_slow(),
            StoreError::Locked(_) => {
                tracing::warn!(error = error.report(), "request failed");
                return Self::unavailable(
                    "A concurrent change holds a lock that this one needs; nothing was changed. Retry in a few seconds.",
                );
            }
            StoreError::Unavailable(_)
            | StoreError::Aborted(_)
            | StoreError::Refused(_)
            | StoreError::Corrupt { .. } => {}
        }
        if error.is_transient() {
            tracing::warn!(error = %error, "request failed");
            return Self::no_database();
        }
        tracing::error!(error = error.report(), "request failed");
        Self::internal()
    }
}
