//! Sending events again: from a time or an event on, with its progress.

use std::sync::Arc;

use axum::extract::{Path, State};
use uuid::Uuid;

use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::form::{FieldErrors, Form};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::rates::log_end;
use super::replay_range::ReplayRange;
use super::{TITLE, detail, dialogs, path, refused, request, unread};
use crate::domain::{Seq, ValidationErrors};
use crate::push::service::{EndpointError, EndpointView, LogPosition};

pub(in crate::console) async fn start(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
    form: Form,
) -> PageResult {
    let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
    let range = match range(&console, &session, &form).await? {
        Ok(range) => range,
        Err(errors) => return invalid(&console, &session, &view, &form, &errors).await,
    };
    // An open end would run on for ever; events after it are delivered as usual.
    let to = form.filled("to").map(|_| LogPosition::Event(range.through));
    let from = Some(LogPosition::Event(range.after));
    let errors = ValidationErrors::default();
    let result = console.endpoints.replay(&request(&session, None), id, (from, to), errors, |_| unread()).await;
    match result {
        Ok(_) => {
            let flash = Flash::success("These events will be sent again, with the same webhook-id.");
            Ok(session.redirect(&format!("{}?replay={range}", path(id)), flash))
        }
        Err(EndpointError::Invalid(errors)) => {
            let mut fields = FieldErrors::default();
            for error in errors.into_list() {
                fields.add(error.pointer.trim_start_matches("#/"), error.detail);
            }
            invalid(&console, &session, &view, &form, &fields).await
        }
        Err(error) => Err(refused(error)),
    }
}

/// The range that a form names. Its end is the end of the log where the form names none.
async fn range(
    console: &Console,
    session: &SessionState,
    form: &Form,
) -> Result<Result<ReplayRange, FieldErrors>, PageError> {
    let end = log_end(console, session).await?;
    let mut errors = FieldErrors::default();
    let number =
        |field: &str| form.filled(field).map(|text| text.parse::<i64>().ok().filter(|seq| (1..=end.0).contains(seq)));
    let after = if form.text("by") == "event" {
        let first = number("from").flatten();
        if first.is_none() {
            errors.add("from", format!("Enter the number of an event of the log, from 1 to {end}."));
        }
        first.map(|first| Seq(first - 1))
    } else {
        let at = text::input_time(form.text("time")).filter(|at| *at <= console.clock.now());
        if at.is_none() {
            errors.add("time", "Choose a time that is over.");
        }
        match at {
            Some(at) => Some(console.store.seq_at(session.account, at).await?),
            None => None,
        }
    };
    let through = number("to");
    if through == Some(None) {
        errors.add("to", format!("Enter the number of an event of the log, up to {end}, or nothing."));
    }
    let through = through.flatten().map_or(end, Seq);
    let is_empty = errors.is_empty() && after.is_some_and(|after| after >= through);
    if is_empty {
        errors.add(if form.text("by") == "event" { "from" } else { "time" }, "There is no event in this range.");
    }
    Ok(match after {
        Some(after) if errors.is_empty() => Ok(ReplayRange { after, through }),
        Some(_) | None => Err(errors),
    })
}

async fn invalid(
    console: &Console,
    session: &SessionState,
    view: &EndpointView,
    form: &Form,
    errors: &FieldErrors,
) -> PageResult {
    let shown =
        detail::Shown { opened: Some(dialogs::replay(session, view, form, errors)), ..detail::Shown::default() };
    Ok(session.invalid_page(Nav::PushEndpoints, TITLE, detail::content(console, session, view, &shown).await?))
}
