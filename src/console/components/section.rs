//! The head of a page, its cards, and times.

use maud::{Markup, html};

use super::super::text;
use crate::contract::timestamp;
use crate::domain::Timestamp;

/// The head of a page: its title, a sentence on what it is for, and its actions.
pub(crate) fn page_head(title: &str, lead: &str, actions: Markup) -> Markup {
    html! {
        header.page-head {
            div { h1 { (title) } @if !lead.is_empty() { p.lead { (lead) } } }
            div.page-actions { (actions) }
        }
    }
}

/// A card with a heading, a sentence, and its content.
pub(crate) fn card(title: &str, lead: &str, content: Markup) -> Markup {
    html! {
        section.card {
            header.card-head { h2 { (title) } @if !lead.is_empty() { p { (lead) } } }
            (content)
        }
    }
}

/// A time as people say it, with the exact one behind it.
pub(crate) fn time(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(timestamp::seconds(at)) title=(text::minute(at)) { (text::ago(at, now)) } }
}

/// A time in a log: the exact one, with what people say behind it.
pub(crate) fn exact_time(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(timestamp::seconds(at)) title=(text::ago(at, now)) { (text::second(at)) } }
}

/// An email address, a web address or a name of technical parts, which breaks at its marks where it is too long for a line.
pub(crate) fn breakable(text: &str) -> Markup {
    html! { @for (index, part) in text::breaks(text).enumerate() { @if index > 0 { wbr; } (part) } }
}
