//! One content line: `group.NAME;PARAM=value:value`.

/// A line. Its head is kept as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The group and its dot excluded, in the case that it was written in.
    pub(super) group: Option<String>,
    name: String,
    /// Everything between the name and the colon, with the leading semicolon.
    parameters: String,
    /// The value, escaped as it stands in the text.
    pub(super) value: String,
}

impl Line {
    pub(super) fn new(name: &str, types: &[&str], value: &str) -> Self {
        let parameters = types.iter().flat_map(|kind| [";TYPE=", kind]).collect();
        Self { group: None, name: name.to_owned(), parameters, value: value.to_owned() }
    }

    /// Returns `None` for a line without a colon outside quotation marks.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut is_quoted = false;
        let colon = text.char_indices().find_map(|(at, character)| {
            is_quoted ^= character == '"';
            (character == ':' && !is_quoted).then_some(at)
        })?;
        let (head, value) = text.split_at(colon);
        let (name, parameters) = head.split_at(head.find(';').unwrap_or(head.len()));
        let (group, name) = match name.rsplit_once('.') {
            Some((group, name)) => (Some(group.to_owned()), name),
            None => (None, name),
        };
        let value = value.strip_prefix(':').unwrap_or(value).to_owned();
        Some(Self { group, name: name.to_owned(), parameters: parameters.to_owned(), value })
    }

    pub(super) fn text(&self) -> String {
        let group = self.group.as_ref().map(|group| format!("{group}.")).unwrap_or_default();
        format!("{group}{}{}:{}", self.name, self.parameters, self.value)
    }

    /// Names of properties are the same in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The types, in lower case: `TYPE=home,voice`, `TYPE=HOME;TYPE=VOICE` and, of older cards, `HOME;VOICE`.
    pub(super) fn types(&self) -> Vec<String> {
        let parameters = self.parameters.split(';').filter(|parameter| !parameter.is_empty());
        let values = parameters.filter_map(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("type") => Some(value),
            Some((name, _)) if name.eq_ignore_ascii_case("pref") => Some("pref"),
            Some(_) => None,
            None => Some(parameter),
        });
        let single = values.flat_map(|value| value.trim_matches('"').split(','));
        single.map(|value| value.trim().to_lowercase()).collect()
    }

    /// The value as one text.
    pub(super) fn as_text(&self) -> String {
        unescape(&self.value)
    }

    /// The components of a structured value, such as `N`.
    pub(super) fn components(&self) -> Vec<String> {
        split(&self.value, ';').iter().map(|part| unescape(part)).collect()
    }
}

/// Splits at a separator that is not escaped.
fn split(value: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut is_escaped = false;
    for character in value.chars() {
        match parts.last_mut() {
            Some(_) if character == separator && !is_escaped => parts.push(String::new()),
            Some(part) => part.push(character),
            None => {}
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    parts
}

/// RFC 6350 section 3.4: `\n`, `\,`, `\;` and `\\`.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('n' | 'N') => text.push('\n'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            other => text.push(other),
        }
    }
    text
}

/// The reverse. Every separator is escaped, which is right in single, structured and list values alike.
pub(super) fn escape(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for character in text.replace("\r\n", "\n").chars() {
        match character {
            '\n' => value.push_str("\\n"),
            '\r' => {}
            ',' | ';' | '\\' => value.extend(['\\', character]),
            other => value.push(other),
        }
    }
    value
}
