//! Buttons that submit a form, and links that look like them.

use maud::{Markup, html};

use super::icon::{Icon, icon};

/// The weight of a button: one primary button per form or page head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ButtonStyle {
    Primary,
    Secondary,
    /// Deletes or cuts off something.
    Danger,
    /// Without a border, inside tables.
    Quiet,
}

impl ButtonStyle {
    pub(crate) const ALL: [Self; 4] = [Self::Primary, Self::Secondary, Self::Danger, Self::Quiet];

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Primary => "button primary",
            Self::Secondary => "button",
            Self::Danger => "button danger",
            Self::Quiet => "button quiet",
        }
    }
}

/// A button that submits its form.
pub(crate) fn button(style: ButtonStyle, label: &str) -> Markup {
    html! { button class=(style.class()) type="submit" { (label) } }
}

/// A link that looks like a button.
pub(crate) fn link_button(style: ButtonStyle, symbol: Option<Icon>, href: &str, label: &str) -> Markup {
    html! {
        a class=(style.class()) href=(href) { @if let Some(symbol) = symbol { (icon(symbol)) } span { (label) } }
    }
}
