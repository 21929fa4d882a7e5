//! Attempts to deliver: their list, and the request and the answer of one. Answers are texts of other systems: they are
//! escaped, and never interpreted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::super::components::code::body_block;
use super::super::super::components::{Icon, Tone, badge, csrf, empty_state, exact_time, icon, pagination};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::Form;
use super::super::super::layout::{self, Nav};
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::{HERE, TITLE, is_failing, name, path, refused, summary, try_now};
use crate::contract::event;
use crate::domain::Seq;
use crate::domain::endpoint::{Endpoint, EndpointStatus, Mode};
use crate::push::client::KEEP_LIMIT;
use crate::push::outcome::{AttemptOutcome, shown_from_log};
use crate::push::service::EndpointView;
use crate::store::attempts::{AttemptRow, Narrowed};
use crate::store::relay::Logged;

/// Attempts on one page.
const PAGE: usize = 25;

/// Bytes of a request's body that are shown.
const MAX_SHOWN: usize = 64 << 10;

/// The filters, by the value of `status`.
const FILTERS: [(&str, &str, Option<bool>); 3] =
    [("", "All", None), ("delivered", "Delivered", Some(true)), ("failed", "Failed", Some(false))];

/// A page of attempts as the address asks for it.
pub(super) struct AttemptPage {
    /// The types of the attempts' events that are in the log.
    types: HashMap<Seq, String>,
    filter: &'static str,
    attempts: Vec<AttemptRow>,
    has_more: bool,
    is_first: bool,
}

/// Reads the page that a query asks for.
pub(super) async fn read(
    console: &Console,
    session: &SessionState,
    id: Uuid,
    query: &Form,
) -> Result<AttemptPage, PageError> {
    let (filter, _, delivered) =
        FILTERS.into_iter().find(|(value, ..)| *value == query.text("status")).unwrap_or(FILTERS[0]);
    let before = query.get("before").and_then(|before| before.parse().ok());
    let narrowed = Narrowed { before, status: None, delivered };
    let mut attempts = console.endpoints.attempts(session.account, id, narrowed).await.map_err(refused)?;
    let has_more = attempts.len() > PAGE;
    attempts.truncate(PAGE);
    let seqs: Vec<Seq> = attempts.iter().map(|attempt| attempt.seq).collect();
    let types = types(console, session, &seqs).await?;
    Ok(AttemptPage { types, filter, attempts, has_more, is_first: before.is_none() })
}

/// The types of events that are in the log.
async fn types(console: &Console, session: &SessionState, seqs: &[Seq]) -> Result<HashMap<Seq, String>, PageError> {
    // Identities come without the bodies; whether they are retained does not matter here.
    let logged = console.store.identities(session.account, seqs, Duration::ZERO).await?;
    let kind = |Logged { identity, .. }: Logged| event::kind(identity.entity, identity.event_type);
    Ok(logged.into_iter().map(|(seq, logged)| (seq, kind(logged))).collect())
}

/// The list with its filters.
pub(super) fn list(session: &SessionState, endpoint: &Endpoint, page: &AttemptPage) -> Markup {
    let id = endpoint.endpoint_id;
    let here = path(id);
    let of = |filter: &str| {
        if filter.is_empty() { format!("{here}#attempts") } else { format!("{here}?status={filter}#attempts") }
    };
    let next = page.attempts.last().filter(|_| page.has_more).map(|last| {
        let status = if page.filter.is_empty() { String::new() } else { format!("&status={}", page.filter) };
        format!("{here}?before={}{status}#attempts", last.attempt_id)
    });
    // Another address than the present one, whose fragment alone would not load the page again.
    let again = format!("{here}?status={}", page.filter);
    html! {
        section.card #attempts {
            header.card-head.with-actions {
                div { h2 { "Attempts" } p { "Each request, and the response of your server. " (summary::order(endpoint.settings.order)) "." } }
                div.segment-row {
                    nav.segments aria-label="Filter attempts" {
                        @for (value, label, _) in FILTERS {
                            a href=(of(value)) aria-current=[(value == page.filter).then_some("true")] { (label) }
                        }
                    }
                    a.icon-button href=(again) aria-label="Refresh the attempts" title="Refresh" { (icon(Icon::Refresh)) }
                }
            }
            @if page.attempts.is_empty() {
                @if page.filter.is_empty() {
                    (empty_state(Icon::Clock, "No attempts yet", "Send a test event, or change a record: the request and the response appear here.", html! {}))
                } @else {
                    p.muted { "No attempt of the kept days matches." }
                }
            } @else {
                ul.attempts {
                    @for attempt in &page.attempts { li { (entry(session, id, attempt, page.types.get(&attempt.seq))) } }
                }
                @let newest = of(page.filter);
                (pagination("Newest first", (!page.is_first).then_some(newest.as_str()), next.as_deref()))
            }
        }
    }
}

/// An attempt; opening it fetches its bodies.
fn entry(session: &SessionState, id: Uuid, attempt: &AttemptRow, event_type: Option<&String>) -> Markup {
    let (outcome, error) = shown_from_log(&attempt.outcome, attempt.error.as_deref());
    let here = format!("{}/attempts/{}", path(id), attempt.attempt_id);
    html! {
        details.attempt hx-get=(here) hx-trigger="toggle once" hx-target="find .attempt-content" {
            summary {
                span.attempt-time { (exact_time(attempt.at, session.now)) }
                span { (outcome_badge(outcome, attempt.status)) }
                span.attempt-what {
                    @if let Some(event_type) = event_type { code { (event_type) } " " }
                    span.attempt-event { (subject(attempt)) }
                    @if let Some(error) = error { span.cell-note { (error) } }
                }
                span.attempt-duration { (duration(attempt)) }
            }
            div.attempt-content { a href=(here) { "Show the request and the response" } }
        }
    }
}

fn subject(attempt: &AttemptRow) -> String {
    match attempt.trigger.as_str() {
        "test" => "Test event".to_owned(),
        "retry" => format!("{}, sent again", events(attempt)),
        _ => events(attempt),
    }
}

/// The events of a request: one, or the first and the last of a batch.
fn events(attempt: &AttemptRow) -> String {
    let first = attempt.seq;
    match last_of(&attempt.webhook_id).filter(|last| *last > first) {
        Some(last) => format!("Events {first} to {last}"),
        None => format!("Event {first}"),
    }
}

/// The position of the last event of a batch, by its id.
fn last_of(webhook_id: &str) -> Option<Seq> {
    let (_, positions) = webhook_id.rsplit_once(':')?;
    Some(Seq(positions.split('-').nth(1)?.parse().ok()?))
}

fn duration(attempt: &AttemptRow) -> String {
    match attempt.duration_ms.unsigned_abs() {
        0 => "< 1 ms".to_owned(),
        millis => format!("{} ms", text::thousands(millis.into())),
    }
}

fn outcome_badge(outcome: &str, status: Option<i32>) -> Markup {
    let tone = match outcome {
        "delivered" => Tone::Success,
        "throttled" => Tone::Warning,
        _ => Tone::Danger,
    };
    badge(tone, &outcome_words(outcome, status))
}

/// The outcome of an attempt as people say it.
pub(super) fn outcome_words(outcome: &str, status: Option<i32>) -> String {
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    match outcome {
        "delivered" => format!("delivered, {status}"),
        "throttled" => format!("asked to wait, {status}"),
        "gone" => "gone, 410".to_owned(),
        "status" => format!("refused, {status}"),
        "connect" => "no connection".to_owned(),
        "tls" => "no secure connection".to_owned(),
        "timeout" => "too slow".to_owned(),
        "reset" => "connection lost".to_owned(),
        "bad_response" => "unreadable response".to_owned(),
        "bad_request" => "unsendable headers".to_owned(),
        other => other.to_owned(),
    }
}

/// The request and the answer of one attempt: a part of the list for htmx, otherwise a page.
pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path((id, attempt)): Path<(Uuid, Uuid)>,
) -> PageResult {
    let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
    let attempt = console.endpoints.attempt(session.account, id, attempt).await.map_err(refused)?;
    let attempt = attempt.ok_or(PageError::Missing)?;
    let bodies = bodies(&view.endpoint, &attempt, request_body(&console, &session, &attempt).await?);
    if session.visitor.is_partial {
        return Ok(layout::fragment(&bodies));
    }
    let kind = types(&console, &session, &[attempt.seq]).await?.remove(&attempt.seq);
    let title = format!("{} to {}", kind.unwrap_or_else(|| subject(&attempt)), name(&view));
    let content = html! {
        header.page-head {
            div {
                p.crumb { a href=(HERE) { (TITLE) } " / " a href=(path(id)) { (name(&view)) } }
                h1.break { (title) }
                p.lead { (subject(&attempt)) ", " (exact_time(attempt.at, session.now)) }
            }
            div.page-actions { (remedy(&console, &session, &view, &attempt).await?) }
        }
        section.card.attempt-page { (bodies) }
    };
    Ok(session.page(Nav::PushEndpoints, &title, content))
}

/// The button that sends a refused event again; nothing where it was delivered or nothing waits.
async fn remedy(
    console: &Console,
    session: &SessionState,
    view: &EndpointView,
    attempt: &AttemptRow,
) -> Result<Markup, PageError> {
    if attempt.outcome == AttemptOutcome::Delivered.label() || attempt.seq == Seq::ZERO {
        return Ok(html! {});
    }
    let (id, before) = (view.endpoint.endpoint_id, Seq(attempt.seq.0 - 1));
    let parked = console.endpoints.parked(session.account, id, before).await.map_err(refused)?;
    let is_parked = parked.first().is_some_and(|event| event.seq == attempt.seq);
    Ok(html! {
        @if is_parked {
            form method="post" action={ (path(id)) "/parked/" (attempt.seq) "/retry" } {
                (csrf(&session.token.csrf()))
                button.button.primary type="submit" { (icon(Icon::Refresh)) "Send again" }
            }
        } @else if view.endpoint.status == EndpointStatus::Live && is_failing(view) { (try_now(session, id)) }
    })
}

/// The body of the request, which is the event of the log. A test event is in no log.
async fn request_body(
    console: &Console,
    session: &SessionState,
    attempt: &AttemptRow,
) -> Result<Option<String>, PageError> {
    if attempt.seq == Seq::ZERO {
        return Ok(None);
    }
    let events = console.store.events_at(session.account, &[attempt.seq], &[], MAX_SHOWN).await?;
    Ok(events.first().map(|event| pretty(event.text())))
}

/// JSON with line breaks; any other text as it is.
fn pretty(text: &str) -> String {
    let parsed = serde_json::from_str::<serde_json::Value>(text).ok();
    let mut text = parsed.and_then(|json| serde_json::to_string_pretty(&json).ok()).unwrap_or_else(|| text.to_owned());
    if text.len() > MAX_SHOWN {
        text.truncate(text.floor_char_boundary(MAX_SHOWN));
        text.push_str("\n…");
    }
    text
}

fn bodies(endpoint: &Endpoint, attempt: &AttemptRow, request: Option<String>) -> Markup {
    let (outcome, error) = shown_from_log(&attempt.outcome, attempt.error.as_deref());
    let answer = pretty(&String::from_utf8_lossy(&attempt.body));
    let is_cut = i64::try_from(KEEP_LIMIT).is_ok_and(|limit| attempt.bytes > limit);
    html! {
        dl.terms {
            div { dt { "Result" } dd { (outcome_badge(outcome, attempt.status)) @if let Some(error) = error { " " (error) } } }
            div { dt { "Duration" } dd { (duration(attempt)) } }
            div { dt { "Webhook ID" } dd { code { (attempt.webhook_id) } } }
        }
        @match request {
            Some(request) => {
                (body_block("Request", &request))
                @match endpoint.settings.mode {
                    Mode::Single => {}
                    Mode::Batch { .. } => { p.hint { "The request held the events of one batch; this is its first." } }
                    Mode::Latest { .. } => { p.hint { "The request also named the events that this one stands for, as after and through." } }
                }
            }
            None if attempt.trigger == "test" => { p.hint { "The request was a test event of the type push.ping, which is in no log." } }
            None => { p.hint { "The event is not in the log any more." } }
        }
        (body_block("Response", &answer))
        @if is_cut { p.hint { "Only the first " (text::bytes(KEEP_LIMIT)) " of " (text::thousands(attempt.bytes.unsigned_abs())) " bytes are kept." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_words() {
        assert_eq!(outcome_words("delivered", Some(204)), "delivered, 204");
        assert_eq!(outcome_words("throttled", Some(503)), "asked to wait, 503");
        assert_eq!(outcome_words("connect", None), "no connection");
    }

    #[test]
    fn a_batch_is_named_by_its_first_and_last_event() {
        assert_eq!(last_of("00000000-0000-7000-8000-000000000001:78-136-0a1b2c3d"), Some(Seq(136)));
        assert_eq!(last_of("00000000-0000-7000-8000-000000000001:2:78-136-0a1b2c3d"), Some(Seq(136)));
        assert_eq!(last_of("00000000-0000-7000-8000-000000000001:78"), None);
        assert_eq!(last_of("00000000-0000-7000-8000-000000000001:ping:01890a5d-ac96-774b-bcce-b302099a8057"), None);
    }

    #[test]
    fn json_is_broken_into_lines_and_other_text_is_left_alone() {
        assert_eq!(pretty(r#"{"a":1}"#), "{\n  \"a\": 1\n}");
        assert_eq!(pretty("<b>"), "<b>");
        assert!(pretty(&"ä".repeat(MAX_SHOWN)).ends_with("\n…"));
    }
}
