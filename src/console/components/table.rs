//! Tables, and the links to their further pages.

use maud::{Markup, html};

use super::icon::{Icon, icon};

/// The head of the cells that hold a row's buttons, `td.cell-actions`.
const ACTIONS: &str = "Actions";

/// A table. The caption names it for screen readers; `body` is its `tr` elements, whose first cell is a `th scope="row"`. On a
/// narrow screen the cells of a row stand below each other, each behind its `data-label`. The head [`ACTIONS`] is for screen
/// readers alone.
pub(crate) fn table(caption: &str, heads: &[&str], body: Markup) -> Markup {
    html! {
        div.table-frame tabindex="0" role="region" aria-label=(caption) {
            table {
                caption.visually-hidden { (caption) }
                thead {
                    tr {
                        @for head in heads {
                            @if *head == ACTIONS { th.cell-actions scope="col" { span.visually-hidden { (head) } } }
                            @else { th scope="col" { (head) } }
                        }
                    }
                }
                tbody { (body) }
            }
        }
    }
}

/// Links to the pages before and after, where there are any, with a sentence on what is shown.
pub(crate) fn pagination(summary: &str, previous: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        nav.pagination aria-label="Pages" {
            span { (summary) }
            div {
                @if let Some(previous) = previous { a.button href=(previous) rel="prev" { (icon(Icon::Previous)) "Previous" } }
                @if let Some(next) = next { a.button href=(next) rel="next" { "Next" (icon(Icon::Next)) } }
            }
        }
    }
}
