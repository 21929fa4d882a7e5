//! The page of one endpoint: its state, which is live, its settings, its attempts, and its parked events.

use std::sync::Arc;

use axum::extract::{Path, State};
use maud::{Markup, html};
use uuid::Uuid;

use super::super::super::components::{
    ButtonStyle, Icon, Tone, breakable, card, copy_row, csrf, dialog_link, exact_time, icon, link_button, notice, table,
};
use super::super::super::error::{PageError, PageResult};
use super::super::super::form::{FieldErrors, Form, PageQuery};
use super::super::super::layout::Nav;
use super::super::super::live::{self, LivePart};
use super::super::super::session::{ConsoleSession, SessionState};
use super::super::super::state::Console;
use super::super::super::text;
use super::rates::{log_end, rate};
use super::replay_range::ReplayRange;
use super::secret::{self, NewSecret};
use super::{HERE, TITLE, attempts, dialogs, name, parked_badge, path, refused, state_badge, summary, try_now};
use crate::domain::endpoint::{EndpointStatus, ParkedEvent};
use crate::domain::{Seq, Timestamp};
use crate::push::service::EndpointView;

/// Parked events on the page.
const PARKED: usize = 50;

/// Everything that the page shows besides the endpoint.
#[derive(Default)]
pub(super) struct Shown<'a> {
    /// A secret that was made just now.
    pub(super) new: Option<&'a NewSecret>,
    /// The open dialog.
    pub(super) opened: Option<Markup>,
    /// The query of the page's address.
    pub(super) query: Form,
}

pub(in crate::console) async fn show(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
    query: PageQuery,
) -> PageResult {
    let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
    let opened = match query.get("dialog") {
        Some("delete") => Some(dialogs::delete(&session, &view, &path(id))),
        Some("rotate") => Some(dialogs::rotate(&session, &view)),
        Some("replay") => Some(dialogs::replay(&session, &view, &Form::default(), &FieldErrors::default())),
        _ => None,
    };
    let shown = Shown { opened, query: query.0, ..Shown::default() };
    Ok(session.page(Nav::PushEndpoints, name(&view), content(&console, &session, &view, &shown).await?))
}

/// State, lag and progress as they change.
pub(in crate::console) async fn live(
    State(console): State<Arc<Console>>,
    session: ConsoleSession,
    Path(id): Path<Uuid>,
    query: PageQuery,
) -> PageResult {
    // An endpoint of another account has no stream either.
    console.endpoints.get(session.account, id).await.map_err(refused)?;
    let range = ReplayRange::of(&query);
    live::stream(&console, &session, move |console, session| async move {
        let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
        let end = log_end(&console, &session).await?;
        let parked = console.store.parked_counts(session.account, &[id]).await?;
        let parked = parked.get(&id).copied().unwrap_or_default();
        let position = LogState { end, parked, range, now: console.clock.now() };
        let markup = condition(&session, &view, &position);
        Ok(vec![LivePart { name: "condition", markup }])
    })
}

/// The page of an endpoint after a change of it.
pub(super) async fn page(console: &Console, session: &SessionState, id: Uuid, shown: &Shown<'_>) -> PageResult {
    let view = console.endpoints.get(session.account, id).await.map_err(refused)?;
    Ok(session.page(Nav::PushEndpoints, name(&view), content(console, session, &view, shown).await?))
}

pub(super) async fn content(
    console: &Console,
    session: &SessionState,
    view: &EndpointView,
    shown: &Shown<'_>,
) -> Result<Markup, PageError> {
    let (account, id) = (session.account, view.endpoint.endpoint_id);
    let end = log_end(console, session).await?;
    let now = console.clock.now();
    let rates = console.store.attempt_hours(account, &[id], now).await?;
    let parked = console.endpoints.parked(account, id, Seq::ZERO).await.map_err(refused)?;
    let counts = console.store.parked_counts(account, &[id]).await?;
    let attempts = attempts::read(console, session, id, &shown.query).await?;
    let range = ReplayRange::of(&shown.query);
    let position = LogState { end, parked: counts.get(&id).copied().unwrap_or_default(), range, now };
    let live = match range {
        Some(range) => format!("{}/live?replay={range}", path(id)),
        None => format!("{}/live", path(id)),
    };
    Ok(html! {
        (head(session, view))
        @if let Some(new) = shown.new { (secret::notice(new)) }
        section.card {
            div data-live=(live) { div data-live-part="condition" aria-live="polite" { (condition(session, view, &position)) } }
            div.rate-line { span.muted { "Delivered in the last 24 hours" } (rate(rates.get(&id))) }
        }
        @if !parked.is_empty() { (parked_events(session, id, &parked)) }
        (attempts::list(session, &view.endpoint, &attempts))
        (settings(view))
        @if let Some(opened) = &shown.opened { (opened) }
    })
}

fn head(session: &SessionState, view: &EndpointView) -> Markup {
    let here = path(view.endpoint.endpoint_id);
    let post = |action: &str, symbol: Icon, label: &str| {
        html! {
            form method="post" action={ (here) "/" (action) } {
                (csrf(&session.token.csrf()))
                button.button type="submit" { (icon(symbol)) (label) }
            }
        }
    };
    html! {
        header.page-head {
            div {
                p.crumb { a href=(HERE) { (TITLE) } }
                h1.break { (name(view)) }
                @if !view.endpoint.settings.description.is_empty() { p.lead.break { (breakable(&view.endpoint.settings.url)) } }
            }
            div.page-actions.even-actions {
                (post("test", Icon::Send, "Send test event"))
                @if view.endpoint.status == EndpointStatus::Live { (post("pause", Icon::Pause, "Pause")) }
                @else { (post("resume", Icon::Play, "Resume")) }
                (dialog_link(ButtonStyle::Secondary, Some(Icon::Undo), &format!("{here}?dialog=replay"), "Replay…"))
                (link_button(ButtonStyle::Secondary, Some(Icon::Edit), &format!("{here}/edit"), "Edit"))
            }
        }
    }
}

/// The log, as an endpoint sees it.
#[derive(Debug, Clone, Copy)]
struct LogState {
    end: Seq,
    /// Events that wait until somebody retries them.
    parked: u64,
    /// The range that is sent again.
    range: Option<ReplayRange>,
    now: Timestamp,
}

/// The state in words: what happens now, and what its owner can do.
fn condition(session: &SessionState, view: &EndpointView, log: &LogState) -> Markup {
    let LogState { end, parked, range, now } = *log;
    let pending = view.pending(end);
    let cursor = view.cursor.as_ref();
    let failing_since = cursor.and_then(|cursor| cursor.failing_since);
    let next_at = cursor.and_then(|cursor| cursor.next_at).filter(|next_at| *next_at > now);
    html! {
        div.condition {
            (state_badge(view, pending))
            @if parked > 0 { a.badge-link href="#parked" { (parked_badge(parked)) } }
            p { @if pending == 0 { "Up to date with event " (end) "." } @else { (text::count(pending, "event", "events")) " behind." } }
        }
        @match view.endpoint.status {
            EndpointStatus::Disabled => {
                (notice(Tone::Danger, html! { p { "Nothing is sent: your server answered 410 Gone, or failed for five days. Once it accepts requests again, resume: delivery continues where it stopped." } }))
            }
            EndpointStatus::Paused => {
                (notice(Tone::Neutral, html! { p { "Nothing is sent until you resume it. Events wait and nothing is lost." } }))
            }
            EndpointStatus::Live => {
                @if let Some(since) = failing_since {
                    (notice(Tone::Danger, html! {
                        p {
                            "Deliveries have failed since " (text::minute(since)) "."
                            @if let Some(next_at) = next_at { " The next attempt is due " (due(next_at, now)) "." }
                            " The attempts below show why. Delivery continues by itself once your server accepts requests; “Try now” does not wait."
                        }
                        (try_now(session, view.endpoint.endpoint_id))
                    }))
                }
            }
        }
        @if let Some(range) = range { (range.progress(view)) }
    }
}

/// How long it is until a time.
fn due(at: Timestamp, now: Timestamp) -> String {
    let seconds = (at - now).whole_seconds().max(0).unsigned_abs();
    match seconds {
        0 => "now".to_owned(),
        1..90 => format!("in {}", text::count(seconds, "second", "seconds")),
        90..5_400 => format!("in {}", text::count(seconds.div_ceil(60), "minute", "minutes")),
        _ => format!("in {}", text::count(seconds.div_ceil(3_600), "hour", "hours")),
    }
}

fn parked_events(session: &SessionState, id: Uuid, parked: &[ParkedEvent]) -> Markup {
    let here = path(id);
    html! {
        section.card #parked {
            header.card-head.with-actions {
                div { h2 { "Parked events" } p { "Your server refused these at every retry while it accepted others. They wait here until you retry them." } }
                form method="post" action={ (here) "/parked/retry" } {
                    (csrf(&session.token.csrf()))
                    button.button.primary type="submit" { (icon(Icon::Refresh)) "Retry all" }
                }
            }
            (table("Parked events", &["Event", "Type", "Attempts", "Parked", "Actions"], html! {
                @for event in parked.iter().take(PARKED) {
                    tr {
                        th scope="row" data-label="Event" { "Event " (event.seq) }
                        td data-label="Type" { code { (event.kind) } }
                        td data-label="Attempts" { (event.attempts) }
                        td data-label="Parked" { (exact_time(event.parked_at, session.now)) }
                        td.cell-actions data-label="Actions" {
                            form method="post" action={ (here) "/parked/" (event.seq) "/retry" } {
                                (csrf(&session.token.csrf()))
                                button.button.quiet type="submit" aria-label={ "Retry event " (event.seq) } { "Retry" }
                            }
                        }
                    }
                }
            }))
            @if parked.len() > PARKED { p.muted { "The first " (PARKED) " are shown. “Retry all” takes the others too." } }
        }
    }
}

fn settings(view: &EndpointView) -> Markup {
    let here = path(view.endpoint.endpoint_id);
    let public_key = view.secret.as_ref().and_then(crate::push::signature::SigningSecret::public_key);
    html! {
        (card("Settings", "", summary::settings(&view.endpoint)))
        section.card {
            header.card-head.with-actions {
                div {
                    h2 { "Signing secret" }
                    p { "It was shown when the endpoint was added. If it is lost or leaked, rotate it." }
                }
                (dialog_link(ButtonStyle::Secondary, Some(Icon::Refresh), &format!("{here}?dialog=rotate"), "Rotate secret…"))
            }
            @if let Some(key) = public_key { dl.copy-list { (copy_row("Public key", &key)) } }
        }
        section.card.danger-zone {
            header.card-head.with-actions {
                div { h2 { "Delete" } p { "Ends deliveries for good, and forgets the position in the log." } }
                (dialog_link(ButtonStyle::Danger, Some(Icon::Delete), &format!("{here}?dialog=delete"), "Delete endpoint…"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_to_what_people_say() {
        let now = time::macros::datetime!(2026-11-30 09:00 UTC);
        let after = |seconds| due(now + time::Duration::seconds(seconds), now);
        assert_eq!(
            [after(0), after(1), after(89), after(300), after(7_200)],
            ["now", "in 1 second", "in 89 seconds", "in 5 minutes", "in 2 hours"]
        );
    }
}
