//! Sending events again: from a time or an event on, with its progress.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::super::components::dialog::dialog_actions;
use super::super::super::components::spark::progress;
use super::super::super::components::{ButtonStyle, Choice, Dialog, Field, csrf, dialog, radio_group, text_field};
use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::form::{FieldErrors, Form};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::{TITLE, detail, name, path, refused, request, unread};
use crate::domain::{Seq, ValidationErrors};
use crate::push::service::{EndpointError, EndpointView, LogPosition};

/// A range of the log that is sent again, in the page's address: `5-120` is after event 5, up to event 120.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReplayRange {
    after: Seq,
    through: Seq,
}

impl ReplayRange {
    pub(super) fn of(query: &Form) -> Option<Self> {
        let (after, through) = query.get("replay")?.split_once('-')?;
        let range = Self { after: Seq(after.parse().ok()?), through: Seq(through.parse().ok()?) };
        (Seq::ZERO <= range.after && range.after < range.through).then_some(range)
    }

    /// The progress of the endpoint through the range.
    pub(super) fn progress(self, view: &EndpointView) -> Markup {
        let length = |from: Seq, to: Seq| (to.0 - from.0).max(0).unsigned_abs();
        let all = length(self.after, self.through);
        // Until the command is applied the cursor stands where it stood before.
        let reached = view.cursor.as_ref().filter(|_| !view.has_commands).map_or(self.after, |cursor| cursor.seq);
        let done = length(self.after, reached).min(all);
        let label = if done == all {
            format!("Replay finished: {} sent again.", text::count(all, "event was", "events were"))
        } else {
            format!("Replaying: {} of {}", text::thousands(done), text::count(all, "event", "events"))
        };
        progress(&label, done, all)
    }
}

impl fmt::Display for ReplayRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.after, self.through)
    }
}

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
    let end = console.store.head(session.account).await?.ok_or(PageError::Missing)?.seq;
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
    let shown = detail::Shown { opened: Some(dialog_of(session, view, form, errors)), ..detail::Shown::default() };
    Ok(session.invalid_page(Nav::PushEndpoints, TITLE, detail::content(console, session, view, &shown).await?))
}

pub(super) fn dialog_of(session: &SessionState, view: &EndpointView, form: &Form, errors: &FieldErrors) -> Markup {
    const BY: [Choice<'_>; 2] = [
        Choice { value: "time", label: "From a time on", hint: None },
        Choice { value: "event", label: "From an event on", hint: None },
    ];
    let close = path(view.endpoint.endpoint_id);
    let an_hour_ago = text::time_input(session.now - time::Duration::hours(1));
    dialog(Dialog {
        id: "replay",
        title: "Replay events",
        close: &close,
        content: html! {
            form.by-choice method="post" action={ (close) "/replay" } {
                (csrf(&session.token.csrf()))
                p { strong { (name(view)) } " gets these events once more. Your server recognises them by their webhook-id." }
                (radio_group("by", "Which events", form.filled("by").unwrap_or("time"), &BY))
                div.by-time {
                    (text_field(Field {
                        kind: "datetime-local", value: form.filled("time").unwrap_or(&an_hour_ago), error: errors.get("time"),
                        is_required: false, hint: Some("In UTC."), ..Field::new("time", "Since")
                    }))
                }
                div.by-event {
                    (text_field(Field {
                        kind: "number", value: form.text("from"), error: errors.get("from"), is_required: false,
                        hint: Some("It is the first one that is sent."), ..Field::new("from", "First event")
                    }))
                }
                (text_field(Field {
                    kind: "number", value: form.text("to"), error: errors.get("to"), is_required: false,
                    hint: Some("Without it, everything up to now."), ..Field::new("to", "Last event")
                }))
                (dialog_actions(ButtonStyle::Primary, "Replay", &close))
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_back_from_the_address() {
        let range = ReplayRange { after: Seq(5), through: Seq(120) };
        let query = Form::parse(format!("replay={range}").as_bytes());
        assert_eq!(ReplayRange::of(&query), Some(range));
        for wrong in ["replay=5", "replay=5-5", "replay=9-5", "replay=-1-5", "replay=a-b", ""] {
            assert_eq!(ReplayRange::of(&Form::parse(wrong.as_bytes())), None, "{wrong}");
        }
    }
}
