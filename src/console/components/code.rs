//! A piece of code to copy, and the folded body of a message.

use maud::{Markup, html};

use super::copy::copy_button;

/// Code with its title and a button that copies it.
pub(crate) fn code_block(title: &str, code: &str) -> Markup {
    html! {
        figure.code-block {
            figcaption { span { (title) } (copy_button(code, &format!("Copy {title}"))) }
            pre tabindex="0" role="region" aria-label=(title) { code { (code) } }
        }
    }
}

/// A text of another system, escaped and never interpreted.
pub(crate) fn body_block(title: &str, text: &str) -> Markup {
    html! {
        div.body-block {
            div.body-head { p.body-title { (title) } @if !text.is_empty() { (copy_button(text, &format!("Copy the {}", title.to_lowercase()))) } }
            @if text.is_empty() { p.muted { "Empty." } }
            @else { pre tabindex="0" role="region" aria-label=(title) { (text) } }
        }
    }
}
