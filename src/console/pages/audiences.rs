//! Marketing Audiences: the lists that contacts subscribe to, by the command of `unificus audience`.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use serde_json::Map;

use super::super::commands::{self, NotDone};
use super::super::components::dialog::dialog_actions;
use super::super::components::{
    ButtonStyle, Dialog, FormField, Icon, csrf, dialog, dialog_link, empty_state, page_head, table, text_field, time,
};
use super::super::error::{PageError, PageResult};
use super::super::flash::Flash;
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::layout::{self, Nav};
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use crate::clock;
use crate::domain::named::{CreateNamed, next_audience_number};
use crate::domain::{Command, Field, Record, Refusal};

const TITLE: &str = "Marketing Audiences";
const HERE: &str = "/console/audiences";

/// The longest name, in characters.
const MAX_NAME: usize = 255;

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let audiences = audiences(&console, &session).await?;
    let is_adding = query.get("dialog") == Some("add") && layout::can_manage(&session);
    let opened = is_adding.then(|| add_dialog(&session, &audiences, &Form::default(), &FieldErrors::default()));
    Ok(session.page(Nav::Audiences, TITLE, content(&session, &audiences, opened)))
}

pub(in crate::console) async fn add(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let audiences = audiences(&console, &session).await?;
    let number = match form.filled("id") {
        Some(text) => text.parse().ok(),
        None => next_audience_number(&audiences),
    };
    let errors = match number {
        None => FieldErrors::one("id", "Enter a whole number from 1."),
        Some(number) => match create(&console, &session, number, form.text("name")).await {
            Ok(()) => {
                let text = format!("“{}” was added with the ID {number}.", form.text("name"));
                return Ok(session.redirect(HERE, Flash::success(text)));
            }
            Err(NotDone::Failed(error)) => return Err(error),
            Err(NotDone::Refused(refusal)) => commands::beside_fields(&refusal, &["name", "id"], "name"),
        },
    };
    let opened = add_dialog(&session, &audiences, &form, &errors);
    Ok(session.invalid_page(Nav::Audiences, TITLE, content(&session, &audiences, Some(opened))))
}

async fn create(console: &Console, session: &SessionState, number: u32, name: &str) -> Result<(), NotDone> {
    let create = CreateNamed::audience(clock::fresh_uid(), number, name);
    let create = create.map_err(|errors| NotDone::Refused(Refusal::Invalid(errors.into_list())))?;
    let detail = Map::from_iter([("name".to_owned(), name.into()), ("id".to_owned(), number.into())]);
    commands::submit(console, session, Command::CreateNamed(create), "audience.add", detail).await.map(drop)
}

async fn audiences(console: &Console, session: &SessionState) -> Result<Vec<Record>, PageError> {
    Ok(console.store.schema(session.account).await?.audiences)
}

fn content(session: &SessionState, audiences: &[Record], opened: Option<Markup>) -> Markup {
    let can_manage = layout::can_manage(session);
    let add = || dialog_link(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}?dialog=add"), "Add audience");
    html! {
        (page_head(TITLE, "Lists that contacts subscribe to. Systems name an audience by its ID.", html! {
            @if can_manage && !audiences.is_empty() { (add()) }
        }))
        section.plain-list {
            @if !audiences.is_empty() { h2.visually-hidden { "Audiences" } }
            @if audiences.is_empty() {
                (empty_state(
                    Icon::Audiences,
                    "No audiences yet",
                    "Add one for each newsletter or campaign. Forms on your website then subscribe contacts to it through the Secure API.",
                    html! { @if can_manage { (add()) } },
                ))
            } @else {
                (table("Marketing audiences", &["Name", "ID", "Added"], html! {
                    @for audience in audiences {
                        tr {
                            th scope="row" data-label="Name" { (audience.text(Field::Name).unwrap_or_default()) }
                            td data-label="ID" { (number_of(audience)) }
                            td data-label="Added" { (time(audience.created_at, session.now)) }
                        }
                    }
                }))
                p.muted { "IDs and names of audiences stay as they are, because connected systems keep them." }
            }
        }
        @if let Some(opened) = opened { (opened) }
    }
}

fn number_of(audience: &Record) -> String {
    audience.number(Field::Id).map_or_else(String::new, |number| number.to_string())
}

fn add_dialog(session: &SessionState, audiences: &[Record], form: &Form, errors: &FieldErrors) -> Markup {
    let next = next_audience_number(audiences).map_or_else(String::new, |number| number.to_string());
    let hint = format!("If empty, the next free ID ({next}) is used.");
    dialog(Dialog {
        id: "add",
        title: "Add an audience",
        close: HERE,
        content: html! {
            form method="post" action=(HERE) {
                (csrf(&session.token.csrf()))
                (text_field(FormField { value: form.text("name"), error: errors.get("name"), max_length: Some(MAX_NAME), ..FormField::new("name", "Name") }))
                (text_field(FormField { kind: "number", value: form.text("id"), error: errors.get("id"), is_required: false, hint: Some(&hint), ..FormField::new("id", "ID") }))
                (dialog_actions(ButtonStyle::Primary, "Add audience", HERE))
            }
        },
    })
}
