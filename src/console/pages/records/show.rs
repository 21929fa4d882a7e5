//! A record: its attributes, links, references and origins, its history, and how it was at an earlier position of the log.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};

use super::super::super::components::dialog::dialog_actions;
use super::super::super::components::{
    ButtonStyle, Dialog, Icon, Tone, badge, breakable, card, copy_row, csrf, dialog, dialog_link, link_button, notice,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::PageQuery;
use super::super::super::layout;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::attributes::attributes;
use super::names::Names;
use super::timeline::{History, PAGE, slider, timeline};
use super::{Kind, RecordKind, record_path, title_of};
use crate::contract::record::{self, parse_uid};
use crate::domain::{Entity, Field, Record, Seq, Target, Timestamp, Value};
use crate::store::StoreError;
use crate::store::history::PastState;
use crate::store::records::StoredRecord;

/// The sentence below the attributes' heading: the console has no form for them.
const ATTRIBUTES: &str = "Changed by your connected systems, through the Secure API, or by an import.";

/// The record as the page shows it.
enum Shown {
    Now,
    /// As it was at a position; with the time of that position, where the page knows it.
    Then {
        at: Seq,
        record: Box<Record>,
        since: Option<Timestamp>,
    },
    NotCreated {
        at: Seq,
    },
    TooFar {
        at: Seq,
    },
}

pub(in crate::console) async fn show<K: Kind>(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(uid): Path<String>,
    query: PageQuery,
) -> PageResult {
    let kind = K::KIND;
    let uid = parse_uid(&uid).ok_or(PageError::Missing)?;
    let stored = console.store.record(session.account, kind.entity, &Target::Uid(uid)).await?;
    let stored = stored.ok_or(PageError::Missing)?;
    let history = history(&console, &session, &stored, &query).await?;
    let shown = shown(&console, &session, kind.entity, &stored, &history, &query).await?;
    let now = decode(kind.entity, &stored)?;
    let record = match &shown {
        Shown::Then { record, .. } => record,
        Shown::Now | Shown::NotCreated { .. } | Shown::TooFar { .. } => &now,
    };
    let names = Names::read(&console, session.account, record, &history.events).await?;
    let path = format!("{}/{uid}", kind.path);
    let title = title_of(&now);
    let is_restorable = now.deleted && !now.erased && now.merged_into.is_none() && layout::can_manage(&session);
    let at = match &shown {
        Shown::Now => None,
        Shown::Then { at, .. } | Shown::NotCreated { at } | Shown::TooFar { at } => Some(*at),
    };
    let content = html! {
        (head(&kind, (&now, record), &path, is_restorable))
        (slider(&path, &history, at))
        (body(&session, &path, &history, &names, &shown, &now))
        @if is_restorable && query.get("dialog") == Some("restore") { (restore_dialog(&session, &kind, &path, &title)) }
    };
    Ok(session.page(kind.nav, &title, content))
}

async fn history(
    console: &Console,
    session: &SessionState,
    stored: &StoredRecord,
    query: &PageQuery,
) -> Result<History, PageError> {
    let from = query.get("from").and_then(|seq| seq.parse().ok()).map(Seq);
    let page = match from {
        Some(from) => console.store.history(session.account, stored.uid, from, PAGE).await?,
        None => None,
    };
    // A position at which the record has no event leads to the beginning of its history.
    let page = match page {
        Some(page) => Some(page),
        None => console.store.history(session.account, stored.uid, stored.version, PAGE).await?,
    };
    let page =
        page.ok_or_else(|| StoreError::corrupt("event", "seq", stored.uid, "the record's version has no event"))?;
    Ok(History::of(&page, stored.uid, stored.version)?)
}

/// The state that the address asks for: by the number of an event (`at`), or by that of the slider (`version`).
async fn shown(
    console: &Console,
    session: &SessionState,
    entity: Entity,
    stored: &StoredRecord,
    history: &History,
    query: &PageQuery,
) -> Result<Shown, PageError> {
    let by_slider =
        query.get("version").and_then(|number| number.parse().ok()).and_then(|number| history.version(number));
    let at = query.get("at").and_then(|seq| seq.parse().ok()).map(Seq).or(by_slider);
    let Some(at) = at.filter(|at| *at < stored.version && *at >= Seq::ZERO) else { return Ok(Shown::Now) };
    if let Some(event) = history.at(at) {
        return Ok(Shown::Then { at, record: Box::new(event.record.clone()), since: Some(event.at) });
    }
    match console.store.past_state(session.account, stored.uid, stored.version, at).await? {
        PastState::Version(then) => Ok(Shown::Then { at, record: Box::new(decode(entity, &then)?), since: None }),
        PastState::NotCreated => Ok(Shown::NotCreated { at }),
        PastState::TooFar => Ok(Shown::TooFar { at }),
    }
}

fn decode(entity: Entity, stored: &StoredRecord) -> Result<Record, PageError> {
    let decoded = record::decode(entity, &stored.record);
    decoded.map_err(|error| StoreError::corrupt(entity.name(), "record", stored.uid, error).into())
}

/// The head of the page: the record's present name, with a line on the version that is shown.
fn head(kind: &RecordKind, (now, shown): (&Record, &Record), path: &str, is_restorable: bool) -> Markup {
    html! {
        nav.breadcrumb aria-label="Breadcrumb" { a href=(kind.path) { (kind.title) } }
        header.page-head {
            div {
                h1 { (title_of(now)) @if now.deleted && !now.erased { " " (badge(Tone::Danger, "deleted")) } }
                p.lead #record-summary { (breakable(&summary(shown))) }
            }
            div.page-actions {
                @if kind.entity == Entity::Company {
                    (link_button(ButtonStyle::Secondary, Some(Icon::Contacts), &format!("/console/contacts?company={}", now.uid), "View contacts"))
                }
                @if is_restorable { (dialog_link(ButtonStyle::Primary, Some(Icon::Undo), &format!("{path}?dialog=restore"), "Restore")) }
            }
        }
        @if let Some(into) = now.merged_into {
            (notice(Tone::Warning, html! {
                p { "This " (kind.noun) " was merged. " a href=(record_path(kind.entity, into).unwrap_or_default()) { "Go to the one that continues it" } "." }
            }))
        } @else if now.erased {
            (notice(Tone::Danger, html! { p { "This " (kind.noun) " was erased. Its values are gone for ever, also from its history." } }))
        } @else if now.deleted {
            (notice(Tone::Warning, html! {
                p { "This " (kind.noun) " is deleted and no longer in your lists." @if is_restorable { " It can be restored as it was." } }
            }))
        }
    }
}

/// Who or what the record is, in one line below its name.
fn summary(now: &Record) -> String {
    let role = match now.fields.get(&Field::Role) {
        Some(Value::Role(role)) => Some(role.name().to_owned()),
        _ => None,
    };
    let text = |field| now.text(field).map(str::to_owned);
    let companies = match now.fields.get(&Field::Companies) {
        Some(Value::Links(links)) => links.first().map(|link| link.name.clone()),
        _ => None,
    };
    let parts = [role, text(Field::Status), text(Field::Title), companies, text(Field::Email)];
    // A line ends with the mark, and none begins with it.
    parts.into_iter().flatten().collect::<Vec<_>>().join("\u{a0}· ")
}

/// The part of the page that the slider changes.
fn body(session: &SessionState, path: &str, history: &History, names: &Names, shown: &Shown, now: &Record) -> Markup {
    let version = match shown {
        Shown::Now => now.version,
        Shown::Then { record, .. } => record.version,
        Shown::NotCreated { .. } | Shown::TooFar { .. } => Seq::ZERO,
    };
    html! {
        div.record-body #record-body {
            (then_notice(path, history, shown))
            div.record-columns {
                div.record-side {
                    @match shown {
                        Shown::Now => {
                            (card("Attributes", ATTRIBUTES, attributes(now, names)))
                            (identity(now))
                        },
                        Shown::Then { record, .. } => (card("Attributes at that time", "", attributes(record, names))),
                        Shown::NotCreated { .. } | Shown::TooFar { .. } => {},
                    }
                }
                (card("History", "Every change, with the system that made it.", timeline(session, path, history, names, version)))
            }
        }
    }
}

fn then_notice(path: &str, history: &History, shown: &Shown) -> Markup {
    let back = || html! { " " a href=(path) { "Back to the current version" } };
    match shown {
        Shown::Now => html! {},
        Shown::Then { record, since, at } => notice(
            Tone::Info,
            html! {
                p {
                    strong { "As it was then" } ": "
                    @match (since, history.ordinal(record.version)) {
                        (Some(since), Some(ordinal)) => { "change " (ordinal) ", " (text::minute(*since)) " " small { "(event " (record.version) ")" } },
                        (Some(since), None) => { "after event " (record.version) " of " (text::minute(*since)) },
                        (None, _) => { "after event " (record.version) @if record.version != *at { ", seen from event " (at) } },
                    }
                    "." @if record.deleted { " It was deleted at that time." } (back())
                }
            },
        ),
        Shown::NotCreated { at } => {
            notice(Tone::Info, html! { p { "At event " (at) " it did not exist yet." (back()) } })
        }
        Shown::TooFar { at } => notice(
            Tone::Warning,
            html! {
                p { "Event " (at) " lies too far back to be read at once. Go through the history and choose a change there." (back()) }
            },
        ),
    }
}

/// The names of the record: here and in other systems.
fn identity(record: &Record) -> Markup {
    card(
        "Identity",
        "",
        html! {
            dl.copy-list { (copy_row("UID", &record.uid.to_string())) }
            dl.attributes {
                div.attribute { dt { "Created" } dd { (text::minute(record.created_at)) } }
                div.attribute { dt { "Version" } dd { (record.version) " " small.muted { "the event of its last change" } } }
                @for reference in &record.refs {
                    div.attribute { dt { "Reference in " (reference.source) } dd { code { (breakable(&reference.id)) } } }
                }
            }
            @if record.refs.is_empty() { p.muted { "No other system has given it a reference." } }
        },
    )
}

fn restore_dialog(session: &SessionState, kind: &RecordKind, path: &str, title: &str) -> Markup {
    dialog(Dialog {
        id: "restore",
        title: &format!("Restore “{title}”?"),
        close: path,
        content: html! {
            form method="post" action={ (path) "/restore" } {
                (csrf(&session.token.csrf()))
                p { "The " (kind.noun) " comes back with the attributes that it had. Connected systems receive this like any other change." }
                (dialog_actions(ButtonStyle::Primary, "Restore", path))
            }
        },
    })
}
