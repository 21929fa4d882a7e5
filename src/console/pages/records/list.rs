//! A list of records.

use std::sync::Arc;

use axum::extract::State;
use hyper::header::{HeaderName, HeaderValue};
use maud::{Markup, html};

use super::super::super::components::{
    ButtonStyle, Icon, Tone, badge, breakable, empty_state, icon, link_button, page_head, pagination, table, time,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::PageQuery;
use super::super::super::layout;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::attributes::{company_links, role_badge};
use super::list_query::{Arrangement, ListQuery, MAX_TEXT, PAGE_SIZE, PageStart};
use super::{Kind, RecordKind, title_of};
use crate::contract::record;
use crate::domain::{Entity, Field, Record, Role, Value};
use crate::store::StoreError;
use crate::store::console::browse::{BrowsedPage, BrowsedTotal};
use crate::store::lists::Position;
use crate::store::records::StoredRecord;

const HX_REPLACE_URL: HeaderName = HeaderName::from_static("hx-replace-url");

/// The records of a page, with where its neighbours begin.
struct Listed {
    records: Vec<Record>,
    has_previous: bool,
    has_next: bool,
    /// The last row that was read, which may be behind the last record of the page.
    end: Option<Position>,
    /// The number of all records of the list.
    total: BrowsedTotal,
}

pub(in crate::console) async fn list<K: Kind>(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let (kind, query) = (K::KIND, ListQuery::of(&K::KIND, &query));
    let listed = if query.is_deleted {
        deleted(&console, &session, &kind, &query).await?
    } else {
        live(&console, &session, &kind, &query).await?
    };
    let is_bare = is_bare(&console, &session, &kind, &query, &listed).await?;
    let results = results(&session, &kind, &query, &listed);
    let content = html! {
        (page_head(kind.title, kind.lead, html! { @if !is_bare { (actions(&session, &kind, &query)) } }))
        @if !is_bare { (toolbar(&kind, &query)) }
        div #records { (results) }
    };
    let mut response = session.page(kind.nav, kind.title, content);
    if session.visitor.is_partial {
        // Without the parameters that are empty.
        let parameters = query.parameters();
        let separator = if parameters.is_empty() { "" } else { "?" };
        let address = HeaderValue::try_from(format!("{}{separator}{parameters}", kind.path));
        response.headers_mut().extend(address.ok().map(|address| (HX_REPLACE_URL, address)));
    }
    Ok(response)
}

/// Whether the account has no such record at all, deleted ones included: then there is nothing to search or to export.
async fn is_bare(
    console: &Console,
    session: &SessionState,
    kind: &RecordKind,
    query: &ListQuery,
    listed: &Listed,
) -> Result<bool, PageError> {
    let is_empty = listed.records.is_empty() && !listed.has_next && !listed.has_previous;
    if !is_empty || query.is_filtered() || query.is_deleted || query.start != PageStart::First {
        return Ok(false);
    }
    Ok(console.store.deleted_records(session.account, kind.entity, None, 1).await?.is_empty())
}

async fn live(
    console: &Console,
    session: &SessionState,
    kind: &RecordKind,
    query: &ListQuery,
) -> Result<Listed, PageError> {
    let BrowsedPage { page, total } = console.store.browse(session.account, &query.list(kind)).await?;
    let mut records = decode(kind.entity, &page.records)?;
    let is_backwards = matches!(query.start, PageStart::Before(_));
    if is_backwards {
        records.reverse();
    }
    Ok(Listed {
        has_previous: if is_backwards { page.more } else { query.start != PageStart::First },
        has_next: is_backwards || page.more,
        end: page.end,
        total,
        records,
    })
}

async fn deleted(
    console: &Console,
    session: &SessionState,
    kind: &RecordKind,
    query: &ListQuery,
) -> Result<Listed, PageError> {
    let after = match &query.start {
        PageStart::After(position) => Some(position.uid),
        PageStart::First | PageStart::Before(_) => None,
    };
    let mut stored = console.store.deleted_records(session.account, kind.entity, after, PAGE_SIZE + 1).await?;
    let size = usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX);
    let has_next = stored.len() > size;
    stored.truncate(size);
    let records = decode(kind.entity, &stored)?;
    let end = records.last().map(|record| Position { value: None, uid: record.uid });
    Ok(Listed { records, has_previous: false, has_next, end, total: BrowsedTotal::Uncounted })
}

fn decode(entity: Entity, stored: &[StoredRecord]) -> Result<Vec<Record>, PageError> {
    let decode = |stored: &StoredRecord| {
        record::decode(entity, &stored.record)
            .map_err(|error| PageError::from(StoreError::corrupt(entity.name(), "record", stored.uid, error)))
    };
    stored.iter().map(decode).collect()
}

fn actions(session: &SessionState, kind: &RecordKind, query: &ListQuery) -> Markup {
    let parameters = query.parameters();
    html! {
        @if layout::can_manage(session) {
            @if !query.is_deleted {
                (link_button(ButtonStyle::Secondary, Some(Icon::Download), &format!("{}/export?{parameters}", kind.path), "Export CSV"))
            }
            @if kind.entity != Entity::Project {
                (link_button(ButtonStyle::Primary, Some(Icon::Upload), &format!("{}/import", kind.path), "Import CSV"))
            }
        }
    }
}

/// The search and the filters. Typing searches at once; without scripts the button does.
fn toolbar(kind: &RecordKind, query: &ListQuery) -> Markup {
    let has_roles = kind.entity != Entity::Project;
    html! {
        form.toolbar method="get" action=(kind.path) role="search" hx-target="#records" hx-select="#records" hx-swap="outerHTML"
            hx-replace-url="true" hx-include="closest form" hx-sync="this:replace" {
            @if let Some(company) = query.company { input type="hidden" name="company" value=(company); }
            label.search {
                span.visually-hidden { "Search " (kind.nouns) }
                (icon(Icon::Search))
                input type="search" name="q" value=(query.text) maxlength=(MAX_TEXT) placeholder=(kind.searched) autocomplete="off"
                    hx-get=(kind.path) hx-trigger="input changed delay:250ms";
            }
            @if has_roles {
                label.filter {
                    span { "Role" }
                    select name="role" hx-get=(kind.path) hx-trigger="change" {
                        option value="" { "All" }
                        @for role in Role::ALL { option value=(role.name()) selected[query.role == Some(role)] { (role.name()) } }
                    }
                }
                label.filter {
                    span { "Tag" }
                    input type="text" name="tag" value=(query.tag) maxlength=(MAX_TEXT) autocomplete="off" autocapitalize="off"
                        hx-get=(kind.path) hx-trigger="input changed delay:250ms";
                }
            }
            label.filter {
                span { "Sort" }
                select name="order" hx-get=(kind.path) hx-trigger="change" {
                    @for arrangement in Arrangement::ALL {
                        option value=(arrangement.name()) selected[query.arrangement == arrangement] { (arrangement.label(kind)) }
                    }
                }
            }
            label.filter {
                span { "Show" }
                select name="state" hx-get=(kind.path) hx-trigger="change" {
                    option value="" { "Active" }
                    option value="deleted" selected[query.is_deleted] { "Deleted" }
                }
            }
            button.button type="submit" { "Search" }
        }
    }
}

fn results(session: &SessionState, kind: &RecordKind, query: &ListQuery, listed: &Listed) -> Markup {
    let is_backwards = matches!(query.start, PageStart::Before(_));
    let position = |record: Option<&Record>| record.map(|record| query.position(record));
    let edge = |name: &str, position: Option<Position>, is_there: bool| {
        position.filter(|_| is_there).map(|position| query.page(kind, name, &position))
    };
    // The side to which the page was read continues behind the last row that was read.
    let (first, last) = (position(listed.records.first()), position(listed.records.last()));
    let (first, last) = if is_backwards { (listed.end.clone(), last) } else { (first, listed.end.clone()) };
    let previous = edge("before", first, listed.has_previous && !query.is_deleted);
    let next = edge("after", last, listed.has_next);
    let goes_on = if is_backwards { previous.as_deref() } else { next.as_deref() };
    html! {
        h2.visually-hidden { (kind.title) " found" }
        @if let Some(company) = query.company {
            p.filter-note {
                "Contacts of " a href={ "/console/companies/" (company) } { "one company" } ". "
                a href=(kind.path) { "Show all contacts" }
            }
        }
        @if let (Some(goes_on), true) = (goes_on, listed.records.is_empty()) {
            (searching_on(kind, goes_on))
        } @else if listed.records.is_empty() {
            (nothing(session, kind, query))
        } @else {
            (records_table(session, kind, query, &listed.records))
            (pagination(&summary(kind, listed), previous.as_deref(), next.as_deref()))
        }
    }
}

/// A page on which nothing matched, of a list that goes on: scripts load the next page at once, until one has a record.
fn searching_on(kind: &RecordKind, next: &str) -> Markup {
    let link = link_button(ButtonStyle::Secondary, Some(Icon::Next), next, "Search on");
    let text = format!("No match among the {} that were looked through so far.", kind.nouns);
    html! {
        div hx-get=(next) hx-trigger="load" hx-target="#records" hx-select="#records" hx-swap="outerHTML" hx-sync=".toolbar:abort" {
            (empty_state(Icon::Search, "Searching", &text, link))
        }
    }
}

fn summary(kind: &RecordKind, listed: &Listed) -> String {
    let shown = u64::try_from(listed.records.len()).unwrap_or_default();
    let number = |total: i64| u64::try_from(total).unwrap_or_default();
    let (more, total) = match listed.total {
        BrowsedTotal::Uncounted if listed.has_previous || listed.has_next => {
            return format!("{} on this page", text::count(shown, kind.noun, kind.nouns));
        }
        BrowsedTotal::Uncounted => ("", shown),
        BrowsedTotal::Exactly(total) => ("", number(total)),
        BrowsedTotal::MoreThan(total) => ("more than ", number(total)),
    };
    if total > shown {
        format!("{} of {more}{}", text::thousands(shown), text::count(total, kind.noun, kind.nouns))
    } else {
        text::count(shown, kind.noun, kind.nouns)
    }
}

/// The state of a list without records: why it is empty, and the next step.
fn nothing(session: &SessionState, kind: &RecordKind, query: &ListQuery) -> Markup {
    let all = |label| link_button(ButtonStyle::Secondary, None, kind.path, label);
    if query.is_deleted {
        let title = format!("No deleted {}", kind.nouns);
        let text = format!("A {} that is deleted stays here with its history, and can be restored.", kind.noun);
        return empty_state(Icon::Delete, &title, &text, all("Show active"));
    }
    if query.is_filtered() || query.start != PageStart::First {
        let searched =
            if query.text.is_empty() { String::new() } else { format!("Nothing matches “{}”. ", query.text) };
        let text = format!("{searched}Try a part of a word, or fewer filters.");
        return empty_state(Icon::Search, &format!("No {} found", kind.nouns), &text, all("Clear search and filters"));
    }
    let can_manage = layout::can_manage(session);
    let text = match (can_manage, kind.entity) {
        (true, Entity::Project) => "Create the first one with the Secure API. It shows here at once.",
        (true, _) => "Import a CSV file, or create the first one with the Secure API. It shows here at once.",
        (false, _) => "They show here as soon as a connected system sends some. An Admin can connect one.",
    };
    let action = html! {
        @if can_manage {
            div.empty-actions {
                @if kind.entity != Entity::Project {
                    (link_button(ButtonStyle::Primary, Some(Icon::Upload), &format!("{}/import", kind.path), "Import CSV"))
                }
                (link_button(ButtonStyle::Secondary, None, "/console/integrations", "Connect a system"))
            }
        }
    };
    empty_state(kind.icon, &format!("No {} yet", kind.nouns), text, action)
}

fn records_table(session: &SessionState, kind: &RecordKind, query: &ListQuery, records: &[Record]) -> Markup {
    let changed = if query.is_deleted { "Deleted" } else { "Changed" };
    let heads: &[&str] = if kind.entity == Entity::Contact {
        &["Name", "Email", "Phone", "Companies", "Role", changed]
    } else if kind.entity == Entity::Company {
        &["Name", "Category", "Phone", "Primary contact", "Role", changed]
    } else {
        &["Name", "Status", "Start", "End", changed]
    };
    let caption = if query.is_deleted { format!("Deleted {}", kind.nouns) } else { kind.title.to_owned() };
    table(
        &caption,
        heads,
        html! {
            @for record in records {
                tr {
                    th scope="row" data-label="Name" {
                        a.record-link href={ (kind.path) "/" (record.uid) } { (breakable(&title_of(record))) }
                        @if record.deleted { (badge(Tone::Danger, if record.erased { "erased" } else { "deleted" })) }
                    }
                    (cells(kind, record))
                    td data-label=(changed) { (time(record.updated_at, session.now)) }
                }
            }
        },
    )
}

fn cells(kind: &RecordKind, record: &Record) -> Markup {
    let text = |label: &str, field| {
        html! {
            td data-label=(label) { @match record.text(field) { Some(value) => (shown(field, value)), None => (absent()) } }
        }
    };
    let role = html! {
        td data-label="Role" {
            @match record.fields.get(&Field::Role) { Some(Value::Role(role)) => (role_badge(*role)), _ => (absent()) }
        }
    };
    if kind.entity == Entity::Contact {
        html! {
            (text("Email", Field::Email))
            (text("Phone", Field::Phone))
            td data-label="Companies" {
                @match record.fields.get(&Field::Companies) {
                    Some(Value::Links(links)) if !links.is_empty() => (company_links(links)),
                    _ => (absent()),
                }
            }
            (role)
        }
    } else if kind.entity == Entity::Company {
        html! {
            (text("Category", Field::Category))
            (text("Phone", Field::Phone))
            td data-label="Primary contact" {
                @match record.fields.get(&Field::PrimaryContact) {
                    Some(Value::Person(person)) => a href={ "/console/contacts/" (person.uid) } {
                        (person.first_name) " " (person.last_name)
                    },
                    _ => (absent()),
                }
            }
            (role)
        }
    } else {
        html! {
            (text("Status", Field::Status))
            (text("Start", Field::StartDate))
            (text("End", Field::EndDate))
        }
    }
}

/// A cell without a value.
fn absent() -> Markup {
    html! { span.muted.absent aria-hidden="true" { "–" } span.visually-hidden { "none" } }
}

/// A text in its cell: an address breaks at its marks, and a number not at all.
fn shown(field: Field, value: &str) -> Markup {
    html! {
        @match field {
            Field::Email => span.cell-email { (breakable(value)) },
            Field::Status => (badge(Tone::Neutral, value)),
            Field::StartDate | Field::EndDate => span.no-wrap { (text::date(value)) },
            Field::Phone => span.no-wrap { (value) },
            _ => (value),
        }
    }
}
