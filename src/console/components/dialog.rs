//! Dialogs. The button that opens one is a link to the page with the dialog open, so it works without scripts; with them the
//! dialog is fetched from that page and shown above the current one, closes with Escape, and gives the focus back.

use maud::{Markup, html};

use super::button::ButtonStyle;
use super::icon::{Icon, icon};

/// A dialog that the page shows.
pub(crate) struct Dialog<'a> {
    /// The name in `?dialog=`.
    pub(crate) id: &'a str,
    pub(crate) title: &'a str,
    /// The page without the dialog.
    pub(crate) close: &'a str,
    /// A form with its buttons in `div.dialog-actions`.
    pub(crate) content: Markup,
}

/// The open dialog. A page renders it when `?dialog=` has its name, or when its form has errors.
pub(crate) fn dialog(Dialog { id, title, close, content }: Dialog<'_>) -> Markup {
    html! {
        dialog.dialog #(id) open data-dialog aria-labelledby={ (id) "-title" } {
            div.dialog-head {
                h2 id={ (id) "-title" } { (title) }
                a.icon-button href=(close) data-dialog-close aria-label="Close" { (icon(Icon::Close)) }
            }
            (content)
        }
    }
}

/// A link that opens a dialog. `href` is the page with `?dialog=`.
pub(crate) fn dialog_link(style: ButtonStyle, symbol: Option<Icon>, href: &str, label: &str) -> Markup {
    html! {
        a class=(style.class()) href=(href) data-dialog-link role="button" {
            @if let Some(symbol) = symbol { (icon(symbol)) } span { (label) }
        }
    }
}

/// The same as an icon alone, for table rows. `label` names what it acts on.
pub(crate) fn dialog_icon(symbol: Icon, href: &str, label: &str) -> Markup {
    html! {
        a.icon-button href=(href) data-dialog-link role="button" aria-label=(label) title=(label) { (icon(symbol)) }
    }
}

/// The buttons at the end of a dialog: the action, and the way back.
pub(crate) fn dialog_actions(style: ButtonStyle, label: &str, close: &str) -> Markup {
    html! {
        div.dialog-actions {
            a.button href=(close) data-dialog-close { "Cancel" }
            button class=(style.class()) type="submit" { (label) }
        }
    }
}
