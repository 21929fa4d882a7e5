//! The dialogs before a change of an endpoint. Each names the endpoint, and what happens to it.

use maud::{Markup, html};

use super::super::super::components::dialog::dialog_actions;
use super::super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, breakable, csrf, dialog, radio_group, select, text_field,
};
use super::super::super::form::{FieldErrors, Form};
use super::super::super::session::SessionState;
use super::super::super::text;
use super::{ONCE, name, path};
use crate::clock;
use crate::push::service::EndpointView;

pub(super) fn delete(session: &SessionState, view: &EndpointView, close: &str) -> Markup {
    dialog(Dialog {
        id: "delete",
        title: &format!("Delete “{}”?", name(view)),
        close,
        content: html! {
            form method="post" action={ (path(view.endpoint.endpoint_id)) "/delete" } {
                (csrf(&session.token.csrf()))
                p { "Deliveries to " strong.break { (breakable(&view.endpoint.settings.url)) } " will stop. The endpoint’s position, parked events and signing secret are deleted with it. This cannot be undone." }
                p { "To stop deliveries for a while, pause the endpoint instead: events then wait." }
                (dialog_actions(ButtonStyle::Danger, "Delete endpoint", close))
            }
        },
    })
}

pub(super) fn rotate(session: &SessionState, view: &EndpointView) -> Markup {
    const OVERLAPS: [Choice<'_>; 4] = [
        Choice { value: "86400", label: "For 24 hours", hint: None },
        Choice { value: "3600", label: "For an hour", hint: None },
        Choice { value: "604800", label: "For 7 days", hint: None },
        Choice { value: "0", label: "Not at all, because it leaked", hint: None },
    ];
    let close = path(view.endpoint.endpoint_id);
    dialog(Dialog {
        id: "rotate",
        title: "Rotate the signing secret?",
        close: &close,
        content: html! {
            form method="post" action={ (close) "/rotate" } {
                (csrf(&session.token.csrf()))
                input type="hidden" name=(ONCE) value=(clock::random_uuid());
                p { strong { (name(view)) } " gets a new secret, which is shown once. Until the previous one ends, requests are signed with both, so that your server can change over without a gap." }
                (select(FormField { value: "86400", ..FormField::new("overlap_s", "Keep the previous secret") }, &OVERLAPS))
                (dialog_actions(ButtonStyle::Primary, "Rotate secret", &close))
            }
        },
    })
}

pub(super) fn replay(session: &SessionState, view: &EndpointView, form: &Form, errors: &FieldErrors) -> Markup {
    const BY: [Choice<'_>; 2] = [
        Choice { value: "time", label: "Since a time", hint: None },
        Choice { value: "event", label: "Since an event", hint: None },
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
                p { strong { (name(view)) } " gets these events once more, each with the same webhook-id as before, by which your server can recognize it." }
                (radio_group("by", "Which events", form.filled("by").unwrap_or("time"), &BY))
                div.by-time.needed {
                    (text_field(FormField {
                        kind: "datetime-local", value: form.filled("time").unwrap_or(&an_hour_ago), error: errors.get("time"),
                        is_required: false, hint: Some("In UTC."), ..FormField::new("time", "Since")
                    }))
                }
                div.by-event.needed {
                    (text_field(FormField {
                        kind: "number", value: form.text("from"), error: errors.get("from"), is_required: false,
                        hint: Some("The first one that is sent."), ..FormField::new("from", "First event")
                    }))
                }
                (text_field(FormField {
                    kind: "number", value: form.text("to"), error: errors.get("to"), is_required: false,
                    hint: Some("Without it, everything up to now."), ..FormField::new("to", "Last event")
                }))
                (dialog_actions(ButtonStyle::Primary, "Replay", &close))
            }
        },
    })
}
