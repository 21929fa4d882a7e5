//! Requests that get no page of their own: the status and the words of each error. The only file of the console that chooses
//! a status.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::store::StoreError;
use crate::users::UserError;

/// The result of a handler.
pub(crate) type PageResult = Result<Response, PageError>;

/// A request that gets an error instead of its page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// There is no session: sign in, then return to `next`.
    #[error("not signed in")]
    SignIn { next: Option<String> },
    /// There is no such page, or the visitor may not know of it.
    #[error("no such page")]
    Missing,
    /// The form does not come from a page of this session.
    #[error("the form has no valid token")]
    Forged,
    /// The body has more than this many bytes.
    #[error("the body is too large")]
    TooLarge(usize),
    /// The request cannot be read, or names something that cannot be; with a sentence for the visitor.
    #[error("{0}")]
    Invalid(String),
    /// Too much is going on; with a sentence for the visitor.
    #[error("{0}")]
    Busy(String),
    /// The database refused or failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// A state that should not exist. It is logged where it is noticed.
    #[error("internal error")]
    Internal,
}

impl PageError {
    /// A failure that should not happen, logged with its cause.
    pub(crate) fn internal(error: &anyhow::Error) -> Self {
        tracing::error!(error = format!("{error:#}"), "console request failed");
        Self::Internal
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn words(&self) -> (&'static str, String) {
        match self {
            Self::SignIn { .. } => ("Sign in", "Sign in to see this page.".to_owned()),
            Self::Missing => ("Page not found", "There is no such page, or it is not open to your role.".to_owned()),
            Self::Forged => (
                "Please try again",
                "This form was opened in another session. Go back, reload the page, and send it again.".to_owned(),
            ),
            Self::TooLarge(limit) => ("Too large", format!("At most {} KiB can be sent here.", limit / 1_024)),
            Self::Invalid(text) => ("This cannot be done", text.clone()),
            Self::Busy(text) => ("Please try again", text.clone()),
            Self::Store(error) if error.is_transient() => {
                ("Please try again", "The database cannot be reached. Try again in a few seconds.".to_owned())
            }
            Self::Store(_) | Self::Internal => (
                "Something went wrong",
                "The request failed and nothing was changed. The reason is in the log of the service.".to_owned(),
            ),
        }
    }
}

/// The same page with the status of a form whose fields have errors.
pub(super) fn unprocessable(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

/// The same page with the status of too many attempts.
pub(super) fn too_many(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response
}

impl From<UserError> for PageError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Store(error) => Self::Store(error),
            UserError::Busy(_) => Self::Busy("Too many people are signing in. Try again in a few seconds.".to_owned()),
            UserError::Invalid { message, .. } => Self::Invalid(message.to_owned()),
            UserError::Missing => Self::Missing,
            UserError::LastSuperAdmin => {
                Self::Invalid("The account must keep one Super Admin. Make somebody else one first.".to_owned())
            }
            UserError::DeadLink => Self::Invalid("This link was used before, or has expired. Ask for another one.".to_owned()),
            UserError::NoMasterKey => Self::Invalid(
                "Secrets are stored sealed, and there is no key to seal them with. The operator must set secrets.master_keys."
                    .to_owned(),
            ),
        }
    }
}

impl IntoResponse for PageError {
    /// A bare response that carries the error; the guard renders it.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
