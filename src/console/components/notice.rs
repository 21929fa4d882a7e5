//! A message above the content: the outcome of a change, a warning, a hint.

use maud::{Markup, html};

use super::icon::{Icon, icon};

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Neutral,
    Info,
    Success,
    Warning,
    Danger,
}

impl Tone {
    pub(crate) const ALL: [Self; 5] = [Self::Neutral, Self::Info, Self::Success, Self::Warning, Self::Danger];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Danger => "danger",
        }
    }

    fn icon(self) -> Icon {
        match self {
            Self::Neutral | Self::Info => Icon::Info,
            Self::Success => Icon::Check,
            Self::Warning | Self::Danger => Icon::Warning,
        }
    }
}

/// A notice. A failure interrupts a screen reader; anything else waits for a pause.
pub(crate) fn notice(tone: Tone, content: Markup) -> Markup {
    let role = if tone == Tone::Danger { "alert" } else { "status" };
    html! {
        div class={ "notice tone-" (tone.name()) } role=(role) { (icon(tone.icon())) div { (content) } }
    }
}
