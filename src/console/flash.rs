//! The message that a page shows once, after a change on the page before.

/// The outcome that a message reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlashKind {
    Success,
    Failure,
}

/// A message for the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    pub(crate) kind: FlashKind,
    pub(crate) text: String,
}

/// The longest message, in characters, because it travels in a cookie.
const MAX_TEXT: usize = 400;

impl Flash {
    pub(crate) fn success(text: impl Into<String>) -> Self {
        Self { kind: FlashKind::Success, text: text.into() }
    }

    pub(crate) fn failure(text: impl Into<String>) -> Self {
        Self { kind: FlashKind::Failure, text: text.into() }
    }

    pub(super) fn encode(&self) -> String {
        let kind = if self.kind == FlashKind::Success { 's' } else { 'f' };
        std::iter::once(kind).chain(self.text.chars().take(MAX_TEXT)).collect()
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let (kind, text) = text.split_at_checked(1)?;
        let kind = if kind == "s" { FlashKind::Success } else { FlashKind::Failure };
        Some(Self { kind, text: text.to_owned() })
    }
}
