//! Charts, drawn by the server as SVG. A table or a sentence beside each says the same in words.

use maud::{Markup, html};

/// The width of a column's box, in the units of the drawing.
const STEP: u64 = 10;

/// The height of the drawing.
const HEIGHT: u64 = 64;

/// Columns of numbers, each with a title that is shown when it is pointed at.
pub(crate) fn columns(label: &str, values: &[(String, u64)]) -> Markup {
    let largest = values.iter().map(|(_, value)| *value).max().unwrap_or_default().max(1);
    let width = STEP * u64::try_from(values.len()).unwrap_or_default();
    html! {
        svg.columns viewBox={ "0 0 " (width) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(label) {
            @for ((title, value), x) in values.iter().zip((0..).step_by(10)) {
                // A value that is not zero is at least a line.
                @let height = (value * HEIGHT / largest).max(u64::from(*value > 0) * 2);
                g {
                    title { (title) }
                    rect.column-back x=(x) y="0" width="9" height=(HEIGHT) {}
                    rect.column x=(x) y=(HEIGHT - height) width="9" height=(height) {}
                }
            }
        }
    }
}

/// A share of a limit: amber from 80 %, red from 95 %.
pub(crate) fn meter(label: &str, used: u64, limit: u64) -> Markup {
    let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(100).min(100);
    let tone = match percent {
        95.. => "danger",
        80.. => "warning",
        _ => "accent",
    };
    html! {
        svg class={ "meter meter-" (tone) } viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.meter-back x="0" y="0" width="100" height="4" {}
            rect.meter-bar x="0" y="0" width=(percent) height="4" {}
        }
    }
}
