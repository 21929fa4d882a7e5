//! A write of this resource: one transaction, whose answer is remembered under the request's idempotency key.

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::EndpointsState;
use crate::command::IDEMPOTENCY_TTL;
use crate::contract::outcome::{CachedResponse, CommandOutcome};
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::{Refusal, Seq};
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;
use crate::push::own_headers;
use crate::store::StoreError;
use crate::store::audit::By;
use crate::store::endpoint_changes::{Opened, PushChange};
use crate::store::idempotency::IdempotencyRecord;

/// An open write. Dropped before it is finished, it leaves no trace.
pub(super) struct IdempotentWrite<'a> {
    state: &'a EndpointsState,
    caller: &'a Caller,
    write: &'a Write,
    pub(super) change: PushChange,
    /// The end of the log.
    pub(super) head: Seq,
}

/// What is answered to a write that was carried out.
pub(super) struct ResponseBody {
    pub(super) status: StatusCode,
    pub(super) message: &'static str,
    pub(super) data: Json,
}

impl ResponseBody {
    pub(super) fn ok(message: &'static str, data: Json) -> Self {
        Self { status: StatusCode::OK, message, data }
    }

    fn body(&self) -> String {
        envelope::text(self.message, &self.data.to_string(), &json!({}))
    }
}

/// Why a write is not carried out.
pub(in crate::http) enum WriteError {
    /// It was before, and this was answered.
    Answered(Box<Response>),
    Refused(Problem),
}

impl IntoResponse for WriteError {
    fn into_response(self) -> Response {
        match self {
            Self::Answered(response) => *response,
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl From<Problem> for WriteError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl<'a> IdempotentWrite<'a> {
    /// Opens a write that was not carried out before.
    pub(super) async fn open(
        state: &'a EndpointsState,
        caller: &'a Caller,
        write: &'a Write,
    ) -> Result<Self, WriteError> {
        let key = write.idempotency.as_ref();
        let keys: Vec<&str> = key.iter().flat_map(|key| [&*key.key, &*key.unscoped_key]).collect();
        let opened = state.store.change_push(caller.account, &keys, IDEMPOTENCY_TTL).await?;
        let Opened { change, head, idempotency_records } = opened.ok_or_else(Problem::unauthorized)?;
        let writing = Self { state, caller, write, change, head };
        let Some(key) = key else { return Ok(writing) };
        let is_same = |answer: &IdempotencyRecord| answer.request_hash == key.request_hash;
        // Another request under the unscoped key may be of another origin: then it says nothing of this one.
        let answer = idempotency_records.iter().find(|answer| answer.key == key.key);
        let Some(answer) = answer.or_else(|| idempotency_records.iter().find(|answer| is_same(answer))) else {
            return Ok(writing);
        };
        match &answer.outcome {
            CommandOutcome::CachedResponse(told) if is_same(answer) => {
                Err(WriteError::Answered(Box::new(writing.repeat(&answer.key, told)?)))
            }
            CommandOutcome::CachedResponse(_) | CommandOutcome::Done(_) | CommandOutcome::Refused(_) => {
                Err(Problem::from(Refusal::KeyReused).into())
            }
        }
    }

    /// The same, about one of the account's endpoints.
    pub(super) async fn of(
        state: &'a EndpointsState,
        caller: &'a Caller,
        write: &'a Write,
        endpoint: Uuid,
    ) -> Result<(Self, EndpointState), WriteError> {
        let writing = Self::open(state, caller, write).await?;
        let placed = writing.change.endpoint(endpoint).await?.ok_or_else(|| Problem::missing("endpoint"))?;
        Ok((writing, placed))
    }

    /// Writes an endpoint's settings, with everything sealed that can be.
    pub(super) async fn update(&self, endpoint: &mut Endpoint) -> Result<(), WriteError> {
        own_headers::seal(&self.state.masters, endpoint);
        Ok(self.change.update(endpoint).await?)
    }

    /// Commits, with an audit row of this action, and wakes whoever delivers.
    pub(super) async fn finish(self, action: &str, detail: &Json, said: ResponseBody) -> Result<Response, WriteError> {
        let actor = self.caller.key_id.to_string();
        let by = By { actor: &actor, at: self.state.clock.now() };
        let body = said.body();
        let answer = self.answer(&said, &body);
        self.change.commit(by, action, detail, answer).await?;
        self.state.feed.settings_changed(self.caller.account);
        self.state.broker.hints().written(&[self.caller.account]);
        Ok(envelope::json_text(said.status, body))
    }

    /// Remembers the answer to what was done elsewhere.
    pub(super) async fn remember(self, said: ResponseBody) -> Result<Response, WriteError> {
        let body = said.body();
        let answer = self.answer(&said, &body);
        self.change.commit_idempotency_record(answer).await?;
        Ok(envelope::json_text(said.status, body))
    }

    fn answer(&self, said: &ResponseBody, body: &str) -> Option<IdempotencyRecord> {
        let key = self.write.idempotency.as_ref()?;
        let kept = self.state.masters.seal(&self.belongs_to(&key.key), body.as_bytes());
        let kept = STANDARD.encode(kept.unwrap_or_else(|| body.as_bytes().to_vec()));
        Some(IdempotencyRecord {
            account: self.caller.account,
            key: key.key.clone(),
            request_hash: key.request_hash,
            outcome: CommandOutcome::CachedResponse(CachedResponse { status: said.status.as_u16(), kept }),
        })
    }

    /// The answer that was stored under this key, which it was sealed for.
    fn repeat(&self, key: &str, told: &CachedResponse) -> Result<Response, Problem> {
        let kept = STANDARD.decode(&told.kept).ok().and_then(|kept| {
            // A text begins with a brace, what is sealed with its version.
            if kept.starts_with(b"{") { Some(kept) } else { self.state.masters.open(&self.belongs_to(key), &kept) }
        });
        let body = kept.and_then(|kept| String::from_utf8(kept).ok()).ok_or_else(Problem::internal)?;
        let created = told.status == StatusCode::CREATED.as_u16();
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = envelope::json_text(status, body);
        mark_replayed(&mut response);
        Ok(response)
    }

    /// What a sealed answer is bound to.
    fn belongs_to(&self, key: &str) -> Vec<u8> {
        [self.caller.account.0.as_bytes(), key.as_bytes()].concat()
    }
}
