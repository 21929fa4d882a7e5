//! Text and markup as two types, so that text is never inserted unescaped.

use std::fmt;

/// Text that may stand in a page, in an element or in a quoted attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    /// Escapes text of any origin.
    pub(super) fn text(text: &str) -> Self {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '&' => escaped.push_str("&amp;"),
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&#39;"),
                other => escaped.push(other),
            }
        }
        Self(escaped)
    }

    /// Markup of the service itself; parts from elsewhere went through [`Self::text`].
    pub(super) fn markup(markup: String) -> Self {
        Self(markup)
    }

    /// Joins the parts in their order.
    pub(super) fn concat(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fills each `{{gap}}` of a template. Inserted text is not searched for gaps. A gap without a value stays.
pub(super) fn fill(template: &str, value: impl Fn(&str) -> Option<Html>) -> String {
    let mut filled = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let (gap, after) = after.split_once("}}").unwrap_or((after, ""));
        match value(gap) {
            Some(value) => filled.push_str(&value.0),
            None => filled.extend(["{{", gap, "}}"]),
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}
