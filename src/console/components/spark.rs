//! Small drawings in the rows of a table: shares over time, and progress with its words.

use maud::{Markup, html};

/// The width and height of one column, in the units of the drawing.
const STEP: usize = 4;
const HEIGHT: u64 = 20;

/// Columns of how much succeeded: each is filled up to the share of successes, and the rest shows the failures. A column
/// without attempts is a short mark. `label` says the same in words.
pub(crate) fn sparkline(label: &str, values: &[(u64, u64)]) -> Markup {
    html! {
        svg.spark viewBox={ "0 0 " (STEP * values.len()) " " (HEIGHT) } width=(STEP * values.len()) height=(HEIGHT) role="img" aria-label=(label) {
            @for ((succeeded, all), x) in values.iter().zip((0..).step_by(STEP)) {
                @if let Some(good) = (succeeded * HEIGHT).checked_div(*all) {
                    @if good < HEIGHT { rect.spark-bad x=(x) y="0" width="3" height=(HEIGHT - good) {} }
                    @if good > 0 { rect.spark-good x=(x) y=(HEIGHT - good) width="3" height=(good) {} }
                } @else {
                    rect.spark-none x=(x) y=(HEIGHT - 2) width="3" height="2" {}
                }
            }
        }
    }
}

/// A bar of work that is done, with its words beside it.
pub(crate) fn progress(label: &str, done: u64, all: u64) -> Markup {
    html! {
        div.progress {
            progress max=(all.max(1)) value=(done.min(all)) aria-label=(label) {}
            p { (label) }
        }
    }
}
