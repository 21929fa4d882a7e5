//! The rules by which concurrent changes are resolved, for the account and for single fields.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use maud::{Markup, html};
use serde_json::{Map, Value as Json, json};

use super::super::super::components::{
    ButtonStyle, Choice, FormField, Icon, button, card, csrf, icon, page_head, radio_group, select, table,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::flash::Flash;
use super::super::super::form::{FieldErrors, Form};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::overview::known_origins;
use super::{HERE, SyncPage, TITLE, pages, values};
use crate::contract::sync_policy;
use crate::domain::{Entity, FieldPolicy, SyncPolicy};

const LEAD: &str = "When two systems change the same field at the same time, these rules say which value stays. The other one is kept among the conflicts.";

/// The rules: their names in the policy, their labels, and what they do.
const RULES: [(&str, &str, &str); 3] = [
    ("incoming_wins", "The later change wins", "The value that arrives last stays."),
    ("existing_wins", "The earlier change wins", "The stored value stays; the rest of the later change applies."),
    (
        "reject",
        "The later change is refused",
        "The stored value stays, and the later write gets an error for this field.",
    ),
];

pub(in crate::console) async fn show(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    let content = content(&console, &session, &Form::default(), &FieldErrors::default()).await?;
    Ok(session.page(Nav::Sync, TITLE, content))
}

pub(in crate::console) async fn set_default(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let changed =
        change(&console, &session, |policy| drop(policy.insert("default".to_owned(), json!(form.text("default")))))
            .await?;
    match changed {
        Ok(()) => {
            Ok(session.redirect(&rules_path(), Flash::success("Saved. The rule applies to changes from now on.")))
        }
        Err(_) => Err(PageError::Invalid("Choose one of the rules.".to_owned())),
    }
}

pub(in crate::console) async fn set_field(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let rule = match form.text("rule") {
        "system_of_record" => json!({"system_of_record": form.text("origin")}),
        rule => json!(rule),
    };
    let field = form.text("field").to_owned();
    let set = |policy: &mut Map<String, Json>| {
        if let Some(Json::Object(fields)) = policy.get_mut("fields") {
            fields.insert(field.clone(), rule);
        }
    };
    let changed = change(&console, &session, set).await?;
    let Err(detail) = changed else {
        let text = format!("Saved. {} has a rule of its own now.", label(&field));
        return Ok(session.redirect(&rules_path(), Flash::success(text)));
    };
    let errors = if form.text("rule") == "system_of_record" && form.filled("origin").is_none() {
        FieldErrors::one("origin", "Choose the system whose values count.")
    } else {
        FieldErrors::one("field", detail)
    };
    Ok(session.invalid_page(Nav::Sync, TITLE, content(&console, &session, &form, &errors).await?))
}

pub(in crate::console) async fn remove_field(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let field = form.text("field").to_owned();
    let remove = |policy: &mut Map<String, Json>| {
        if let Some(Json::Object(fields)) = policy.get_mut("fields") {
            fields.remove(&field);
        }
    };
    change(&console, &session, remove).await?.map_err(PageError::Invalid)?;
    let text = format!("{} follows the general rule again.", label(&field));
    Ok(session.redirect(&rules_path(), Flash::success(text)))
}

fn rules_path() -> String {
    format!("{HERE}/rules")
}

/// Changes the policy under the account's lock, with an audit row. Returns what is wrong with the result.
async fn change(
    console: &Console,
    session: &SessionState,
    change: impl FnOnce(&mut Map<String, Json>),
) -> Result<Result<(), String>, PageError> {
    let opened = console.store.change_account(session.account, &[], Duration::ZERO).await?.ok_or(PageError::Missing)?;
    let mut after: Map<String, Json> = sync_policy::encode(&opened.change.sync_policy().await?)
        .and_then(|text| serde_json::from_str(&text))
        .map_err(|error| PageError::internal(&error.into()))?;
    change(&mut after);
    let after = Json::Object(after);
    let policy = match sync_policy::read(after.clone()) {
        Ok(policy) => policy,
        Err(errors) => {
            opened.change.roll_back().await?;
            let detail = errors.into_list().into_iter().map(|invalid| invalid.detail).next().unwrap_or_default();
            return Ok(Err(detail));
        }
    };
    opened.change.put_sync_policy(&policy).await?;
    opened.change.commit(session.by(&console.clock), "sync_policy.set", &after, None).await?;
    Ok(Ok(()))
}

/// `contact.first_name` as `Contact: First name`.
fn label(field: &str) -> String {
    field.splitn(2, '.').map(values::label).collect::<Vec<_>>().join(": ")
}

async fn content(
    console: &Console,
    session: &SessionState,
    form: &Form,
    errors: &FieldErrors,
) -> Result<Markup, PageError> {
    let policy = console.store.sync_policy(session.account).await?;
    let origins = known_origins(console, session).await?;
    let choices = RULES.map(|(value, label, hint)| Choice { value, label, hint: Some(hint) });
    Ok(html! {
        (page_head(TITLE, LEAD, html! {}))
        (pages(SyncPage::Policy))
        (card("The general rule", "For every field that has no rule of its own.", html! {
            form method="post" action={ (HERE) "/rules" } {
                (csrf(&session.token.csrf()))
                (radio_group("default", "When two systems change a field at the same time", policy.default.name(), &choices))
                div.form-actions { (button(ButtonStyle::Primary, "Save")) }
            }
        }))
        (field_rules(session, &policy))
        (add_rule(session, &origins, form, errors))
    })
}

/// The label of a rule by its name in the policy.
pub(in crate::console::pages) fn rule_label(name: &str) -> Option<&'static str> {
    RULES.iter().find(|(value, ..)| *value == name).map(|(_, label, _)| *label)
}

/// The rule that one system owns a field.
pub(in crate::console::pages) fn owner_words(origin: &str) -> String {
    format!("Only “{origin}” changes it")
}

fn rule_words(rule: &FieldPolicy) -> String {
    match rule {
        FieldPolicy::SystemOfRecord(origin) => owner_words(origin),
        FieldPolicy::IncomingWins | FieldPolicy::ExistingWins | FieldPolicy::Reject => {
            rule_label(rule.name()).unwrap_or_default().to_owned()
        }
    }
}

fn field_rules(session: &SessionState, policy: &SyncPolicy) -> Markup {
    card(
        "Rules for single fields",
        "",
        html! {
            @if policy.fields.is_empty() {
                p.muted { "No field has a rule of its own." }
            } @else {
                (table("Rules for single fields", &["Field", "Rule", "Actions"], html! {
                    @for ((entity, field), rule) in &policy.fields {
                        @let name = format!("{}.{}", entity.name(), field.name());
                        tr {
                            th scope="row" data-label="Field" { (label(&name)) }
                            td data-label="Rule" { (rule_words(rule)) }
                            td.cell-actions data-label="Actions" {
                                form method="post" action={ (HERE) "/rules/fields/remove" } {
                                    (csrf(&session.token.csrf()))
                                    input type="hidden" name="field" value=(name);
                                    button.icon-button type="submit" aria-label={ "Remove the rule of " (label(&name)) } title="Remove the rule" { (icon(Icon::Delete)) }
                                }
                            }
                        }
                    }
                }))
            }
        },
    )
}

fn add_rule(session: &SessionState, origins: &[String], form: &Form, errors: &FieldErrors) -> Markup {
    let fields: Vec<(String, String)> = [Entity::Contact, Entity::Company, Entity::Project]
        .into_iter()
        .flat_map(|entity| entity.fields().iter().map(move |field| format!("{}.{}", entity.name(), field.name())))
        .map(|name| {
            let shown = label(&name);
            (name, shown)
        })
        .collect();
    let fields: Vec<Choice<'_>> = fields.iter().map(|(value, label)| Choice { value, label, hint: None }).collect();
    let systems: Vec<Choice<'_>> =
        origins.iter().map(|origin| Choice { value: origin, label: origin, hint: None }).collect();
    let owned = ("system_of_record", "Only one system changes it", "");
    let rules: Vec<Choice<'_>> =
        RULES.iter().chain([&owned]).map(|(value, label, _)| Choice { value, label, hint: None }).collect();
    card(
        "Add a rule",
        "Overrides the general rule for one field.",
        html! {
            form.by-rule method="post" action={ (HERE) "/rules/fields" } {
                (csrf(&session.token.csrf()))
                div.field-pair {
                    (select(FormField { value: form.text("field"), error: errors.get("field"), ..FormField::new("field", "Field") }, &fields))
                    (select(FormField { value: form.text("rule"), ..FormField::new("rule", "Rule") }, &rules))
                }
                // Shown for the rule that needs it.
                div.when-owned {
                    (select(FormField {
                        value: form.text("origin"), error: errors.get("origin"),
                        hint: Some("The origin whose values count. What others write to this field is kept among the conflicts."),
                        ..FormField::new("origin", "System of record")
                    }, &systems))
                }
                div.form-actions { (button(ButtonStyle::Primary, "Add rule")) }
            }
        },
    )
}
