//! Integrations → Push Endpoints: the webhooks of an account.
//!
//! Everything is done by [`EndpointService`](crate::push::service::EndpointService), as for the API.

pub(in crate::console) mod actions;
pub(in crate::console) mod attempts;
pub(in crate::console) mod detail;
mod dialogs;
pub(in crate::console) mod edit;
mod example;
mod form;
pub(in crate::console) mod list;
mod rates;
pub(in crate::console) mod replay;
mod replay_range;
mod secret;
mod summary;

use maud::{Markup, html};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::super::components::{Icon, Tone, badge, csrf, icon};
use super::super::error::PageError;
use super::super::form::Form;
use super::super::session::SessionState;
use super::super::text;
use crate::audited::{Rendered, WriteRequest};
use crate::command::Idempotency;
use crate::console::ORIGIN;
use crate::domain::endpoint::EndpointStatus;
use crate::push::service::{EndpointError, EndpointView};
use crate::store::console::overview::MAX_COUNTED;

const TITLE: &str = "Push Endpoints";
const HERE: &str = "/console/integrations/push";

/// A live endpoint that is further behind than this catches up; a smaller number is that of deliveries in flight.
const CATCHING_UP: u64 = 100;

fn path(id: Uuid) -> String {
    format!("{HERE}/{id}")
}

fn request<'a>(session: &'a SessionState, idempotency: Option<&'a Idempotency>) -> WriteRequest<'a> {
    WriteRequest {
        account: session.account,
        actor: &session.email,
        origin: ORIGIN,
        address: session.visitor.address.0,
        idempotency,
    }
}

/// The field with which a form is sent once: sent again, by a reload or a second click, it gets the first result.
const ONCE: &str = "request";

/// The idempotency key of a form with the field [`ONCE`].
fn once(session: &SessionState, form: &Form, action: &str) -> Option<Idempotency> {
    let request: Uuid = form.get(ONCE)?.parse().ok()?;
    let key = format!("console:{}:{action}:{request}", session.user_id);
    Some(Idempotency { unscoped_key: key.clone(), request_hash: Sha256::digest(&key).into(), key })
}

/// A result that nobody reads.
fn unread() -> Rendered {
    Rendered { status: 200, body: "{}".to_owned() }
}

fn refused(error: EndpointError) -> PageError {
    match error {
        EndpointError::NotFound | EndpointError::NotParked | EndpointError::NoAccount => PageError::Missing,
        EndpointError::Invalid(errors) => {
            let details: Vec<String> = errors.into_list().into_iter().map(|invalid| invalid.detail).collect();
            PageError::Invalid(details.join(" "))
        }
        EndpointError::NoMasterKey => PageError::Invalid(
            "Signing secrets are stored sealed, and there is no key to seal them with. The operator must set \
             secrets.master_keys."
                .to_owned(),
        ),
        EndpointError::NoPermit => {
            PageError::Busy("Too many deliveries are in flight to send a test. Try again in a few seconds.".to_owned())
        }
        EndpointError::Store(error) => PageError::Store(error),
        EndpointError::Internal(error) => PageError::internal(&error),
        // A form that was sent before is answered by its page.
        EndpointError::Repeated(_) | EndpointError::KeyReused => {
            PageError::Invalid("This form was sent before. Go back and reload the page.".to_owned())
        }
    }
}

/// The state of an endpoint in a word. `pending` are the events that it has still to process.
fn state(view: &EndpointView, pending: u64) -> (Tone, &'static str) {
    let is_moving = view.has_commands || !view.processed.is_empty();
    match view.endpoint.status {
        EndpointStatus::Disabled => (Tone::Danger, "disabled"),
        EndpointStatus::Paused => (Tone::Neutral, "paused"),
        EndpointStatus::Live if is_failing(view) => (Tone::Danger, "failing"),
        EndpointStatus::Live if is_moving || pending > CATCHING_UP => (Tone::Info, "catching up"),
        EndpointStatus::Live => (Tone::Success, "live"),
    }
}

/// Whether deliveries to an endpoint fail at the moment.
fn is_failing(view: &EndpointView) -> bool {
    view.cursor.as_ref().is_some_and(|cursor| cursor.failing_since.is_some())
}

fn state_badge(view: &EndpointView, pending: u64) -> Markup {
    let (tone, word) = state(view, pending);
    badge(tone, word)
}

/// The button that does not wait for the next retry.
fn try_now(session: &SessionState, id: Uuid) -> Markup {
    html! {
        form method="post" action={ (path(id)) "/resume" } {
            (csrf(&session.token.csrf()))
            div.form-actions { button.button.primary type="submit" { (icon(Icon::Refresh)) "Try now" } }
        }
    }
}

/// How many events wait until somebody retries them; nothing where none does.
fn parked_badge(parked: u64) -> Markup {
    let more = if parked >= MAX_COUNTED.unsigned_abs() { "+" } else { "" };
    html! { @if parked > 0 { (badge(Tone::Warning, &format!("{}{more} parked", text::thousands(parked)))) } }
}

/// The name of an endpoint in messages: its description, or its URL.
fn name(view: &EndpointView) -> &str {
    let settings = &view.endpoint.settings;
    if settings.description.is_empty() { &settings.url } else { &settings.description }
}
