//! Adding and deleting durable consumers on NATS: readers that keep their position.

use std::sync::Arc;

use super::super::super::error::PageResult;
use super::super::super::flash::Flash;
use super::super::super::form::{FieldErrors, Form};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::consumer_list::{add_dialog, listed, refused};
use super::{HERE, TITLE, overview};
use crate::audited::{Rendered, WriteRequest};
use crate::console::ORIGIN;
use crate::domain::{Entity, ValidationErrors};
use crate::gateway::consumers::{ConsumerError, ConsumerInput, MAX_NAME, StartPosition, is_name};
use axum::extract::{Path, State};

pub(in crate::console) async fn create(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let mut errors = FieldErrors::default();
    if !is_name(form.text("name")) {
        let rule = format!("Use 1 to {MAX_NAME} of a to z, 0 to 9, - and _, beginning with a letter or a digit.");
        errors.add("name", rule);
    }
    let entity = form.filled("entity").map(Entity::from_name);
    if entity == Some(None) {
        errors.add("entity", "Choose one of the list.");
    }
    if !errors.is_empty() {
        return invalid(&console, &session, &form, &errors).await;
    }
    let from = if form.text("from") == "start" { StartPosition::Start } else { StartPosition::Now };
    let input = ConsumerInput {
        name: form.text("name").to_owned(),
        entity: entity.flatten(),
        from,
        errors: ValidationErrors::default(),
    };
    match console.consumers.create(&request(&session), input, |_| unread()).await {
        Ok(_) => {
            Ok(session.redirect(HERE, Flash::success("The consumer was added. Its position is kept from now on.")))
        }
        Err(ConsumerError::Invalid(invalid_fields)) => {
            for error in invalid_fields.into_list() {
                let field = if error.pointer == "#/name" { "name" } else { "form" };
                errors.add(field, error.detail);
            }
            invalid(&console, &session, &form, &errors).await
        }
        Err(error) => Err(refused(error)),
    }
}

pub(in crate::console) async fn delete(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(name): Path<String>,
) -> PageResult {
    console.consumers.delete(&request(&session), &name, unread).await.map_err(refused)?;
    Ok(session.redirect(HERE, Flash::success("The consumer was deleted. Nobody can read by it any more.")))
}

fn request(session: &SessionState) -> WriteRequest<'_> {
    WriteRequest {
        account: session.account,
        actor: &session.email,
        origin: ORIGIN,
        address: session.visitor.address.0,
        idempotency: None,
    }
}

fn unread() -> Rendered {
    Rendered { status: 200, body: "{}".to_owned() }
}

async fn invalid(console: &Console, session: &SessionState, form: &Form, errors: &FieldErrors) -> PageResult {
    let listed = listed(console, session).await?;
    let opened = Some(add_dialog(session, form, errors));
    let content = overview::content(console, session, &Form::default(), &listed, opened).await?;
    Ok(session.invalid_page(Nav::Sync, TITLE, content))
}
