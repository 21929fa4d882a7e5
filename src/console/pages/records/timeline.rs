//! A record's history as a timeline, and the slider over its versions.

use maud::{Markup, html};

use super::super::super::components::{ButtonStyle, Icon, Tone, badge, icon, link_button, time};
use super::super::super::session::SessionState;
use super::super::super::text;
use super::changes::{changes, event_word};
use super::names::Names;
use crate::contract::event;
use crate::domain::{Event, EventType, Seq, Uid};
use crate::feed::PageLimit;
use crate::store::StoreError;
use crate::store::history::HistoryPage;

/// The events of a page of a history.
pub(super) const PAGE: PageLimit = PageLimit { events: 50, bytes: 512 << 10 };

/// A page of a record's history, the newest event first.
pub(super) struct History {
    pub(super) events: Vec<Event>,
    /// The event with which the page of older events begins.
    pub(super) older: Option<Seq>,
    /// Whether newer events are left out.
    pub(super) is_later_page: bool,
}

impl History {
    pub(super) fn of(page: &HistoryPage, uid: Uid, version: Seq) -> Result<Self, StoreError> {
        let decode =
            |body: &String| event::decode(body).map_err(|error| StoreError::corrupt("event", "body", uid, error));
        let events: Vec<Event> = page.bodies.iter().map(decode).collect::<Result<_, _>>()?;
        let is_later_page = events.first().is_some_and(|first| first.seq < version);
        Ok(Self { events, older: page.next, is_later_page })
    }

    /// The last event at or before a position, if the page reaches back to it.
    pub(super) fn at(&self, at: Seq) -> Option<&Event> {
        self.events.iter().find(|event| event.seq <= at).filter(|_| !self.is_later_page || self.newest() >= at)
    }

    fn newest(&self) -> Seq {
        self.events.first().map_or(Seq::ZERO, |event| event.seq)
    }

    /// The position of a version that the slider names: the first is the oldest event of the page.
    pub(super) fn version(&self, number: usize) -> Option<Seq> {
        let index = self.events.len().checked_sub(number)?;
        self.events.get(index).map(|event| event.seq)
    }

    /// The number by which the slider names the version of a position.
    fn number(&self, at: Seq) -> usize {
        let later = self.events.iter().take_while(|event| event.seq > at).count();
        (self.events.len() - later).max(1)
    }

    /// `2 of 6`: the change of a position among all of the record's; `None` where the page has only some of them.
    pub(super) fn ordinal(&self, at: Seq) -> Option<String> {
        let is_whole = self.older.is_none() && !self.is_later_page;
        is_whole.then(|| format!("{} of {}", self.number(at), self.events.len()))
    }

    /// A change as a sentence names it: `change 2 of 6`, or by its event where the page has only some of them.
    pub(super) fn change_name(&self, at: Seq) -> String {
        self.ordinal(at).map_or_else(|| format!("event {at}"), |ordinal| format!("change {ordinal}"))
    }
}

/// The slider over the versions of this page. Moving it shows the record as it was; without scripts its button does.
pub(super) fn slider(path: &str, history: &History, at: Option<Seq>) -> Markup {
    let count = history.events.len();
    let ends = history.events.last().zip(history.events.first());
    let current = at.map_or(count, |at| history.number(at));
    html! {
        @if count > 1 || history.is_later_page {
            form.versions method="get" action=(path) hx-get=(path) hx-trigger="input delay:80ms" hx-target="#record-body"
                hx-select="#record-body" hx-select-oob="#record-summary" hx-swap="outerHTML" hx-replace-url="true" hx-sync="this:replace" {
                input type="hidden" name="from" value=(history.newest());
                label for="version-slider" { (icon(Icon::Clock)) "Earlier versions" }
                input #version-slider type="range" name="version" min="1" max=(count) step="1" value=(current)
                    aria-describedby="versions-hint";
                noscript { button.button type="submit" { "Show" } }
                @if let Some((first, last)) = ends {
                    p.versions-ends aria-hidden="true" { span { "first, " (text::day(first.at)) } span { "last, " (text::day(last.at)) } }
                }
                p.hint #versions-hint {
                    "Move the slider to see the record after each of its " (text::count(u64::try_from(count).unwrap_or_default(), "change", "changes"))
                    @if history.older.is_some() || history.is_later_page { " on this page" } "."
                }
            }
        }
    }
}

/// The timeline. `shown` is the version that the page shows.
pub(super) fn timeline(session: &SessionState, path: &str, history: &History, names: &Names, shown: Seq) -> Markup {
    let newest = history.newest();
    html! {
        ol.timeline {
            @for event in &history.events {
                @let is_shown = event.seq == shown;
                li.timeline-entry data-kind=(event.event_type.name()) aria-current=[is_shown.then_some("true")] {
                    div.timeline-head {
                        strong class={ "event-word event-" (tone(event.event_type).name()) } { (event_word(event.event_type)) }
                        span { "by " (badge(Tone::Neutral, &event.origin)) }
                        @if let Some(person) = names.person(event) { span { (person) } }
                        span.timeline-time { (time(event.at, session.now)) }
                        @if is_shown { span.timeline-shown { "Viewing this version" } }
                        @else {
                            a.timeline-link href={ (path) "?at=" (event.seq) "&from=" (newest) } {
                                "View this version" span.visually-hidden { ", " (history.change_name(event.seq)) }
                            }
                        }
                    }
                    (changes(event, names))
                }
            }
        }
        @if history.is_later_page || history.older.is_some() {
            nav.pagination aria-label="Pages of the history" {
                span { "The history goes on." }
                div {
                    @if history.is_later_page { (link_button(ButtonStyle::Secondary, Some(Icon::Previous), path, "Newest")) }
                    @if let Some(older) = history.older {
                        (link_button(ButtonStyle::Secondary, Some(Icon::Next), &format!("{path}?from={older}"), "Older"))
                    }
                }
            }
        }
    }
}

fn tone(event_type: EventType) -> Tone {
    match event_type {
        EventType::Deleted | EventType::Erased | EventType::Merged | EventType::FieldArchived => Tone::Danger,
        EventType::Created | EventType::Restored | EventType::FieldAdded => Tone::Success,
        EventType::Updated
        | EventType::FieldChanged
        | EventType::WelcomeRequested
        | EventType::Subscribed
        | EventType::Failing
        | EventType::Disabled
        | EventType::Recovered
        | EventType::Opened
        | EventType::Resolved => Tone::Info,
    }
}
