//! Audit: who changed what, when, and from where.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::components::{
    ButtonStyle, Choice, Icon, breakable, empty_state, exact_time, link_button, page_head, pagination, table,
};
use super::super::error::{PageError, PageResult};
use super::super::form::{Form, PageQuery};
use super::super::layout::Nav;
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use super::audit_words::{DetailNames, details, words};
use super::dashboard::name_of;
use crate::contract::timestamp;
use crate::domain::Timestamp;
use crate::store::console::audit_list::{AuditEntry, AuditFilter, AuditPage};

const TITLE: &str = "Audit";
const HERE: &str = "/console/audit";

/// Entries of a page.
const PAGE: usize = 50;

/// Entries of a file: more are left out, and the filter narrows them.
const MAX_EXPORT: i64 = 10_000;

/// Kinds of entries, by the beginnings of their actions.
const KINDS: [Choice<'_>; 14] = [
    Choice { value: "", label: "Everything", hint: None },
    Choice { value: "key.", label: "Secret Keys", hint: None },
    Choice { value: "account.", label: "Account and settings", hint: None },
    Choice { value: "brand.", label: "Platform Branding", hint: None },
    Choice { value: "user.", label: "Team and sign-ins", hint: None },
    Choice { value: "push.", label: "Push Endpoints", hint: None },
    Choice { value: "sync", label: "Sync: conflicts, undo and rules", hint: None },
    Choice { value: "consumer.", label: "Sync: consumers", hint: None },
    Choice { value: "contact.", label: "Contacts: import, export, restore", hint: None },
    Choice { value: "company.", label: "Companies: import, export, restore", hint: None },
    Choice { value: "project.", label: "Projects: export, restore", hint: None },
    Choice { value: "field.", label: "Custom Fields", hint: None },
    Choice { value: "audience.", label: "Marketing Audiences", hint: None },
    Choice { value: "log.", label: "Event log", hint: None },
];

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let filter = filter(&query);
    let AuditPage { entries, next } = console.store.audit_page(session.account, &filter, PAGE).await?;
    let names = DetailNames {
        tiers: &console.config.quota.tiers,
        endpoints: endpoint_names(&console, &session, &entries).await?,
    };
    Ok(session.page(Nav::Audit, TITLE, content((&session, &names), &query, &entries, next)))
}

/// The names of the push endpoints, where an entry is of one.
async fn endpoint_names(
    console: &Console,
    session: &SessionState,
    entries: &[AuditEntry],
) -> Result<HashMap<Uuid, String>, PageError> {
    if !entries.iter().any(|entry| entry.action.starts_with("push.")) {
        return Ok(HashMap::new());
    }
    let endpoints = console.store.endpoints(session.account).await?;
    Ok(endpoints.iter().map(|state| (state.endpoint.endpoint_id, name_of(state))).collect())
}

/// The same entries as a file.
pub(in crate::console) async fn export(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let entries = console.store.audit_entries(session.account, &filter(&query), MAX_EXPORT).await?;
    let bytes = csv_of(&entries).map_err(|error| PageError::internal(&error))?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit.csv\""));
    Ok(response)
}

fn filter(query: &Form) -> AuditFilter {
    let day = |name: &str| query.filled(name).and_then(|day| timestamp::parse(&format!("{day}T00:00:00Z")));
    AuditFilter {
        before: query.get("before").and_then(|id| id.parse().ok()),
        actor: query.filled("actor").map(str::to_owned),
        action: query.filled("kind").map(str::to_owned),
        from: day("from"),
        until: day("until").map(|day: Timestamp| day + time::Duration::days(1)),
    }
}

fn csv_of(entries: &[AuditEntry]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["at", "actor", "action", "detail", "address"])?;
    for entry in entries {
        let address = entry.address.map(|address| address.to_string()).unwrap_or_default();
        let at = timestamp::seconds(entry.at);
        writer.write_record([&at, &harmless(&entry.actor), &entry.action, &harmless(&entry.detail), &address])?;
    }
    Ok(writer.into_inner()?)
}

/// A text that a spreadsheet takes for a formula gets an apostrophe in front.
fn harmless(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

fn content(
    (session, names): (&SessionState, &DetailNames<'_>),
    query: &Form,
    entries: &[AuditEntry],
    next: Option<Uuid>,
) -> Markup {
    let is_filtered = ["actor", "kind", "from", "until"].iter().any(|name| query.filled(name).is_some());
    let link = |path: &str, before: Option<Uuid>| {
        let mut address = url::form_urlencoded::Serializer::new(String::new());
        for name in ["kind", "actor", "from", "until"] {
            if let Some(value) = query.filled(name) {
                address.append_pair(name, value);
            }
        }
        if let Some(before) = before {
            address.append_pair("before", &before.to_string());
        }
        format!("{HERE}{path}?{}", address.finish())
    };
    let download = link_button(ButtonStyle::Secondary, Some(Icon::Download), &link("/export", None), "Export CSV");
    html! {
        (page_head(TITLE, "Who changed this account, when, and from where. Entries are never changed or deleted.", download))
        (filters(query))
        @if let (Some(next), true) = (next, entries.is_empty()) {
            @let on = link_button(ButtonStyle::Secondary, Some(Icon::Next), &link("", Some(next)), "Search on");
            (empty_state(Icon::Audit, "Nothing yet", "No match among the newer entries, which were looked through so far.", on))
        } @else if entries.is_empty() {
            (empty_state(
                Icon::Audit,
                if is_filtered { "Nothing matches" } else { "Nothing has happened yet" },
                if is_filtered { "Choose another filter." } else { "Every change of keys, settings and people is listed here." },
                html! { @if is_filtered { a.button href=(HERE) { "Show everything" } } },
            ))
        } @else {
            div.audit {
                (table("Audit", &["Time", "User", "Action", "Details", "IP address"], html! {
                    @for entry in entries { (entry_row(session, names, entry)) }
                }))
            }
            @let previous = query.get("before").map(|_| link("", None));
            (pagination("Newest first", previous.as_deref(), next.map(|next| link("", Some(next))).as_deref()))
        }
    }
}

fn filters(query: &Form) -> Markup {
    let input = |kind: &str, name: &str, label: &str| {
        html! { label.filter { span { (label) } input type=(kind) name=(name) value=(query.text(name)) autocomplete="off"; } }
    };
    html! {
        form.toolbar.audit-filters method="get" action=(HERE) {
            label.filter {
                span { "Action" }
                select name="kind" {
                    @for Choice { value, label, .. } in KINDS { option value=(value) selected[query.text("kind") == value] { (label) } }
                }
            }
            (input("text", "actor", "User"))
            (input("date", "from", "From"))
            (input("date", "until", "To"))
            button.button type="submit" { "Filter" }
        }
    }
}

fn entry_row(session: &SessionState, names: &DetailNames<'_>, entry: &AuditEntry) -> Markup {
    let AuditEntry { at, actor, action, address, .. } = entry;
    html! {
        tr {
            th scope="row" data-label="Time" { (exact_time(*at, session.now)) }
            td data-label="User" { span { (breakable(actor)) @if let Some(note) = actor_note(actor) { small.cell-note { (note) } } } }
            td data-label="Action" { (words(action)) }
            td data-label="Details" { (details(entry, names)) }
            td data-label="IP address" { @match address { Some(address) => { code { (address) } } None => { span.muted.absent { "–" } } } }
        }
    }
}

/// Who stands behind a name that is no user's.
fn actor_note(actor: &str) -> Option<&'static str> {
    match actor {
        "operator" => Some("by the command line of the service"),
        "dev" => Some("the set-up of a development service"),
        _ => None,
    }
}
