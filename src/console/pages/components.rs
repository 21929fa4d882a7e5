//! Every part of the design with its states, for designers and for the tests of accessibility. Shown where
//! `console.show_components` is on.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::super::components::chart::{columns, meter};
use super::super::components::dialog::{dialog_actions, dialog_icon};
use super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, Icon, Tone, badge, button, card, checkbox, copy_button, copy_row, dialog,
    dialog_link, empty_state, icon, link_button, notice, page_head, pagination, radio_group, select, table, text_field,
    textarea, time,
};
use super::super::error::{PageError, PageResult};
use super::super::form::PageQuery;
use super::super::layout::Nav;
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;

const HERE: &str = "/console/components";

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    if !console.config.console.show_components {
        return Err(PageError::Missing);
    }
    let content = html! {
        (page_head("Components", "The parts of every page, with their states.", html! {
            (link_button(ButtonStyle::Secondary, Some(Icon::Download), HERE, "Secondary action"))
            (dialog_link(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}?dialog=sample"), "Primary action"))
        }))
        (tokens())
        (actions())
        (messages())
        (fields())
        (data(&session))
        @if query.get("dialog") == Some("sample") { (sample_dialog()) }
    };
    Ok(session.page(Nav::None, "Components", content))
}

fn tokens() -> Markup {
    card(
        "Type and icons",
        "One type scale, one spacing scale, the brand's colour as the only accent.",
        html! {
            div.samples {
                h1 { "Heading of a page" }
                h2 { "Heading of a card" }
                h3 { "Heading of an empty state" }
                p { "Text with a " a href=(HERE) { "link" } ", " strong { "strong words" } " and " code { "code" } "." }
                p.muted { "Muted text, for what is secondary." }
                div.sample-line { @for symbol in Icon::ALL { (icon(symbol)) } }
            }
        },
    )
}

fn actions() -> Markup {
    card(
        "Buttons",
        "One primary button per form. Danger is for what deletes or cuts off.",
        html! {
            div.sample-line {
                @for style in ButtonStyle::ALL { (button(style, "Save changes")) }
                button.button type="button" disabled { "Disabled" }
                button.button.primary type="button" aria-busy="true" { "Working" }
                (copy_button("a text", "Copy a text"))
                (dialog_icon(Icon::Delete, &format!("{HERE}?dialog=sample"), "Delete a sample"))
            }
            dl.copy-list { (copy_row("Public ID", "00000000-0000-0000-0000-000000000000")) }
        },
    )
}

fn messages() -> Markup {
    card(
        "Messages",
        "The word carries the meaning; the colour repeats it.",
        html! {
            div.sample-line { @for tone in Tone::ALL { (badge(tone, tone.name())) } }
            @for tone in [Tone::Neutral, Tone::Info, Tone::Success, Tone::Warning] {
                (notice(tone, html! { p { "A notice of tone " strong { (tone.name()) } "." } }))
            }
            (notice(Tone::Danger, html! { p { "A notice of tone " strong { "danger" } ", which interrupts a screen reader." } }))
            (empty_state(Icon::Contacts, "No contacts yet", "Import a file, or connect a system that has some.",
                link_button(ButtonStyle::Primary, Some(Icon::Upload), HERE, "Import a file")))
        },
    )
}

fn fields() -> Markup {
    const CHOICES: [Choice<'_>; 2] = [
        Choice { value: "one", label: "First choice", hint: Some("What the first choice means.") },
        Choice { value: "two", label: "Second choice", hint: Some("What the second choice means.") },
    ];
    card(
        "Fields",
        "Each has its label, a hint where it helps, and its error beside it.",
        html! {
            form.sample-form method="get" action=(HERE) {
                (text_field(FormField { hint: Some("A hint."), ..FormField::new("sample-text", "Text") }))
                (text_field(FormField { value: "ann@", error: Some("Enter an email address, such as name@example.com."), ..FormField::new("sample-error", "With an error") }))
                (text_field(FormField { is_required: false, kind: "date", ..FormField::new("sample-date", "Date") }))
                (select(FormField { value: "two", ..FormField::new("sample-select", "List") }, &CHOICES))
                (textarea(FormField { value: "Several\nlines", ..FormField::new("sample-area", "Long text") }))
                (radio_group("sample-radio", "One of these", "one", &CHOICES))
                (checkbox("sample-check", "A switch", Some("What it does."), true))
            }
        },
    )
}

fn data(session: &SessionState) -> Markup {
    let days: Vec<(String, u64)> =
        (1..=30).map(|day| (format!("{day} Nov: {} calls", day * 7 % 23), day * 7 % 23)).collect();
    card(
        "Data",
        "Tables become blocks of named values on a phone.",
        html! {
            (table("Samples", &["Name", "State", "Changed", "Actions"], html! {
                @for (name, tone) in [("Website", Tone::Success), ("A name that is longer than the column of a narrow screen", Tone::Warning)] {
                    tr {
                        th scope="row" data-label="Name" { (name) }
                        td data-label="State" { (badge(tone, tone.name())) }
                        td data-label="Changed" { (time(session.now - time::Duration::hours(3), session.now)) }
                        td.cell-actions data-label="Actions" { (dialog_icon(Icon::Edit, &format!("{HERE}?dialog=sample"), &format!("Edit {name}"))) }
                    }
                }
            }))
            (pagination("1 to 2 of 60", Some(HERE), Some(HERE)))
            @for (label, used) in [("Half used", 50), ("80 % used", 80), ("95 % used", 95)] { p.muted { (label) } (meter(label, used, 100)) }
            (columns("Thirty days", &days))
        },
    )
}

fn sample_dialog() -> Markup {
    dialog(Dialog {
        id: "sample",
        title: "Delete “Website”?",
        close: HERE,
        content: html! {
            form method="get" action=(HERE) {
                p { "A dialog names what it acts on, and what happens to it." }
                (dialog_actions(ButtonStyle::Danger, "Delete Website", HERE))
            }
        },
    })
}
