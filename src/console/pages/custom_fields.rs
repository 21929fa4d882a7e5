//! Custom Fields: the attributes that the account added to its records, by the commands of `unificus field`.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};

use super::super::commands::{self, NotDone};
use super::super::components::dialog::{dialog_actions, dialog_icon};
use super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, Icon, Tone, badge, copy_button, csrf, dialog, dialog_link, empty_state,
    link_button, page_head, radio_group, select, table, text_field, textarea,
};
use super::super::error::{PageError, PageResult};
use super::super::flash::Flash;
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::layout::{self, Nav};
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use super::super::text;
use crate::clock;
use crate::contract::input::{self, InputKind};
use crate::contract::record::{self, parse_uid};
use crate::domain::schema::{Definition, FieldType, Visibility};
use crate::domain::{Command, Delete, Entity, FieldOwner, Record, Seq, Target};
use crate::store::StoreError;

const TITLE: &str = "Custom Fields";
const HERE: &str = "/console/custom-fields";

/// The archived fields that the page shows.
const MAX_ARCHIVED: i64 = 200;

/// The longest label, in characters.
const MAX_LABEL: usize = 255;

/// The fields of the forms that errors stand beside.
const FIELDS: [&str; 6] = ["entity", "type", "name", "description", "allowed_values", "visibility"];

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let is_archived = query.get("state") == Some("archived");
    let fields = if is_archived { archived(&console, &session).await? } else { current(&console, &session).await? };
    let named = query.get("field").and_then(parse_uid);
    let named = fields.iter().find(|field| Some(field.uid) == named && !field.deleted);
    let opened = match (query.get("dialog"), named) {
        _ if !layout::can_manage(&session) => None,
        (Some("add"), _) => Some(add_dialog(&session, &Form::default(), &FieldErrors::default())),
        (Some("change"), Some(field)) => Some(change_dialog(&session, field, None, &FieldErrors::default())),
        (Some("archive"), Some(field)) => Some(archive_dialog(&session, field)),
        _ => None,
    };
    Ok(session.page(Nav::CustomFields, TITLE, content(&session, &fields, is_archived, opened)))
}

pub(in crate::console) async fn add(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let mut body = body_of(&form);
    body.insert("entity".to_owned(), form.text("entity").into());
    body.insert("type".to_owned(), form.text("type").into());
    let command = input::create(InputKind::CustomField, Json::Object(body), &mut clock::fresh_uid);
    match submit(&console, &session, command, "field.add", &form).await {
        Ok(()) => Ok(session.redirect(HERE, Flash::success(format!("“{}” was added.", form.text("name"))))),
        Err(NotDone::Failed(error)) => Err(error),
        Err(NotDone::Refused(refusal)) => {
            let errors = commands::beside_fields(&refusal, &FIELDS, "name");
            let fields = current(&console, &session).await?;
            let content = content(&session, &fields, false, Some(add_dialog(&session, &form, &errors)));
            Ok(session.invalid_page(Nav::CustomFields, TITLE, content))
        }
    }
}

pub(in crate::console) async fn change(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(uid): Path<String>,
    form: Form,
) -> PageResult {
    let uid = parse_uid(&uid).ok_or(PageError::Missing)?;
    let fields = current(&console, &session).await?;
    let field = fields.iter().find(|field| field.uid == uid).ok_or(PageError::Missing)?;
    // The version that the form was made of, so that nobody overwrites a change that they have not seen.
    let if_match = form.text("version").parse().ok().map(|version| vec![Seq(version)]);
    let body = Json::Object(body_of(&form));
    let command = input::update(InputKind::CustomField, Target::Uid(uid), if_match, body, &mut clock::fresh_uid);
    match submit(&console, &session, command, "field.change", &form).await {
        Ok(()) => Ok(session.redirect(HERE, Flash::success(format!("“{}” was saved.", form.text("name"))))),
        Err(NotDone::Failed(error)) => Err(error),
        Err(NotDone::Refused(refusal)) => {
            let errors = commands::beside_fields(&refusal, &FIELDS, "name");
            let opened = change_dialog(&session, field, Some(&form), &errors);
            let content = content(&session, &fields, false, Some(opened));
            Ok(session.invalid_page(Nav::CustomFields, TITLE, content))
        }
    }
}

pub(in crate::console) async fn archive(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(uid): Path<String>,
) -> PageResult {
    let target = Target::Uid(parse_uid(&uid).ok_or(PageError::Missing)?);
    let command = Command::Delete(Delete { entity: Entity::CustomField, target, if_match: None });
    match commands::submit(&console, &session, command, "field.archive", Map::new()).await {
        Ok(_) => Ok(session.redirect(HERE, Flash::success("The field was archived. Records keep its values."))),
        Err(NotDone::Failed(error)) => Err(error),
        Err(NotDone::Refused(refusal)) => Ok(session.redirect(HERE, Flash::failure(commands::in_words(&refusal)))),
    }
}

async fn submit(
    console: &Console,
    session: &SessionState,
    command: Result<Command, crate::domain::Refusal>,
    action: &str,
    form: &Form,
) -> Result<(), NotDone> {
    let command = command.map_err(NotDone::Refused)?;
    let detail = Map::from_iter([("name".to_owned(), form.text("name").into())]);
    commands::submit(console, session, command, action, detail).await.map(drop)
}

/// The members of a body that both forms have. Only the fields that a form shows are in it.
fn body_of(form: &Form) -> Map<String, Json> {
    let mut body = Map::new();
    for name in ["name", "description", "visibility"] {
        if let Some(text) = form.get(name) {
            body.insert(name.to_owned(), text.trim().into());
        }
    }
    if let Some(lines) = form.get("allowed_values") {
        let values: Vec<&str> = lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        body.insert("allowed_values".to_owned(), if values.is_empty() { Json::Null } else { json!(values) });
    }
    body
}

async fn current(console: &Console, session: &SessionState) -> Result<Vec<Record>, PageError> {
    Ok(console.store.schema(session.account).await?.custom_fields)
}

async fn archived(console: &Console, session: &SessionState) -> Result<Vec<Record>, PageError> {
    let stored = console.store.deleted_records(session.account, Entity::CustomField, None, MAX_ARCHIVED).await?;
    let decode = |stored: &crate::store::records::StoredRecord| {
        record::decode(Entity::CustomField, &stored.record)
            .map_err(|error| StoreError::corrupt("custom_field", "record", stored.uid, error).into())
    };
    stored.iter().map(decode).collect()
}

fn content(session: &SessionState, fields: &[Record], is_archived: bool, opened: Option<Markup>) -> Markup {
    let can_manage = layout::can_manage(session);
    let add = || dialog_link(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}?dialog=add"), "Add field");
    let other = if is_archived {
        (HERE.to_owned(), "Show active")
    } else {
        (format!("{HERE}?state=archived"), "Show archived")
    };
    let (title, lead) = if is_archived {
        ("Archived custom fields", "Records keep the values of these fields, and get no new ones.")
    } else {
        (TITLE, "Attributes of your own for contacts, companies and projects. Systems name a field by its UID.")
    };
    html! {
        (page_head(title, lead, html! {
            (link_button(ButtonStyle::Secondary, None, &other.0, other.1))
            @if can_manage && !is_archived && !fields.is_empty() { (add()) }
        }))
        section.plain-list {
            @if !fields.is_empty() { h2.visually-hidden { (if is_archived { "Archived fields" } else { "Fields" }) } }
            @if fields.is_empty() && is_archived {
                (empty_state(Icon::Archive, "No archived fields", "A field that is archived keeps its values and takes no new ones.", html! {}))
            } @else if fields.is_empty() {
                (empty_state(
                    Icon::Fields,
                    "No custom fields yet",
                    "Add a field for what your business needs to know, such as a birthday, a contract number or a preferred language.",
                    html! { @if can_manage { (add()) } },
                ))
            } @else {
                (fields_table(fields, can_manage && !is_archived))
            }
        }
        @if let Some(opened) = opened { (opened) }
    }
}

fn fields_table(fields: &[Record], can_change: bool) -> Markup {
    let heads: &[&str] = if can_change {
        &["Label", "Applies to", "Type", "Allowed values", "UID", "Actions"]
    } else {
        &["Label", "Applies to", "Type", "Allowed values", "UID"]
    };
    table(
        "Custom fields",
        heads,
        html! {
            @for record in fields {
                @if let Some(Definition { uid, owner, kind, label, description, allowed_values, visibility, .. }) = Definition::of(record) {
                    tr {
                        th scope="row" data-label="Label" {
                            div.cell-names {
                                span { (label) }
                                @if owner == FieldOwner::Company && visibility == Visibility::Private { (badge(Tone::Neutral, "private")) }
                            }
                            @if let Some(description) = description { small.cell-note { (description) } }
                        }
                        td data-label="Applies to" { (owner_label(owner)) }
                        td data-label="Type" { (type_label(kind)) }
                        td data-label="Allowed values" {
                            @if allowed_values.is_empty() { span.muted { "any" } } @else { (listed(allowed_values)) }
                        }
                        td data-label="UID" { span.cell-code { code title=(uid) { (text::id_end(&uid.to_string())) } (copy_button(&uid.to_string(), &format!("Copy the UID of {label}"))) } }
                        @if can_change {
                            td.cell-actions data-label="Actions" {
                                (dialog_icon(Icon::Edit, &format!("{HERE}?dialog=change&field={uid}"), &format!("Change {label}")))
                                (dialog_icon(Icon::Archive, &format!("{HERE}?dialog=archive&field={uid}"), &format!("Archive {label}")))
                            }
                        }
                    }
                }
            }
        },
    )
}

/// The first values of a choice.
fn listed(values: &[String]) -> Markup {
    let shown = values.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
    html! { (shown) @if values.len() > 4 { " and " (values.len() - 4) " more" } }
}

fn owner_label(owner: FieldOwner) -> &'static str {
    match owner {
        FieldOwner::Contact => "Contacts",
        FieldOwner::Company => "Companies",
        FieldOwner::Project => "Projects",
        FieldOwner::Target => "Contacts (target fields)",
    }
}

fn type_label(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text => "Text",
        FieldType::LongText => "Long text",
        FieldType::Number => "Number",
        FieldType::Currency => "Amount in a currency",
        FieldType::Date => "Date",
        FieldType::DateTime => "Date and time",
        FieldType::Checkbox => "Yes or no",
        FieldType::Dropdown => "Dropdown",
        FieldType::MultiSelect => "Multi-select",
        FieldType::Url => "Web address",
        FieldType::Email => "Email",
        FieldType::Phone => "Phone",
        FieldType::File => "File (its web address)",
    }
}

fn add_dialog(session: &SessionState, form: &Form, errors: &FieldErrors) -> Markup {
    let owners: Vec<Choice<'_>> = FieldOwner::ALL
        .iter()
        .map(|owner| Choice { value: owner.name(), label: owner_label(*owner), hint: None })
        .collect();
    let kinds: Vec<Choice<'_>> =
        FieldType::ALL.iter().map(|kind| Choice { value: kind.name(), label: type_label(*kind), hint: None }).collect();
    dialog(Dialog {
        id: "add",
        title: "Add a custom field",
        close: HERE,
        content: html! {
            form.by-type method="post" action=(HERE) {
                (csrf(&session.token.csrf()))
                (text_field(FormField { value: form.text("name"), error: errors.get("name"), max_length: Some(MAX_LABEL), ..FormField::new("name", "Label") }))
                (select(FormField { value: form.text("entity"), error: errors.get("entity"), ..FormField::new("entity", "Applies to") }, &owners))
                (select(FormField { value: form.text("type"), error: errors.get("type"), hint: Some("This and what the field applies to cannot be changed later."), ..FormField::new("type", "Type") }, &kinds))
                // Shown for the types and the records that have it.
                div.when-choice { (values_field(form.text("allowed_values"), errors.get("allowed_values"), "One value per line.")) }
                (description_field(form.text("description"), errors.get("description")))
                div.when-company { (visibility_field(form.get("visibility").unwrap_or_else(|| Visibility::Public.name()), errors.get("visibility"))) }
                (dialog_actions(ButtonStyle::Primary, "Add field", HERE))
            }
        },
    })
}

/// The form of a field: with what was typed, or with what is stored.
fn change_dialog(session: &SessionState, record: &Record, typed: Option<&Form>, errors: &FieldErrors) -> Markup {
    let Some(definition) = Definition::of(record) else { return html! {} };
    let Definition { uid, owner, kind, label, description, allowed_values, visibility, .. } = definition;
    let values = allowed_values.join("\n");
    let shown = |name, stored| typed.and_then(|form| form.get(name)).unwrap_or(stored);
    dialog(Dialog {
        id: "change",
        title: &format!("Change “{label}”"),
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/" (uid) } {
                (csrf(&session.token.csrf()))
                input type="hidden" name="version" value=(record.version);
                p.muted { (type_label(kind)) " for " (owner_label(owner).to_lowercase()) ". Neither can be changed: add another field instead." }
                (text_field(FormField { value: shown("name", label), error: errors.get("name"), max_length: Some(MAX_LABEL), ..FormField::new("name", "Label") }))
                @if kind.is_choice() {
                    (values_field(shown("allowed_values", &values), errors.get("allowed_values"), "One value per line. Records keep a value that is taken away here."))
                }
                (description_field(shown("description", description.unwrap_or_default()), errors.get("description")))
                @if owner == FieldOwner::Company { (visibility_field(shown("visibility", visibility.name()), errors.get("visibility"))) }
                (dialog_actions(ButtonStyle::Primary, "Save", HERE))
            }
        },
    })
}

fn values_field(value: &str, error: Option<&str>, hint: &str) -> Markup {
    textarea(FormField {
        value,
        error,
        hint: Some(hint),
        is_required: false,
        ..FormField::new("allowed_values", "Allowed values")
    })
}

fn description_field(value: &str, error: Option<&str>) -> Markup {
    text_field(FormField {
        value,
        error,
        is_required: false,
        max_length: Some(1_000),
        hint: Some("Its purpose, for those who connect a system."),
        ..FormField::new("description", "Description")
    })
}

fn visibility_field(value: &str, error: Option<&str>) -> Markup {
    const CHOICES: [Choice<'_>; 2] = [
        Choice { value: "public", label: "Public", hint: Some("Shown among the public values of a company.") },
        Choice { value: "private", label: "Private", hint: Some("Shown among the private values of a company.") },
    ];
    html! {
        (radio_group("visibility", "Visibility", value, &CHOICES))
        @if let Some(error) = error { p.error { (error) } }
    }
}

fn archive_dialog(session: &SessionState, record: &Record) -> Markup {
    let Some(Definition { uid, label, owner, .. }) = Definition::of(record) else { return html! {} };
    dialog(Dialog {
        id: "archive",
        title: &format!("Archive “{label}”?"),
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/" (uid) "/archive" } {
                (csrf(&session.token.csrf()))
                p { (owner_label(owner)) " keep the values that they have. A system that still sends the field gets an error. An archived field cannot be brought back: add another one instead." }
                (dialog_actions(ButtonStyle::Primary, "Archive field", HERE))
            }
        },
    })
}
