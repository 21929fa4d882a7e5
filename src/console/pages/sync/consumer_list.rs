//! The list of NATS consumers, and the dialogs that change it.

use maud::{Markup, html};

use super::super::super::components::dialog::{dialog_actions, dialog_icon};
use super::super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, Icon, Tone, badge, copy_button, copy_row, csrf, dialog, dialog_link,
    empty_state, notice, radio_group, select, table, text_field,
};
use super::super::super::error::PageError;
use super::super::super::form::{FieldErrors, Form};
use super::super::super::session::SessionState;
use super::super::super::state::Console;
use super::super::super::text;
use super::HERE;
use crate::audited::ChangeError;
use crate::gateway::consumers::{ConsumerError, ConsumerView, MAX_NAME};

/// The account's consumers, or the state that NATS cannot be reached.
pub(super) enum ConsumerList {
    Consumers(Vec<ConsumerView>),
    NoNats,
}

pub(super) async fn listed(console: &Console, session: &SessionState) -> Result<ConsumerList, PageError> {
    match console.consumers.list(session.account).await {
        Ok(consumers) => Ok(ConsumerList::Consumers(consumers)),
        Err(ConsumerError::NoNats) => Ok(ConsumerList::NoNats),
        Err(error) => Err(refused(error)),
    }
}

pub(super) fn refused(error: ConsumerError) -> PageError {
    match error {
        ConsumerError::NotFound | ConsumerError::Change(ChangeError::NoAccount) => PageError::Missing,
        ConsumerError::NoNats => PageError::Busy("NATS cannot be reached. Try again in a few seconds.".to_owned()),
        ConsumerError::Change(ChangeError::Store(error)) => PageError::Store(error),
        ConsumerError::Change(ChangeError::Internal(error)) => PageError::internal(&error),
        // Only a request with a cursor or an idempotency key gets these.
        ConsumerError::Resync | ConsumerError::Change(ChangeError::Repeated(_) | ChangeError::KeyReused) => {
            PageError::Internal
        }
        ConsumerError::Invalid(errors) => {
            let details: Vec<String> = errors.into_list().into_iter().map(|invalid| invalid.detail).collect();
            PageError::Invalid(details.join(" "))
        }
    }
}

pub(super) fn section(session: &SessionState, listed: &ConsumerList) -> Markup {
    let add =
        || dialog_link(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}?dialog=add-consumer"), "Add consumer");
    let ConsumerList::Consumers(consumers) = listed else {
        let text = html! { p { "NATS cannot be reached at the moment, so that consumers are not listed. Nothing of theirs is lost." } };
        return html! { section.card { header.card-head { h2 { "NATS consumers" } } (notice(Tone::Warning, text)) } };
    };
    html! {
        section.card {
            header.card-head.with-actions {
                div { h2 { "NATS consumers" } p { "Readers of the event stream that keep their position while they are disconnected." } }
                @if !consumers.is_empty() { (add()) }
            }
            @if consumers.is_empty() {
                (empty_state(Icon::Integrations, "No consumers yet",
                    "A system that reads events over NATS needs a consumer: the stream then remembers what it has acknowledged.", add()))
            } @else {
                (table("NATS consumers", &["Name", "Reads", "State", "Lag", "Durable", "Actions"], html! {
                    @for view in consumers { (consumer_row(view)) }
                }))
                p.muted { "A system logs in to NATS with this token, in which it writes its own Secret Key, and pulls from its durable on the stream." }
                dl.copy-list {
                    (copy_row("Token", &format!("{}:<Secret Key>", session.account)))
                    (copy_row("Stream", consumers.first().map_or("", |view| view.stream.as_str())))
                }
            }
        }
    }
}

fn consumer_row(view: &ConsumerView) -> Markup {
    let ConsumerView { consumer, durable, lag, .. } = view;
    let is_unread = lag.is_some_and(|lag| lag.pending > 0 && lag.ack_pending == 0 && lag.delivered <= consumer.start);
    html! {
        tr {
            th scope="row" data-label="Name" { (consumer.name) }
            td data-label="Reads" { @match consumer.entity { Some(entity) => { code { (entity.name()) ".*" } } None => { "all events" } } }
            td data-label="State" {
                @if lag.is_none() { (badge(Tone::Warning, "being set up")) }
                @else if is_unread { (badge(Tone::Neutral, "not read yet")) }
                @else { (badge(Tone::Success, "ready")) }
            }
            td data-label="Lag" {
                @match lag {
                    Some(lag) if lag.pending == 0 && lag.ack_pending == 0 => { span.muted { "up to date" } }
                    Some(lag) => {
                        (text::count(lag.pending, "event", "events"))
                        @if lag.ack_pending > 0 { span.cell-note { (lag.ack_pending) " delivered, not acknowledged" } }
                    }
                    None => { "–" }
                }
                span.cell-note { @if is_unread { "nothing acknowledged" } @else { "acknowledged to event " (consumer.acknowledged) } }
            }
            td data-label="Durable" { span.copy-cell { code title=(durable) { (shortened(view)) } (copy_button(durable, &format!("Copy the durable of {}", consumer.name))) } }
            td.cell-actions data-label="Actions" {
                (dialog_icon(Icon::Delete, &format!("{HERE}?dialog=delete-consumer&name={}", consumer.name), &format!("Delete the consumer {}", consumer.name)))
            }
        }
    }
}

/// The name of a durable without the middle of the account's id, which is the same in all of them.
fn shortened(view: &ConsumerView) -> String {
    let account = view.consumer.account.to_string();
    match (account.get(..8), view.durable.strip_prefix(&account)) {
        (Some(start), Some(end)) => format!("{start}…{end}"),
        _ => view.durable.clone(),
    }
}

pub(super) fn add_dialog(session: &SessionState, form: &Form, errors: &FieldErrors) -> Markup {
    const KINDS: [Choice<'_>; 9] = [
        Choice { value: "", label: "All events", hint: None },
        Choice { value: "contact", label: "Contacts", hint: None },
        Choice { value: "company", label: "Companies", hint: None },
        Choice { value: "project", label: "Projects", hint: None },
        Choice { value: "circle", label: "Circles of contacts", hint: None },
        Choice { value: "schema", label: "Custom fields", hint: None },
        Choice { value: "audience", label: "Marketing audiences", hint: None },
        Choice { value: "conflict", label: "Conflicts", hint: None },
        Choice { value: "push", label: "Health of endpoints", hint: None },
    ];
    const FROM: [Choice<'_>; 2] = [
        Choice { value: "now", label: "From now on", hint: None },
        Choice {
            value: "start",
            label: "From the beginning",
            hint: Some("As far back as the stream keeps events. Older ones are in the change feed of the API."),
        },
    ];
    dialog(Dialog {
        id: "add-consumer",
        title: "Add consumer",
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/consumers" } {
                (csrf(&session.token.csrf()))
                @if let Some(error) = errors.get("form") { (notice(Tone::Danger, html! { p { (error) } })) }
                (text_field(FormField {
                    value: form.text("name"), error: errors.get("name"), max_length: Some(MAX_NAME),
                    hint: Some("Lowercase letters and digits, such as shop."), ..FormField::new("name", "Name")
                }))
                (select(FormField { value: form.text("entity"), error: errors.get("entity"), ..FormField::new("entity", "Reads") }, &KINDS))
                (radio_group("from", "Begin", form.filled("from").unwrap_or("now"), &FROM))
                (dialog_actions(ButtonStyle::Primary, "Add consumer", HERE))
            }
        },
    })
}

/// The dialog, if there is such a consumer.
pub(super) fn delete_dialog(session: &SessionState, listed: &ConsumerList, name: &str) -> Option<Markup> {
    let ConsumerList::Consumers(consumers) = listed else { return None };
    let consumer = &consumers.iter().find(|view| view.consumer.name == name)?.consumer;
    Some(dialog(Dialog {
        id: "delete-consumer",
        title: &format!("Delete the consumer “{}”?", consumer.name),
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/consumers/" (consumer.name) "/delete" } {
                (csrf(&session.token.csrf()))
                p { "The system that reads by " strong { (consumer.name) } " gets no further event, and its position, event " (consumer.acknowledged) ", is forgotten. The events themselves stay." }
                (dialog_actions(ButtonStyle::Danger, "Delete consumer", HERE))
            }
        },
    }))
}
