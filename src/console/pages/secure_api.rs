//! Integrations → Secure API: everything that an account needs to connect, in the order of the page.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use hyper::header::{CACHE_CONTROL, HeaderValue};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::PATH;
use super::super::components::chart::columns;
use super::super::components::code::code_block;
use super::super::components::dialog::{dialog_actions, dialog_icon};
use super::super::components::{
    ButtonStyle, Choice, Dialog, FormField, Icon, Tone, badge, button, card, checkbox, copy_row, csrf, dialog,
    dialog_link, empty_state, icon, notice, page_head, radio_group, table, text_field, time,
};
use super::super::error::{PageError, PageResult};
use super::super::flash::Flash;
use super::super::form::{FieldErrors, Form, PageQuery};
use super::super::layout::{self, Nav};
use super::super::live::{self, LivePart};
use super::super::session::{ConsoleSession, SessionState, redirect};
use super::super::state::Console;
use super::super::text;
use super::monthly_quota::MonthlyQuota;
use crate::contract::timestamp;
use crate::domain::Timestamp;
use crate::domain::account::OnMissing;
use crate::http::BASE;
use crate::keys::{KeyError, MAX_KEY_NAME, Terms, parse_key_name};
use crate::quota::Usage;
use crate::store::keys::ListedKey;

const TITLE: &str = "Secure API";
const HERE: &str = "/console/integrations/secure-api";

/// The first of the tabs that a session sees.
pub(in crate::console) async fn integrations(session: ConsoleSession) -> Response {
    redirect(&format!("{PATH}{}", layout::first_integration(&session)))
}

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let keys = console.store.keys(session.account).await?;
    let opened = match (query.get("dialog"), query.get("key").and_then(|key| key.parse::<Uuid>().ok())) {
        (Some("add-key"), _) => Some(add_dialog(&session, &Form::default(), &FieldErrors::default())),
        (Some("delete-key"), Some(id)) => {
            keys.iter().find(|key| key.key_id == id).map(|key| delete_dialog(&session, key))
        }
        _ => None,
    };
    let content = content(&console, &session, &keys, opened, None).await?;
    Ok(session.page(Nav::SecureApi, TITLE, content))
}

/// The quota as it moves.
pub(in crate::console) async fn live(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    live::stream(&console, &session, |console, session| async move {
        let usage = current_usage(&console, &session).await?;
        Ok(vec![LivePart { name: "quota", markup: quota(&console, &session, &usage) }])
    })
}

pub(in crate::console) async fn add_key(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let terms = match terms(&form) {
        Ok(terms) => terms,
        Err(errors) => return invalid(&console, &session, &form, &errors).await,
    };
    let name = terms.name.clone();
    match console.keys.add(session.account, terms, session.by(&console.clock)).await {
        Ok(added) => {
            let keys = console.store.keys(session.account).await?;
            let new = NewKey { key_id: added.key_id, name: &name, secret: added.secret.text() };
            let content = content(&console, &session, &keys, None, Some(new)).await?;
            // Shown on the page of the form alone, so that the key is in no address and in no history.
            Ok(session.page(Nav::SecureApi, TITLE, content))
        }
        Err(KeyError::Expired) => {
            let errors = FieldErrors::one("expires", "Choose a day that is not over.");
            invalid(&console, &session, &form, &errors).await
        }
        Err(error) => Err(refused(error)),
    }
}

/// Returns the whole key as text, for the clipboard alone. That it was revealed is in the audit.
pub(in crate::console) async fn reveal_key(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(key): Path<Uuid>,
) -> PageResult {
    let secret = console.keys.reveal(session.account, key, session.by(&console.clock)).await.map_err(refused)?;
    let mut response = secret.text().to_owned().into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

pub(in crate::console) async fn delete_key(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(key): Path<Uuid>,
) -> PageResult {
    match console.keys.delete(session.account, key, session.by(&console.clock)).await {
        Ok(()) => Ok(session.redirect(HERE, Flash::success("The Secret Key was deleted. Its next call is refused."))),
        Err(KeyError::NoKey) => Ok(session.redirect(HERE, Flash::failure("This Secret Key was deleted before."))),
        Err(error) => Err(refused(error)),
    }
}

pub(in crate::console) async fn set_behavior(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    form: Form,
) -> PageResult {
    let invalid = || PageError::Invalid("Choose one of the two behaviors.".to_owned());
    let behavior = OnMissing::from_name(form.text("behavior")).ok_or_else(invalid)?;
    console.store.set_on_missing(session.account, behavior, session.by(&console.clock)).await?;
    let text = match behavior {
        OnMissing::Fail => "Saved. Requests for missing items now fail.",
        OnMissing::Succeed => "Saved. Requests for missing items are now treated as successful.",
    };
    Ok(session.redirect(HERE, Flash::success(text)))
}

/// The name and the permissions of a new key, from its form.
fn terms(form: &Form) -> Result<Terms, FieldErrors> {
    let mut errors = FieldErrors::default();
    let mut name =
        |field: &str, text: &str| parse_key_name(text).map_err(|error| errors.add(field, error)).unwrap_or_default();
    let key_name = name("name", form.text("name"));
    let origin = form.filled("origin").map(|origin| name("origin", origin));
    let expires = form.filled("expires").map(|day| timestamp::parse(&format!("{day}T23:59:59Z")));
    if expires == Some(None) {
        errors.add("expires", "Choose a day.");
    }
    let origin = origin.unwrap_or_else(|| key_name.clone());
    let terms = Terms { name: key_name, origin, expires_at: expires.flatten(), read_only: form.is_on("read_only") };
    if errors.is_empty() { Ok(terms) } else { Err(errors) }
}

/// The page with the dialog open and its errors beside the fields.
async fn invalid(console: &Console, session: &ConsoleSession, form: &Form, errors: &FieldErrors) -> PageResult {
    let keys = console.store.keys(session.account).await?;
    let content = content(console, session, &keys, Some(add_dialog(session, form, errors)), None).await?;
    Ok(session.invalid_page(Nav::SecureApi, TITLE, content))
}

fn refused(error: KeyError) -> PageError {
    match error {
        KeyError::NoAccount | KeyError::NoKey => PageError::Missing,
        KeyError::Store(error) => PageError::Store(error),
        error @ (KeyError::Known | KeyError::Expired | KeyError::NotKept | KeyError::NotOpened) => {
            PageError::Invalid(format!("{error}."))
        }
    }
}

/// A key that was added a moment ago.
struct NewKey<'a> {
    key_id: Uuid,
    name: &'a str,
    secret: &'a str,
}

async fn content(
    console: &Console,
    session: &SessionState,
    keys: &[ListedKey],
    opened: Option<Markup>,
    new: Option<NewKey<'_>>,
) -> Result<Markup, PageError> {
    let usage = current_usage(console, session).await?;
    let base = format!("{}{BASE}", session.visitor.service_url.0);
    Ok(html! {
        (page_head(TITLE, "Everything your systems need to connect to this account.", html! {}))
        @if let Some(new) = &new { (added_notice(session, &base, new)) }
        (card("Authentication Information", "", html! {
            dl.copy-list { (copy_row("Base URL", &base)) }
            p.live-docs {
                strong { "Live Documentation" }
                span { "A fully white-labeled reference guide, accessible to anyone without login credentials. Connect and test your integration there." }
                a.docs-link href={ (BASE) "/swagger" } target="_blank" rel="noopener" {
                    "CLICK HERE to view the Live API Documentation" (icon(Icon::External))
                    span.visually-hidden { " (opens in a new tab)" }
                }
            }
        }))
        (card("API Limits", "Your account has monthly API call limits based on your subscription tier.", html! {
            div data-live={ (HERE) "/live" } {
                div data-live-part="quota" { (quota(console, session, &usage)) }
            }
        }))
        (credentials(session, keys, new.as_ref().map(|new| new.key_id)))
        (behavior(session))
        @if let Some(opened) = opened { (opened) }
    })
}

/// The calls of this month, with those that this replica knows of already.
async fn current_usage(console: &Console, session: &SessionState) -> Result<Usage, PageError> {
    Ok(Usage::read(&console.store, session.account).await?)
}

fn quota(console: &Console, session: &SessionState, usage: &Usage) -> Markup {
    let month = MonthlyQuota::of(console, session, usage);
    let days: Vec<(String, u64)> = usage
        .days
        .iter()
        .map(|(date, calls)| {
            let day = text::day_of_month(date.midnight().assume_utc());
            (format!("{day}: {}", text::count(*calls, "call", "calls")), *calls)
        })
        .collect();
    html! {
        div.quota {
            (month.line())
            @if month.left() == 0 {
                (notice(Tone::Danger, html! { "Every call of this month is used. Further calls are refused until " (month.resets()) "." }))
            }
            figure.chart {
                figcaption { @if usage.used == 0 { "No calls yet this month. Each day gets a column here." } @else { "Calls per day" } }
                (columns(&format!("Calls per day this month, {} in all", text::thousands(usage.used)), &days))
                div.chart-ends aria-hidden="true" {
                    @if let Some((first, _)) = usage.days.first() { span { (text::day_of_month(first.midnight().assume_utc())) } }
                    @if let Some((last, _)) = usage.days.last() { span { (text::day_of_month(last.midnight().assume_utc())) } }
                }
            }
        }
    }
}

fn added_notice(session: &SessionState, base: &str, new: &NewKey<'_>) -> Markup {
    html! {
        div.notice.tone-success role="status" {
            (icon(Icon::Check))
            div {
                p { strong { "Secret Key “" (new.name) "” was added." } " Copy it now and keep it where your integration reads its secrets." }
                dl.copy-list { (copy_row("Secret Key", new.secret)) }
            }
        }
        section.card {
            header.card-head { h2 { "Your first call" } p { "Run it in a terminal. The contact is in " a href="/console/contacts" { "Contacts" } " at once." } }
            (code_block("Create a contact", &first_call(session, base, new.secret)))
        }
    }
}

/// A command that creates a contact, with the credentials in it.
fn first_call(session: &SessionState, base: &str, secret: &str) -> String {
    format!(
        "curl -sS {base}/contact \\\n  -H 'X-Public-ID: {}' \\\n  -H 'X-Secret-Key: {secret}' \\\n  \
         -d '{{\"role\":\"Lead\",\"first_name\":\"Ada\",\"last_name\":\"Lovelace\",\"email\":\"ada@example.com\"}}'",
        session.account,
    )
}

fn credentials(session: &SessionState, keys: &[ListedKey], new: Option<Uuid>) -> Markup {
    let add = dialog_link(ButtonStyle::Primary, None, &format!("{HERE}?dialog=add-key"), "+ Add Secret Key");
    html! {
        section.card {
            header.card-head.with-actions {
                div { h2 { "API Authorization Credentials" } p { "Send the Public ID and one Secret Key with every call." } }
                @if !keys.is_empty() { (add) }
            }
            dl.copy-list { (copy_row("Public ID", &session.account.to_string())) }
            @if keys.is_empty() {
                (empty_state(
                    Icon::Key,
                    "No Secret Keys yet",
                    "Each system that connects gets a key of its own, so that one can be deleted without the others.",
                    add,
                ))
            } @else {
                (table("Secret Keys", &["Name", "Secret Key", "Origin", "Created", "Last used", "Actions"], html! {
                    @for key in keys { (key_row(session, key, new == Some(key.key_id))) }
                }))
            }
        }
    }
}

/// The end of a key is a warning in its last month.
fn expiry_tone(expires: Timestamp, now: Timestamp) -> Tone {
    if expires - now < time::Duration::days(30) { Tone::Warning } else { Tone::Neutral }
}

fn key_row(session: &SessionState, key: &ListedKey, is_new: bool) -> Markup {
    let ListedKey { key_id, name, origin, is_kept, expires_at, read_only, created_at, last_used_at, prefix } = key;
    html! {
        tr.is-new[is_new] {
            th scope="row" data-label="Name" {
                div.cell-names {
                    span { (name) }
                    @if *read_only { (badge(Tone::Neutral, "read-only")) }
                    @if let Some(expires) = expires_at {
                        @if *expires <= session.now { (badge(Tone::Danger, "expired")) }
                        @else { (badge(expiry_tone(*expires, session.now), &format!("expires {}", text::day(*expires)))) }
                    }
                }
            }
            td data-label="Secret Key" { code.no-wrap { @if prefix.is_empty() { "••••••••••••" } @else { (prefix) "…" } } }
            td data-label="Origin" { (origin) }
            td data-label="Created" { (time(*created_at, session.now)) }
            td data-label="Last used" {
                @match last_used_at { Some(at) => { (time(*at, session.now)) } None => { span.muted { "never" } } }
            }
            td.cell-actions data-label="Actions" {
                @if *is_kept {
                    form method="post" action={ (HERE) "/keys/" (key_id) "/reveal" } data-copy-from {
                        (csrf(&session.token.csrf()))
                        button.icon-button.copy type="submit" aria-label={ "Copy the Secret Key " (name) } title="Copy the whole key" {
                            (icon(Icon::Copy)) span.copied aria-hidden="true" { (icon(Icon::Check)) }
                        }
                    }
                }
                (dialog_icon(Icon::Delete, &format!("{HERE}?dialog=delete-key&key={key_id}"), &format!("Delete the Secret Key {name}")))
            }
        }
    }
}

fn add_dialog(session: &SessionState, form: &Form, errors: &FieldErrors) -> Markup {
    let has_more = ["origin", "expires"].iter().any(|field| errors.get(field).is_some());
    dialog(Dialog {
        id: "add-key",
        title: "Add Secret Key",
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/keys" } {
                (csrf(&session.token.csrf()))
                (text_field(FormField {
                    value: form.text("name"), error: errors.get("name"), max_length: Some(MAX_KEY_NAME),
                    hint: Some("The system that will use it, such as Website or Zapier."), ..FormField::new("name", "Name")
                }))
                details.more open[has_more] {
                    summary { "More options" }
                    (text_field(FormField {
                        value: form.text("origin"), error: errors.get("origin"), max_length: Some(MAX_KEY_NAME), is_required: false,
                        hint: Some("Everything that is written with the key carries this name. Without one it is the key's name."),
                        ..FormField::new("origin", "Origin")
                    }))
                    (text_field(FormField {
                        kind: "date", value: form.text("expires"), error: errors.get("expires"), is_required: false,
                        hint: Some("The key works until the end of this day (UTC)."), ..FormField::new("expires", "Expires")
                    }))
                    (checkbox("read_only", "Read-only", Some("The key may read, and changes nothing."), form.is_on("read_only")))
                }
                @if session.show_once {
                    (notice(Tone::Info, html! { "This account shows a key once: copy it on the next page." }))
                }
                (dialog_actions(ButtonStyle::Primary, "Save", HERE))
            }
        },
    })
}

fn delete_dialog(session: &SessionState, key: &ListedKey) -> Markup {
    dialog(Dialog {
        id: "delete-key",
        title: &format!("Delete the Secret Key “{}”?", key.name),
        close: HERE,
        content: html! {
            form method="post" action={ (HERE) "/keys/" (key.key_id) "/delete" } {
                (csrf(&session.token.csrf()))
                p {
                    @if !key.prefix.is_empty() { code { (key.prefix) "…" } ", " }
                    @match key.last_used_at { Some(at) => { "last used " (time(at, session.now)) ". " } None => "never used. " }
                }
                p { "The next call of the system that uses it will be refused, and its open connections will be cut. This cannot be undone." }
                (dialog_actions(ButtonStyle::Danger, "Delete Secret Key", HERE))
            }
        },
    })
}

fn behavior(session: &SessionState) -> Markup {
    const CHOICES: [Choice<'_>; 2] = [
        Choice {
            value: "fail",
            label: "Fail the request",
            hint: Some("The API returns an error response when no matching item is found."),
        },
        Choice {
            value: "succeed",
            label: "Treat as successful",
            hint: Some(
                "The API marks the request as successful even if no item exists. This setting is recommended for automation \
                 platforms like Pabbly, Zapier, and Make, which interpret non-successful responses as failures.",
            ),
        },
    ];
    card(
        "Behavior Settings",
        "Configure how your API handles missing or unknown items.",
        html! {
            form method="post" action={ (HERE) "/behavior" } {
                (csrf(&session.token.csrf()))
                (radio_group("behavior", "When an item is missing or unknown", session.on_missing.name(), &CHOICES))
                div.form-actions { (button(ButtonStyle::Primary, "Save")) }
            }
        },
    )
}
