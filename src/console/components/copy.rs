//! Copying to the clipboard with one click. Needs a script; without one the text can be selected.

use maud::{Markup, html};

use super::icon::{Icon, icon};

/// A button that copies a text which the page shows anyway. `label` names the text: "Copy Public ID".
pub(crate) fn copy_button(text: &str, label: &str) -> Markup {
    html! {
        button.icon-button.copy type="button" data-copy=(text) aria-label=(label) title=(label) {
            (icon(Icon::Copy)) span.copied aria-hidden="true" { (icon(Icon::Check)) }
        }
    }
}

/// A term, its value in monospace, and a button that copies it.
pub(crate) fn copy_row(term: &str, value: &str) -> Markup {
    html! {
        div.copy-row {
            dt { (term) }
            dd { code { (value) } (copy_button(value, &format!("Copy {term}"))) }
        }
    }
}
