//! Origins and what each wrote, readers on NATS, and identifiers in other systems.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::super::super::components::{Icon, card, empty_state, page_head, table, time};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::{FieldErrors, Form, PageQuery};
use super::super::super::layout::Nav;
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::consumer_list::{self, ConsumerList};
use super::{HERE, SyncPage, TITLE, pages};
use crate::domain::{Entity, Seq};
use crate::store::sync::origins::{MAX_EVENTS, MAX_REFS_COUNTED, OriginSummary, SourceSummary};

const LEAD: &str =
    "Every system that writes here is an origin. See what each one wrote, which systems read, and where they disagree.";

/// The ranges that may be chosen, in days.
const DAYS: [(i64, &str); 3] = [(1, "24 hours"), (7, "7 days"), (30, "30 days")];

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let listed = consumer_list::listed(&console, &session).await?;
    let opened = match query.get("dialog") {
        Some("add-consumer") => Some(consumer_list::add_dialog(&session, &Form::default(), &FieldErrors::default())),
        Some("delete-consumer") => consumer_list::delete_dialog(&session, &listed, query.text("name")),
        _ => None,
    };
    let content = content(&console, &session, &query, &listed, opened).await?;
    Ok(session.page(Nav::Sync, TITLE, content))
}

pub(super) async fn content(
    console: &Console,
    session: &SessionState,
    query: &Form,
    listed: &ConsumerList,
    opened: Option<Markup>,
) -> Result<Markup, PageError> {
    let account = session.account;
    let days = query.get("days").and_then(|days| days.parse().ok());
    let (days, label) = DAYS.into_iter().find(|(known, _)| Some(*known) == days).unwrap_or(DAYS[1]);
    let end = console.store.head(account).await?.ok_or(PageError::Missing)?.seq;
    let from = console.store.seq_at(account, console.clock.now() - time::Duration::days(days)).await?;
    let (after, origins) = console.store.origins(account, from, end).await?;
    let sources = console.store.ref_sources(account).await?;
    Ok(html! {
        (page_head(TITLE, LEAD, html! {}))
        (pages(SyncPage::Overview))
        section.card {
            header.card-head.with-actions {
                div { h2 { "Origins" } p { "What each one wrote in the last " (label) "." } }
                nav.segments aria-label="Range" {
                    @for (other, label) in DAYS {
                        a href={ (HERE) "?days=" (other) } aria-current=[(other == days).then_some("true")] { (label) }
                    }
                }
            }
            div.compact { (origin_table(session, &origins)) }
            @if after > from {
                p.muted { "The range has more events than can be counted here: these are the last " (text::thousands(MAX_EVENTS.unsigned_abs())) "." }
            }
        }
        (consumer_list::section(session, listed))
        (references(&sources))
        @if let Some(opened) = opened { (opened) }
    })
}

fn origin_table(session: &SessionState, origins: &[OriginSummary]) -> Markup {
    if origins.is_empty() {
        let text = "Nothing was written in this time. Each Secret Key has an origin, and everything that is written with it carries that name.";
        return empty_state(Icon::Integrations, "No writes in this range", text, html! {});
    }
    let largest = origins.iter().map(|origin| origin.events).max().unwrap_or_default();
    table(
        "Origins",
        &["Origin", "Events", "Records", "Created", "Deleted", "Last write", "Actions"],
        html! {
            @for origin in origins {
                tr {
                    th scope="row" data-label="Origin" { (origin.origin) }
                    td data-label="Events" { div.bar-cell { span { (text::thousands(origin.events)) } (bar(origin.events, largest)) } }
                    td data-label="Records" { (text::thousands(origin.records)) }
                    td data-label="Created" { (text::thousands(origin.created)) }
                    td data-label="Deleted" { (text::thousands(origin.deleted)) }
                    td.wide data-label="Last write" { (time(origin.last_at, session.now)) span.cell-note { "event " (origin.last) } }
                    td.cell-actions data-label="Actions" {
                        a.button.quiet href={ (HERE) "/undo?origin=" (encoded(&origin.origin)) } aria-label={ "Undo changes of " (origin.origin) } { "Undo…" }
                    }
                }
            }
        },
    )
}

/// A text as a value in an address.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A share of the largest number, beside the number itself.
fn bar(value: u64, largest: u64) -> Markup {
    let width = value.saturating_mul(100).checked_div(largest).unwrap_or_default().max(1);
    html! {
        svg.bar viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true" { rect x="0" y="0" width=(width) height="4" {} }
    }
}

fn references(sources: &[SourceSummary]) -> Markup {
    let mut by_source: BTreeMap<&str, BTreeMap<Entity, u64>> = BTreeMap::new();
    for SourceSummary { entity, source, refs } in sources {
        by_source.entry(source).or_default().insert(*entity, *refs);
    }
    let counted = |count: Option<&u64>| match count {
        None => "0".to_owned(),
        Some(count) if *count >= MAX_REFS_COUNTED.unsigned_abs() => format!("{} or more", text::thousands(*count)),
        Some(count) => text::thousands(*count),
    };
    let lead = "Identifiers that other systems have for your records. A record is found by them, however its name or email changes.";
    card(
        "References",
        lead,
        html! {
            @if by_source.is_empty() {
                (empty_state(Icon::Link, "No references yet",
                    "A connector adds them as it writes: “contact 17 of the shop is this record”. That way no system adds a record a second time.", html! {}))
            } @else {
                (table("References", &["System", "Contacts", "Companies", "Projects"], html! {
                    @for (source, counts) in &by_source {
                        tr {
                            th scope="row" data-label="System" { (source) }
                            @for (entity, label) in [(Entity::Contact, "Contacts"), (Entity::Company, "Companies"), (Entity::Project, "Projects")] {
                                td data-label=(label) { (counted(counts.get(&entity))) }
                            }
                        }
                    }
                }))
            }
        },
    )
}

/// The origins that wrote lately, the last writer first.
pub(super) async fn written_origins(
    console: &Console,
    session: &SessionState,
    end: Seq,
) -> Result<Vec<String>, PageError> {
    let (_, mut written) = console.store.origins(session.account, Seq::ZERO, end).await?;
    written.sort_by_key(|origin| std::cmp::Reverse(origin.last));
    Ok(written.into_iter().map(|origin| origin.origin).collect())
}

/// The origins that wrote lately and those of the account's keys, by name.
pub(super) async fn known_origins(console: &Console, session: &SessionState) -> Result<Vec<String>, PageError> {
    let end = console.store.head(session.account).await?.ok_or(PageError::Missing)?.seq;
    let written = written_origins(console, session, end).await?;
    let keys = console.store.keys(session.account).await?;
    let names: BTreeSet<String> = written.into_iter().chain(keys.into_iter().map(|key| key.origin)).collect();
    Ok(names.into_iter().collect())
}
