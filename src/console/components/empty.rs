//! The state of a list without entries: what it is for, and what to do next.

use maud::{Markup, html};

use super::icon::{Icon, icon};

/// An empty state. `action` is a button or link, or nothing.
pub(crate) fn empty_state(symbol: Icon, title: &str, text: &str, action: Markup) -> Markup {
    html! {
        div.empty {
            span.empty-icon { (icon(symbol)) }
            h2.empty-title { (title) }
            p { (text) }
            (action)
        }
    }
}
