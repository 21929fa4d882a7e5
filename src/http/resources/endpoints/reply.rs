//! Requests and responses of the endpoint service.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;

use super::HandlerResult;
use crate::audited::{Rendered, WriteRequest};
use crate::domain::Refusal;
use crate::http::request::caller::Caller;
use crate::http::request::extract::Write;
use crate::http::response::envelope;
use crate::http::response::problem::Problem;
use crate::http::response::replayed::mark_replayed;
use crate::push::service::EndpointError;

/// A request that was not executed: it was before, or it is refused.
pub(in crate::http) enum EndpointRefusal {
    Repeated(Rendered),
    Refused(Box<Problem>),
}

impl IntoResponse for EndpointRefusal {
    fn into_response(self) -> Response {
        match self {
            Self::Repeated(rendered) => {
                let mut response = response(rendered);
                mark_replayed(&mut response);
                response
            }
            Self::Refused(problem) => problem.into_response(),
        }
    }
}

impl From<Problem> for EndpointRefusal {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl From<EndpointError> for EndpointRefusal {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Repeated(rendered) => return Self::Repeated(rendered),
            EndpointError::Invalid(errors) => errors.into(),
            EndpointError::NotFound => Problem::missing("endpoint"),
            EndpointError::NotParked => Problem::missing("parked event"),
            EndpointError::NoAccount => Problem::unauthorized(),
            EndpointError::KeyReused => Refusal::KeyReused.into(),
            EndpointError::NoMasterKey => Problem::no_master_key(),
            EndpointError::NoPermit => Problem::no_slot(),
            EndpointError::Store(error) => error.into(),
            EndpointError::Internal(error) => {
                tracing::error!(error = format!("{error:#}"), "endpoint request failed");
                Problem::internal()
            }
        }
        .into()
    }
}

/// The caller of a change. `actor` is the key's id as text.
pub(super) fn write_request<'a>(caller: &'a Caller, actor: &'a str, write: &'a Write) -> WriteRequest<'a> {
    WriteRequest {
        account: caller.account,
        actor,
        origin: &caller.origin,
        address: None,
        idempotency: write.idempotency.as_ref(),
    }
}

/// The response to a change.
pub(super) fn reply(result: Result<Rendered, EndpointError>) -> HandlerResult {
    Ok(response(result?))
}

fn response(rendered: Rendered) -> Response {
    let created = rendered.status == StatusCode::CREATED.as_u16();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    envelope::json_text(status, rendered.body)
}
