//! Dashboard: what the account has and does, and what needs somebody, each with a link to the page that mends it.

use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};
use time::Duration;

use super::super::access::Access;
use super::super::components::chart::columns;
use super::super::components::{ButtonStyle, Icon, Tone, badge, card, icon, link_button, page_head};
use super::super::error::{PageError, PageResult};
use super::super::layout::{self, Nav};
use super::super::live::{self, LivePart};
use super::super::session::{ConsoleSession, SessionState};
use super::super::state::Console;
use super::super::text;
use super::monthly_quota::MonthlyQuota;
use crate::domain::endpoint::{EndpointState, EndpointStatus, Health};
use crate::domain::{Seq, Timestamp};
use crate::quota::Usage;
use crate::store::console::overview::{MAX_COUNTED, Overview};

const TITLE: &str = "Dashboard";
const HERE: &str = "/console/dashboard";

/// The hours of the chart.
const HOURS: i64 = 24;

/// The failing endpoints that are named.
const MAX_NAMED: usize = 5;

/// An endpoint or the relay counts as late from this number of events on. Fewer are in flight.
const LATE: u64 = 100;

pub(in crate::console) async fn show(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    let numbers = Numbers::read(&console, &session).await?;
    let content = html! {
        (page_head(TITLE, "Your account as it is now. The numbers update by themselves.", html! {}))
        div.dashboard data-live={ (HERE) "/live" } {
            @for LivePart { name, markup } in parts(&console, &session, &numbers) { div data-live-part=(name) { (markup) } }
        }
    };
    Ok(session.page(Nav::Dashboard, TITLE, content))
}

pub(in crate::console) async fn live(State(console): State<Arc<Console>>, session: ConsoleSession) -> PageResult {
    live::stream(&console, &session, |console, session| async move {
        let numbers = Numbers::read(&console, &session).await?;
        Ok(parts(&console, &session, &numbers))
    })
}

/// Everything that the page shows.
struct Numbers {
    overview: Overview,
    /// For those who see Secure API.
    usage: Option<Usage>,
    /// The hours with their numbers of events.
    hours: Vec<(Timestamp, u64)>,
    /// For those who manage integrations.
    endpoints: Option<Vec<EndpointState>>,
    /// The database's time.
    now: Timestamp,
}

impl Numbers {
    async fn read(console: &Console, session: &SessionState) -> Result<Self, PageError> {
        let now = console.clock.now();
        let times = boundaries(now);
        let (account, store) = (session.account, &console.store);
        let usage = async {
            if session.may_use(Access::SecureApi) { Usage::read(store, account).await.map(Some) } else { Ok(None) }
        };
        let endpoints =
            async { if layout::can_manage(session) { store.endpoints(account).await.map(Some) } else { Ok(None) } };
        let read = tokio::try_join!(store.overview(account), store.seqs_at(account, &times), usage, endpoints);
        let (overview, seqs, usage, endpoints) = read?;
        Ok(Self { overview: overview.ok_or(PageError::Missing)?, usage, hours: hours(&times, &seqs), endpoints, now })
    }
}

/// The beginnings of the last hours, and now.
fn boundaries(now: Timestamp) -> Vec<Timestamp> {
    let hour = now.truncate_to_hour();
    (0..HOURS).rev().map(|ago| hour - Duration::hours(ago)).chain([now]).collect()
}

/// The number of events of each hour: a log has no gap, so it is the difference of two positions.
fn hours(times: &[Timestamp], seqs: &[Seq]) -> Vec<(Timestamp, u64)> {
    let neighbours = seqs.iter().zip(seqs.iter().skip(1));
    times.iter().copied().zip(neighbours.map(|(before, after)| after.since(*before))).collect()
}

fn parts(console: &Console, session: &SessionState, numbers: &Numbers) -> Vec<LivePart> {
    let is_new = numbers.overview.contacts == 0 || numbers.endpoints.as_ref().is_some_and(Vec::is_empty);
    let steps = if is_new && layout::can_manage(session) {
        first_steps(session, numbers)
    } else {
        html! {}
    };
    vec![
        LivePart { name: "steps", markup: steps },
        LivePart { name: "figures", markup: figures(&numbers.overview) },
        LivePart { name: "pair", markup: pair(console, session, numbers) },
    ]
}

fn figures(overview: &Overview) -> Markup {
    let figure = |name: &str, path: &str, number: i64| {
        let number = text::thousands(u64::try_from(number).unwrap_or_default());
        html! { div.figure { dt { a href=(path) { (name) } } dd { strong { (number) } } } }
    };
    html! {
        dl.figures {
            (figure("Contacts", "/console/contacts", overview.contacts))
            (figure("Companies", "/console/companies", overview.companies))
            (figure("Projects", "/console/projects", overview.projects))
            div.figure { dt { "Events in the log" } dd { strong { (text::thousands(overview.head.since(Seq::ZERO))) } } }
        }
    }
}

fn pair(console: &Console, session: &SessionState, numbers: &Numbers) -> Markup {
    html! {
        div.dashboard {
            div.dashboard-pair {
                @if let Some(usage) = &numbers.usage { (quota(console, session, usage)) }
                (activity(&numbers.hours))
            }
            (card("Health", "What needs attention, and the page to act on it.", health(numbers)))
        }
    }
}

fn quota(console: &Console, session: &SessionState, usage: &Usage) -> Markup {
    card(
        "API Limits",
        "",
        html! {
            (MonthlyQuota::of(console, session, usage).line())
            p { a href="/console/integrations/secure-api" { "Open Secure API" } }
        },
    )
}

fn activity(hours: &[(Timestamp, u64)]) -> Markup {
    let sum: u64 = hours.iter().map(|(_, events)| events).sum();
    let columns_of: Vec<(String, u64)> = hours
        .iter()
        .map(|(hour, events)| {
            (format!("{:02}:00 UTC: {}", hour.hour(), text::count(*events, "event", "events")), *events)
        })
        .collect();
    let busiest = hours.iter().map(|(_, events)| *events).max().unwrap_or_default();
    let begin = hours.first().map_or_else(String::new, |(hour, _)| format!("{:02}:00 UTC", hour.hour()));
    card(
        "Events per hour",
        "",
        html! {
            figure.chart {
                figcaption { (text::count(sum, "event", "events")) " in the last 24 hours" @if busiest > 0 { ", at most " (text::thousands(busiest)) " in one hour" } }
                (columns(&format!("Events per hour of the last 24 hours, {sum} in all"), &columns_of))
                div.chart-axis aria-hidden="true" { span { "yesterday, " (begin) } span { "now" } }
            }
        },
    )
}

/// One line of the list of checks.
struct Check<'a> {
    title: &'a str,
    sentence: String,
    tone: Tone,
    state: &'a str,
    /// The page that mends it, and its name.
    link: Option<(&'a str, &'a str)>,
    /// Whether it is a part of the check above it.
    is_part: bool,
}

fn check(Check { title, sentence, tone, state, link, is_part }: Check<'_>) -> Markup {
    html! {
        li.check.is-part[is_part] {
            div { strong { (title) } p { (sentence) } }
            div.check-state {
                (badge(tone, state))
                @if let Some((path, name)) = link { a href=(path) { (name) } }
            }
        }
    }
}

fn health(numbers: &Numbers) -> Markup {
    html! {
        ul.checks {
            (relay(&numbers.overview, numbers.now))
            @if let Some(endpoints) = &numbers.endpoints {
                @for markup in push(endpoints, &numbers.overview) { (markup) }
                (conflicts(&numbers.overview))
            }
        }
    }
}

fn relay(overview: &Overview, now: Timestamp) -> Markup {
    let behind = overview.head.since(overview.relayed);
    let (tone, state) = if behind >= LATE { (Tone::Warning, "catching up") } else { (Tone::Success, "up to date") };
    let sentence = match overview.waiting_since {
        Some(since) if behind > 0 => {
            format!(
                "{} behind the log, the oldest of {}.",
                text::count(behind, "event", "events"),
                text::ago(since, now)
            )
        }
        _ => "Every event was published to the stream.".to_owned(),
    };
    check(Check { title: "Event stream", sentence, tone, state, link: None, is_part: false })
}

/// The endpoints as a whole, then each that fails or is behind.
fn push(endpoints: &[EndpointState], overview: &Overview) -> Vec<Markup> {
    const PAGE: (&str, &str) = ("/console/integrations/push", "Push Endpoints");
    let number = |count: usize| u64::try_from(count).unwrap_or_default();
    if endpoints.is_empty() {
        let sentence = "No system is told of changes yet.".to_owned();
        return vec![check(Check {
            title: PAGE.1,
            sentence,
            tone: Tone::Neutral,
            state: "none",
            link: Some((PAGE.0, "Add one")),
            is_part: false,
        })];
    }
    let behind = |state: &EndpointState| overview.head.since(state.cursor.seq);
    let troubled: Vec<(&EndpointState, Tone, &str, String)> = endpoints
        .iter()
        .filter_map(|state| Some((state, trouble(state, behind(state))?)))
        .map(|(state, (tone, word, sentence))| (state, tone, word, sentence))
        .collect();
    let all = text::count(number(endpoints.len()), "endpoint", "endpoints");
    let (sentence, tone, state) = if troubled.is_empty() {
        (format!("{all}, and each receives every event."), Tone::Success, "all well")
    } else {
        let need = if troubled.len() == 1 { "needs" } else { "need" };
        (format!("{} of {all} {need} attention.", number(troubled.len())), Tone::Warning, "needs attention")
    };
    let mut lines =
        vec![check(Check { title: PAGE.1, sentence, tone, state, link: Some((PAGE.0, "See all")), is_part: false })];
    lines.extend(troubled.iter().take(MAX_NAMED).map(|(state, tone, word, sentence)| {
        let title = name_of(state);
        let path = format!("{}/{}", PAGE.0, state.endpoint.endpoint_id);
        check(Check {
            title: &title,
            sentence: sentence.clone(),
            tone: *tone,
            state: word,
            link: Some((&path, if state.endpoint.status == EndpointStatus::Live { "See why" } else { "Resume it" })),
            is_part: true,
        })
    }));
    if overview.parked > 0 {
        let sentence = format!(
            "{} failed every retry. Send them again when the receiver accepts them.",
            up_to(overview.parked, "event", "events")
        );
        lines.push(check(Check {
            title: "Parked events",
            sentence,
            tone: Tone::Danger,
            state: "waiting",
            link: Some((PAGE.0, "Retry them")),
            is_part: true,
        }));
    }
    lines
}

/// The state of an endpoint that needs somebody; `None` where it is well.
fn trouble(state: &EndpointState, behind: u64) -> Option<(Tone, &'static str, String)> {
    let endpoint = &state.endpoint;
    let events = || text::count(behind, "event", "events");
    match (endpoint.status, state.cursor.failing_since) {
        (EndpointStatus::Disabled, _) => {
            Some((Tone::Danger, "disabled", "Deliveries have ended, because its server refused them.".to_owned()))
        }
        (EndpointStatus::Paused, _) => Some((Tone::Neutral, "paused", format!("{} waiting.", events()))),
        (EndpointStatus::Live, Some(since)) => Some((
            Tone::Danger,
            "failing",
            format!("Every delivery has failed since {}. {} waiting.", text::minute(since), events()),
        )),
        (EndpointStatus::Live, None) if endpoint.reported != Health::Well || behind >= LATE => {
            Some((Tone::Warning, "catching up", format!("{} behind the log.", events())))
        }
        (EndpointStatus::Live, None) => None,
    }
}

/// The description of an endpoint, or its host. The rest of an address may be secret.
pub(super) fn name_of(state: &EndpointState) -> String {
    let settings = &state.endpoint.settings;
    let host = || url::Url::parse(&settings.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    Some(settings.description.clone())
        .filter(|text| !text.is_empty())
        .or_else(host)
        .unwrap_or_else(|| "An endpoint".to_owned())
}

fn conflicts(overview: &Overview) -> Markup {
    const PAGE: (&str, &str) = ("/console/integrations/sync/conflicts", "See conflicts");
    let (sentence, tone, state, link) = if overview.conflicts > 0 {
        let sentence = format!("{} between systems to decide.", up_to(overview.conflicts, "conflict", "conflicts"));
        (sentence, Tone::Warning, "open", (PAGE.0, "Resolve them"))
    } else {
        ("No two systems disagree about a value.".to_owned(), Tone::Success, "none open", PAGE)
    };
    check(Check { title: "Conflicts", sentence, tone, state, link: Some(link), is_part: false })
}

fn up_to(number: i64, one: &str, many: &str) -> String {
    let count = text::count(u64::try_from(number).unwrap_or_default(), one, many);
    if number >= MAX_COUNTED { format!("{count} or more") } else { count }
}

/// A step of a new account.
struct Step<'a> {
    is_done: bool,
    title: &'a str,
    sentence: &'a str,
    link: (&'a str, &'a str),
}

/// The way of a new account to its first synchronized contact and its first webhook.
fn first_steps(session: &SessionState, numbers: &Numbers) -> Markup {
    let has_endpoints = numbers.endpoints.as_ref().is_some_and(|endpoints| !endpoints.is_empty());
    let calls = numbers.usage.as_ref().map_or(0, |usage| usage.used);
    let connect = Step {
        is_done: calls > 0,
        title: "Connect a system",
        sentence: "Add a Secret Key. The page then shows a command, complete with your credentials, that creates a contact.",
        link: ("/console/integrations/secure-api", "Add a Secret Key"),
    };
    let contacts = Step {
        is_done: numbers.overview.contacts > 0,
        title: "Bring your contacts",
        sentence: "Import a CSV file; it is checked before anything is written. Or let the connected system create them.",
        link: ("/console/contacts/import", "Import CSV"),
    };
    let push = Step {
        is_done: has_endpoints,
        title: "Receive your first webhook",
        sentence: "Add a push endpoint: every change is sent to its URL, signed. The page has a receiver to try it with.",
        link: ("/console/integrations/push", "Add an endpoint"),
    };
    let steps: Vec<&Step<'_>> =
        session.may_use(Access::SecureApi).then_some(&connect).into_iter().chain([&contacts, &push]).collect();
    let next = steps.iter().position(|step| !step.is_done);
    card(
        "First steps",
        "From here to a synchronized contact and a webhook.",
        html! {
            ol.checks.steps {
                @for (index, shown) in steps.into_iter().enumerate() { (step(shown, next == Some(index))) }
            }
        },
    )
}

/// A step; the one that comes next has the primary button.
fn step(Step { is_done, title, sentence, link }: &Step<'_>, is_next: bool) -> Markup {
    let style = if is_next { ButtonStyle::Primary } else { ButtonStyle::Secondary };
    html! {
        li.check.is-done[*is_done] {
            span.step-number aria-hidden="true" { @if *is_done { (icon(Icon::Check)) } }
            div { strong { (title) } p { (sentence) } }
            div.check-state {
                @if *is_done { (badge(Tone::Success, "done")) }
                @else { (link_button(style, None, link.0, link.1)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn an_hour_has_the_events_between_its_positions() {
        let now = datetime!(2026-11-30 09:05 UTC);
        let times = boundaries(now);
        assert_eq!(times.len(), 25);
        assert_eq!(
            (times[0], times[23], times[24]),
            (datetime!(2026-11-29 10:00 UTC), datetime!(2026-11-30 09:00 UTC), now)
        );
        let seqs: Vec<Seq> = (0..25).map(|index| Seq(index * index)).collect();
        let hours = hours(&times, &seqs);
        assert_eq!((hours.len(), hours[0].1, hours[23].1), (24, 1, 24 * 24 - 23 * 23));
        assert_eq!(super::hours(&times, &[]), Vec::new(), "an account that is gone has none");
    }
}
