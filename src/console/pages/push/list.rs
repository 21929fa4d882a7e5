//! The list of endpoints, whose states are live.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use maud::{Markup, html};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::super::super::components::dialog::dialog_icon;
use super::super::super::components::{ButtonStyle, Icon, breakable, empty_state, icon, link_button, page_head, table};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::PageQuery;
use super::super::super::layout::Nav;
use super::super::super::live::{self, LivePart};
use super::super::super::session::ConsoleSession;
use super::super::super::state::Console;
use super::rates::{lag, log_end, rate};
use super::{HERE, TITLE, dialogs, example, name, parked_badge, path, refused, state_badge};
use crate::clock;
use crate::domain::Seq;
use crate::push::service::EndpointView;
use crate::store::attempts::{ATTEMPT_HOURS, HourOfAttempts, MAX_PER_HOUR};

const LEAD: &str = "Webhooks send every change of a record to your systems within moments: signed, in order, and repeated until they arrive.";

/// The time after which a live page reads the rates of success again.
const RATES_AGE: Duration = Duration::from_secs(15);

type Rates = HashMap<Uuid, [HourOfAttempts; ATTEMPT_HOURS]>;

/// The number of parked events of each endpoint that has any.
type Parked = HashMap<Uuid, u64>;

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    query: PageQuery,
) -> PageResult {
    let endpoints = console.endpoints.list(session.account).await.map_err(refused)?;
    if endpoints.is_empty() {
        return Ok(session.page(Nav::PushEndpoints, TITLE, empty(&console)));
    }
    let rates = rates(&console, &session, &endpoints).await?;
    let parked = console.store.parked_counts(session.account, &ids(&endpoints)).await?;
    let end = log_end(&console, &session).await?;
    let chosen = query.get("id").and_then(|id| id.parse::<Uuid>().ok());
    let chosen = endpoints.iter().find(|view| Some(view.endpoint.endpoint_id) == chosen);
    let content = html! {
        (page_head(TITLE, LEAD, link_button(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}/new"), "Add endpoint")))
        section.card {
            h2.visually-hidden { "Your endpoints" }
            div data-live={ (HERE) "/live" } {
                div data-live-part="endpoints" { (endpoint_table(&endpoints, &rates, &parked, end)) }
            }
            p.muted {
                "The share of requests that your servers accepted, hour by hour, by the latest " (MAX_PER_HOUR) " requests of each hour."
            }
        }
        @if let (Some("delete"), Some(view)) = (query.get("dialog"), chosen) { (dialogs::delete(&session, view, HERE)) }
    };
    Ok(session.page(Nav::PushEndpoints, TITLE, content))
}

/// The states as they change. Rates of success are read every [`RATES_AGE`].
pub(in crate::console) async fn live(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    let known: Arc<Mutex<Option<(Instant, Rates)>>> = Arc::default();
    live::stream(&console, &session, move |console, session| {
        let known = Arc::clone(&known);
        async move {
            let endpoints = console.endpoints.list(session.account).await.map_err(refused)?;
            let end = log_end(&console, &session).await?;
            let mut known = known.lock().await;
            if known.as_ref().is_none_or(|(read_at, _)| read_at.elapsed() > RATES_AGE) {
                *known = Some((clock::instant(), rates(&console, &session, &endpoints).await?));
            }
            let none = HashMap::new();
            let rates = known.as_ref().map_or(&none, |(_, rates)| rates);
            let parked = console.store.parked_counts(session.account, &ids(&endpoints)).await?;
            Ok(vec![LivePart { name: "endpoints", markup: endpoint_table(&endpoints, rates, &parked, end) }])
        }
    })
}

async fn rates(console: &Console, session: &ConsoleSession, endpoints: &[EndpointView]) -> Result<Rates, PageError> {
    Ok(console.store.attempt_hours(session.account, &ids(endpoints), console.clock.now()).await?)
}

fn ids(endpoints: &[EndpointView]) -> Vec<Uuid> {
    endpoints.iter().map(|view| view.endpoint.endpoint_id).collect()
}

fn empty(console: &Console) -> Markup {
    html! {
        (page_head(TITLE, LEAD, html! {}))
        section.card {
            h2.visually-hidden { "Your endpoints" }
            (empty_state(
                Icon::Link,
                "No endpoints yet",
                "A webhook is a request that this service sends to a URL of yours whenever a record changes, so that your systems need not \
                 poll. It is signed, repeated until your server accepts it, and can be replayed from any time.",
                link_button(ButtonStyle::Primary, Some(Icon::Add), &format!("{HERE}/new"), "Add your first endpoint"),
            ))
        }
        @if console.config.push.allow_http { (example::trial()) }
        (example::card())
    }
}

fn endpoint_table(endpoints: &[EndpointView], rates: &Rates, parked: &Parked, end: Seq) -> Markup {
    table(
        "Push endpoints",
        &["Endpoint", "State", "Lag", "Delivered, last 24 hours", "Actions"],
        html! {
            @for view in endpoints {
                @let id = view.endpoint.endpoint_id;
                (endpoint_row(view, rates.get(&id), parked.get(&id).copied().unwrap_or_default(), end))
            }
        },
    )
}

fn endpoint_row(view: &EndpointView, hours: Option<&[HourOfAttempts; ATTEMPT_HOURS]>, parked: u64, end: Seq) -> Markup {
    let (id, settings) = (view.endpoint.endpoint_id, &view.endpoint.settings);
    let pending = view.pending(end);
    html! {
        tr {
            th scope="row" data-label="Endpoint" {
                a.cell-link href=(path(id)) { (name(view)) }
                @if !settings.description.is_empty() { span.cell-note.cell-url title=(settings.url) { (breakable(&settings.url)) } }
                span.cell-note { @if settings.events.is_empty() { "All events" } @else { (short_list(&settings.events)) } }
            }
            td data-label="State" { div.badges { (state_badge(view, pending)) (parked_badge(parked)) } }
            td data-label="Lag" { (lag(pending)) }
            td data-label="Delivered, last 24 hours" { (rate(hours)) }
            td.cell-actions data-label="Actions" {
                a.icon-button href={ (path(id)) "/edit" } aria-label={ "Edit " (name(view)) } title="Edit" {
                    (icon(Icon::Edit))
                }
                (dialog_icon(Icon::Delete, &format!("{HERE}?dialog=delete&id={id}"), &format!("Delete {}", name(view))))
            }
        }
    }
}

/// The first two patterns, and how many more there are.
fn short_list(patterns: &[String]) -> String {
    let shown: Vec<&str> = patterns.iter().take(2).map(String::as_str).collect();
    let more = patterns.len().saturating_sub(2);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_patterns_is_cut() {
        let patterns = |number: usize| (0..number).map(|index| format!("p{index}")).collect::<Vec<_>>();
        assert_eq!(short_list(&patterns(2)), "p0, p1");
        assert_eq!(short_list(&patterns(5)), "p0, p1 and 3 more");
    }
}
