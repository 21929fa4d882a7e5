//! vCards as text: content lines that can be read and changed one by one (RFC 6350 section 3, and RFC 2426 for version 3.0).
//!
//! A card keeps every line that nobody changed as it was read, byte for byte after unfolding: properties, parameters and
//! groups that a program does not know survive its changes.

pub(crate) mod contact;
mod line;
#[cfg(test)]
mod tests;

use line::Line;

/// A card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    /// The lines between `BEGIN` and `END`.
    lines: Vec<Line>,
}

/// The text is no vCard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the text does not begin with BEGIN:VCARD or does not end with END:VCARD")]
    NoCard,
    #[error("line {0:?} has no colon")]
    NoValue(String),
}

impl Card {
    /// A new card of version 3.0, which every address book reads. `uid` is its `UID`.
    pub(crate) fn new(uid: &str) -> Self {
        let mut card = Self { lines: Vec::new() };
        for (name, value) in [("VERSION", "3.0"), ("UID", uid)] {
            card.lines.push(Line::new(name, &[], value));
        }
        card
    }

    /// Reads the first card of a text.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut unfolded = joined_lines(text).into_iter().filter(|line| !line.trim().is_empty());
        let is_begin = |line: String| line.trim().eq_ignore_ascii_case("BEGIN:VCARD");
        if !unfolded.next().is_some_and(is_begin) {
            return Err(Malformed::NoCard);
        }
        let mut lines = Vec::new();
        for text in unfolded {
            if text.trim().eq_ignore_ascii_case("END:VCARD") {
                return Ok(Self { lines });
            }
            lines.push(Line::parse(&text).ok_or(Malformed::NoValue(text))?);
        }
        Err(Malformed::NoCard)
    }

    /// The card as text, with lines folded at 75 octets.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter().map(Line::text);
        let all = ["BEGIN:VCARD".to_owned()].into_iter().chain(lines).chain(["END:VCARD".to_owned()]);
        all.map(|line| broken_line(&line)).collect()
    }

    /// The lines of a property.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Line> {
        self.lines.iter().filter(move |line| line.is(name))
    }

    /// Sets the value of a line, or adds a line behind the others where there is none. `None` removes it, and the lines of
    /// its group that say something about it, such as a label.
    fn set(&mut self, at: Option<usize>, value: Option<&str>, new: impl FnOnce(&str) -> Line) {
        match (at, value) {
            (Some(at), Some(value)) => {
                if let Some(line) = self.lines.get_mut(at) {
                    value.clone_into(&mut line.value);
                }
            }
            (Some(at), None) => {
                let group = self.lines.remove(at).group;
                if group.is_some() {
                    self.lines.retain(|line| line.group != group);
                }
            }
            (None, Some(value)) => self.lines.push(new(value)),
            (None, None) => {}
        }
    }

    fn position(&self, is_it: impl Fn(&Line) -> bool) -> Option<usize> {
        self.lines.iter().position(is_it)
    }
}

/// Joins lines that were folded: a line that begins with a space or a tab continues the one before (RFC 6350 section 3.2).
fn joined_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        match (line.strip_prefix([' ', '\t']), lines.last_mut()) {
            (Some(rest), Some(last)) => last.push_str(rest),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// Breaks a line so that none is longer than 75 octets, and no character is broken.
fn broken_line(line: &str) -> String {
    const MAX_OCTETS: usize = 75;
    let mut folded = String::with_capacity(line.len() + 8);
    let mut length = 0;
    for character in line.chars() {
        if length + character.len_utf8() > MAX_OCTETS {
            folded.push_str("\r\n ");
            length = 1;
        }
        folded.push(character);
        length += character.len_utf8();
    }
    folded.push_str("\r\n");
    folded
}
