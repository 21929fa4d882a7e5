//! Fields of forms, each with its label, its hint and its error.

use maud::{Markup, html};

use super::super::access::CSRF_FIELD;
use super::icon::{Icon, icon};

/// A field with one value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormField<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) value: &'a str,
    /// `text`, `email`, `password`, `url`, `number`, `date`, `search`, `color`, `datetime-local`.
    pub(crate) kind: &'a str,
    pub(crate) hint: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) is_required: bool,
    /// The kind of value that the browser may fill in: `email`, `current-password`, `new-password`, `one-time-code`, `off`.
    pub(crate) autocomplete: &'a str,
    pub(crate) max_length: Option<usize>,
}

impl<'a> FormField<'a> {
    /// A required text field without a value.
    pub(crate) fn new(name: &'a str, label: &'a str) -> Self {
        Self {
            name,
            label,
            value: "",
            kind: "text",
            hint: None,
            error: None,
            is_required: true,
            autocomplete: "off",
            max_length: None,
        }
    }
}

/// One of several choices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) value: &'a str,
    pub(crate) label: &'a str,
    /// A sentence below a radio button; a list shows labels alone.
    pub(crate) hint: Option<&'a str>,
}

/// The hidden field that every form needs: `session.token.csrf()`, or `visitor.token.csrf()` before signing in.
pub(crate) fn csrf(token: &str) -> Markup {
    html! { input type="hidden" name=(CSRF_FIELD) value=(token); }
}

/// An input with its label.
pub(crate) fn text_field(field: FormField<'_>) -> Markup {
    let FormField { name, value, kind, is_required, autocomplete, max_length, .. } = field;
    labelled(field, |described| {
        html! {
            input id={ "field-" (name) } name=(name) type=(kind) value=(value) required[is_required]
                autocomplete=(autocomplete) maxlength=[max_length] aria-invalid=[field.error.map(|_| "true")]
                aria-describedby=[described] autocapitalize="off" spellcheck="false";
        }
    })
}

/// A text of several lines.
pub(crate) fn textarea(field: FormField<'_>) -> Markup {
    let FormField { name, value, is_required, max_length, .. } = field;
    labelled(field, |described| {
        html! {
            textarea id={ "field-" (name) } name=(name) required[is_required] maxlength=[max_length]
                aria-invalid=[field.error.map(|_| "true")] aria-describedby=[described] { (value) }
        }
    })
}

/// A list of choices, of which `field.value` is chosen.
pub(crate) fn select(field: FormField<'_>, choices: &[Choice<'_>]) -> Markup {
    let FormField { name, value, .. } = field;
    labelled(field, |described| {
        html! {
            select id={ "field-" (name) } name=(name) aria-invalid=[field.error.map(|_| "true")] aria-describedby=[described] {
                @for choice in choices {
                    option value=(choice.value) selected[choice.value == value] { (choice.label) }
                }
            }
        }
    })
}

/// Radio buttons with an explanation each, of which `value` is chosen.
pub(crate) fn radio_group(name: &str, legend: &str, value: &str, choices: &[Choice<'_>]) -> Markup {
    html! {
        fieldset.radio-group {
            legend { (legend) }
            @for Choice { value: own, label, hint } in choices {
                label.radio {
                    input type="radio" name=(name) value=(own) checked[*own == value];
                    span { strong { (label) } @if let Some(hint) = hint { span.hint { (hint) } } }
                }
            }
        }
    }
}

/// A checkbox with an explanation.
pub(crate) fn checkbox(name: &str, label: &str, hint: Option<&str>, is_on: bool) -> Markup {
    html! {
        label.checkbox {
            input type="checkbox" name=(name) value="on" checked[is_on];
            span { strong { (label) } @if let Some(hint) = hint { span.hint { (hint) } } }
        }
    }
}

fn labelled(field: FormField<'_>, input: impl FnOnce(Option<String>) -> Markup) -> Markup {
    let FormField { name, label, hint, error, is_required, .. } = field;
    let ids = [hint.map(|_| format!("hint-{name}")), error.map(|_| format!("error-{name}"))];
    let described = ids.into_iter().flatten().collect::<Vec<_>>().join(" ");
    html! {
        div.field {
            label for={ "field-" (name) } { (label) @if !is_required { " " span.optional { "optional" } } }
            (input(Some(described).filter(|ids| !ids.is_empty())))
            @if let Some(hint) = hint { p.hint id={ "hint-" (name) } { (hint) } }
            @if let Some(error) = error { p.error id={ "error-" (name) } { (icon(Icon::Warning)) (error) } }
        }
    }
}
