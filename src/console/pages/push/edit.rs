//! Adding an endpoint, and changing its settings.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;
use uuid::Uuid;

use super::super::super::components::{
    ButtonStyle, Choice, FormField, Tone, button, card, csrf, link_button, notice, radio_group, text_field, textarea,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::form::{FieldErrors, Form};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::form::{self as fields, PATTERNS};
use super::secret::NewSecret;
use super::{HERE, ONCE, TITLE, detail, name, once, path, refused, request, unread};
use crate::audited::{Rendered, WriteRequest};
use crate::domain::endpoint::settings::MAX_DESCRIPTION;
use crate::push::service::{EndpointError, EndpointView};

pub(in crate::console) async fn new(session: ConsoleSession) -> Response {
    session.page(Nav::PushEndpoints, "Add endpoint", add_page(&session, &fields::new(), &FieldErrors::default()))
}

pub(in crate::console) async fn create(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let invalid = |errors: &FieldErrors| {
        Ok(session.invalid_page(Nav::PushEndpoints, "Add endpoint", add_page(&session, &form, errors)))
    };
    let read = match fields::read(&form) {
        Ok(read) => read,
        Err(errors) => return invalid(&errors),
    };
    let key = once(&session, &form, "create");
    let write = WriteRequest { origin: &read.origin, ..request(&session, key.as_ref()) };
    let render = |view: &EndpointView| {
        let secret = NewSecret::of(view);
        Rendered { status: 200, body: json!({"id": view.endpoint.endpoint_id, "secret": secret}).to_string() }
    };
    let rendered = match console.endpoints.create(&write, read.input, render).await {
        // A form that is sent again shows the endpoint that it made.
        Ok(rendered) | Err(EndpointError::Repeated(rendered)) => rendered,
        Err(EndpointError::Invalid(errors)) => return invalid(&fields::field_errors(errors)),
        Err(error) => return Err(refused(error)),
    };
    let (id, secret) = NewSecret::read(&rendered)?;
    detail::page(&console, &session, id, &detail::Shown { new: Some(&secret), ..detail::Shown::default() }).await
}

pub(in crate::console) async fn form(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
) -> PageResult {
    let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
    let stored = fields::of_settings(&view.endpoint.settings);
    Ok(session.page(Nav::PushEndpoints, TITLE, edit_page(&session, &view, &stored, &FieldErrors::default())))
}

pub(in crate::console) async fn update(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
    form: Form,
) -> PageResult {
    let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
    let invalid = |errors: &FieldErrors| {
        Ok(session.invalid_page(Nav::PushEndpoints, TITLE, edit_page(&session, &view, &form, errors)))
    };
    let read = match fields::read(&form) {
        Ok(read) => read,
        Err(errors) => return invalid(&errors),
    };
    let write = WriteRequest { origin: &read.origin, ..request(&session, None) };
    match console.endpoints.update(&write, id, read.input, |_| unread()).await {
        Ok(_) => Ok(session.redirect(&path(id), Flash::success("Saved. The next delivery follows these settings."))),
        Err(EndpointError::Invalid(errors)) => invalid(&fields::field_errors(errors)),
        Err(error) => Err::<Response, PageError>(refused(error)),
    }
}

fn add_page(session: &SessionState, form: &Form, errors: &FieldErrors) -> Markup {
    html! {
        (head(HERE, TITLE, "Add endpoint", "Deliveries begin as soon as it is saved."))
        form.stacked method="post" action=(HERE) {
            (csrf(&session.token.csrf()))
            input type="hidden" name=(ONCE) value=(form.text(ONCE));
            (main_fields(form, errors))
            (more_fields(form, errors, start_fields(form)))
            div.form-actions { (button(ButtonStyle::Primary, "Add endpoint")) (link_button(ButtonStyle::Secondary, None, HERE, "Cancel")) }
        }
    }
}

fn edit_page(session: &SessionState, view: &EndpointView, form: &Form, errors: &FieldErrors) -> Markup {
    let here = path(view.endpoint.endpoint_id);
    html! {
        (head(&here, name(view), &format!("Edit {}", name(view)), "Changes apply to deliveries from now on. Nothing is skipped."))
        form.stacked method="post" action=(here) {
            (csrf(&session.token.csrf()))
            (main_fields(form, errors))
            (more_fields(form, errors, html! {}))
            div.form-actions { (button(ButtonStyle::Primary, "Save")) (link_button(ButtonStyle::Secondary, None, &here, "Cancel")) }
        }
    }
}

/// The head of a form's page, with the way back.
fn head(back: &str, to: &str, title: &str, lead: &str) -> Markup {
    html! {
        header.page-head {
            div { p.crumb { a href=(back) { (to) } } h1.break { (title) } p.lead { (lead) } }
        }
    }
}

fn main_fields(form: &Form, errors: &FieldErrors) -> Markup {
    let is_ticked = |pattern: &str| form.all("events").any(|event| event == pattern);
    html! {
        @if let Some(error) = errors.get("form") { (notice(Tone::Danger, html! { p { (error) } })) }
        (card("Destination", "", html! {
            (text_field(FormField {
                value: form.text("description"), error: errors.get("description"), is_required: false,
                max_length: Some(MAX_DESCRIPTION), hint: Some("Your team sees it in lists and messages, such as Shop or Newsletter tool."),
                ..FormField::new("description", "Name")
            }))
            (text_field(FormField {
                kind: "url", value: form.text("url"), error: errors.get("url"),
                hint: Some("An address that accepts POST, such as https://example.com/hook, and responds with a status of 200 to 299 within the time limit."),
                ..FormField::new("url", "URL")
            }))
        }))
        (card("Which events", "Without a choice, all events are sent.", html! {
            fieldset.tick-grid {
                legend.visually-hidden { "Kinds of events" }
                @for (pattern, label) in PATTERNS {
                    label.tick { input type="checkbox" name="events" value=(pattern) checked[is_ticked(pattern)]; span { (label) code { (pattern) } } }
                }
            }
            (text_field(FormField {
                value: form.text("more_events"), error: errors.get("more_events"), is_required: false,
                hint: Some("Separated by commas, such as contact.created, company.deleted."),
                ..FormField::new("more_events", "Other event types")
            }))
            (text_field(FormField {
                value: form.text("fields"), error: errors.get("fields"), is_required: false,
                hint: Some("An event is sent only if one of these fields changed, such as email, phone."),
                ..FormField::new("fields", "Only when these fields change")
            }))
        }))
    }
}

/// The position and the signature of a new endpoint, which cannot be changed by editing.
fn start_fields(form: &Form) -> Markup {
    const FROM: [Choice<'_>; 2] = [
        Choice { value: "now", label: "From now on", hint: Some("Changes that are made after this.") },
        Choice {
            value: "start",
            label: "From the beginning",
            hint: Some("Everything that ever happened, then what follows."),
        },
    ];
    const SIGNATURE: [Choice<'_>; 2] = [
        Choice { value: "hmac", label: "HMAC-SHA256", hint: Some("A secret that both sides know. The usual choice.") },
        Choice { value: "ed25519", label: "Ed25519", hint: Some("Your server needs a public key only.") },
    ];
    let chosen = |field, default| form.filled(field).unwrap_or(default);
    html! {
        (radio_group("from", "Begin", chosen("from", "now"), &FROM))
        (radio_group("signature", "Signature", chosen("signature", "hmac"), &SIGNATURE))
    }
}

fn more_fields(form: &Form, errors: &FieldErrors, first: Markup) -> Markup {
    const MODES: [Choice<'_>; 3] = [
        Choice { value: "single", label: "One event per request", hint: Some("The simplest to receive.") },
        Choice {
            value: "batch",
            label: "Batches",
            hint: Some("Up to 100 events per request, for many changes at once."),
        },
        Choice {
            value: "latest",
            label: "Newest state",
            hint: Some("One request per record with its newest state. What it superseded meanwhile is left out."),
        },
    ];
    const ORDERS: [Choice<'_>; 3] = [
        Choice {
            value: "record",
            label: "By record",
            hint: Some("Events of one record arrive in order; different records at once."),
        },
        Choice {
            value: "strict",
            label: "Strict",
            hint: Some("One event at a time. One that fails holds up all others."),
        },
        Choice { value: "none", label: "None", hint: Some("As fast as possible, in any order.") },
    ];
    const MORE: [&str; 7] = ["window", "rate", "timeout_s", "headers", "max_batch", "debounce_ms", "exclude"];
    let number = |field: &'static str, label: &'static str, hint: &'static str| {
        text_field(FormField {
            kind: "number",
            value: form.text(field),
            error: errors.get(field),
            is_required: false,
            hint: Some(hint),
            ..FormField::new(field, label)
        })
    };
    let has_more = MORE.iter().any(|field| errors.get(field).is_some());
    html! {
        section.card {
            details.more open[has_more] {
                summary { "Delivery options" }
                (first)
                (radio_group("mode", "Contents of a request", form.filled("mode").unwrap_or("single"), &MODES))
                div.field-pair {
                    (number("max_batch", "Events in a batch", "1 to 100; for batches."))
                    (number("debounce_ms", "Wait for further changes (ms)", "0 to 60,000; for the newest state."))
                }
                (radio_group("order", "Order", form.filled("order").unwrap_or("record"), &ORDERS))
                div.field-pair {
                    (number("window", "Requests at once", "1 to 256."))
                    (number("rate", "Requests per second", "No limit without a number."))
                    (number("timeout_s", "Time limit (s)", "1 to 60; 15 without a number."))
                }
                (textarea(FormField {
                    value: form.text("headers"), error: errors.get("headers"), is_required: false,
                    hint: Some("One per line, as Name: value. Stored values are sealed and shown as ********."),
                    ..FormField::new("headers", "Own headers")
                }))
                (text_field(FormField {
                    value: form.text("exclude"), error: errors.get("exclude"), is_required: false,
                    hint: Some("The origin of a Secret Key. For a system that gets its own changes in the responses to its calls."),
                    ..FormField::new("exclude", "Leave out changes of this origin")
                }))
            }
        }
    }
}
