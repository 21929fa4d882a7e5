//! A short state, such as `live` or `disabled`. The word carries the meaning; the colour repeats it.

use maud::{Markup, html};

use super::notice::Tone;

/// A badge.
pub(crate) fn badge(tone: Tone, text: &str) -> Markup {
    html! { span class={ "badge tone-" (tone.name()) } { (text) } }
}
