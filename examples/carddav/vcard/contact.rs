//! The attributes of a contact in a card.
//!
//! Reading and writing are inverse where it matters: writing changes only the properties whose attribute differs from the one
//! that is read, and reading what was written returns the attributes that were written. Without that, a value that a card
//! cannot hold would look like an edit in every round.

use serde_json::{Map, Value, json};

use super::line::{Line, escape};
use super::{Card, Malformed};
use crate::connector::Values;

/// The attributes of contacts that a card holds.
pub(crate) const FIELDS: [&str; 13] = [
    "first_name",
    "last_name",
    "name_prefix",
    "email",
    "home_email",
    "work_email",
    "phone",
    "home_phone",
    "work_phone",
    "title",
    "website",
    "background_info",
    "address",
];

/// The components of `ADR` from the third on (RFC 6350 section 6.3.1): street, locality, region, code, country. The second
/// is the extended address.
const ADDRESS: [(usize, &str); 6] =
    [(2, "address_line_1"), (1, "address_line_2"), (3, "city"), (4, "state"), (5, "zip"), (6, "country")];

/// The components of `N` (RFC 6350 section 6.2.2).
const FAMILY: usize = 0;
const GIVEN: usize = 1;
const PREFIX: usize = 3;

/// Reads the attributes of a card.
pub(crate) fn read(text: &str) -> Result<Values, Malformed> {
    let card = Card::parse(text)?;
    Ok(FIELDS.iter().map(|field| ((*field).to_owned(), card.value(field))).collect())
}

/// The text of a card with these attributes. `text` is the card as it is; without it a new one is made.
pub(crate) fn write(text: Option<&str>, uid: &str, values: &Values) -> Result<String, Malformed> {
    let mut card = match text {
        Some(text) => Card::parse(text)?,
        None => Card::new(uid),
    };
    for field in FIELDS {
        let value = values.get(field).unwrap_or(&Value::Null);
        if card.value(field) != *value {
            card.change(field, value);
        }
    }
    card.name_it();
    Ok(card.text())
}

impl Card {
    fn value(&self, field: &str) -> Value {
        match field {
            "first_name" => text_or_null(self.name(GIVEN)),
            "last_name" => text_or_null(self.name(FAMILY)),
            "name_prefix" => text_or_null(self.name(PREFIX)),
            "address" => self.address(),
            _ => self
                .line_of(field)
                .and_then(|at| self.lines.get(at))
                .map_or(Value::Null, |line| text_or_null(line.as_text())),
        }
    }

    /// A component of the name. A card that has only a formatted name gets its last word as last name.
    fn name(&self, component: usize) -> String {
        let names: Vec<String> = self.all("N").next().map(Line::components).unwrap_or_default();
        let named = |component: usize| names.get(component).map(|name| name.trim().to_owned()).unwrap_or_default();
        if !named(FAMILY).is_empty() || !named(GIVEN).is_empty() {
            return named(component);
        }
        let formatted = self.all("FN").next().map(Line::as_text).unwrap_or_default();
        let formatted = formatted.trim();
        let (given, family) = formatted.rsplit_once(' ').unwrap_or(("", formatted));
        match component {
            FAMILY => family.to_owned(),
            GIVEN => given.to_owned(),
            _ => String::new(),
        }
    }

    /// An address without parts is an object of nulls, as the service has it.
    fn address(&self) -> Value {
        let parts = self.lines.iter().find(|line| line.is("ADR")).map(Line::components).unwrap_or_default();
        let part = |at: usize| parts.get(at).map_or(Value::Null, |part| text_or_null(part.clone()));
        let address: Map<String, Value> = ADDRESS.iter().map(|(at, name)| ((*name).to_owned(), part(*at))).collect();
        Value::Object(address)
    }

    /// The line that holds an attribute: of several addresses, the first of its type.
    fn line_of(&self, field: &str) -> Option<usize> {
        let typed = |name: &'static str, kind: &'static str| {
            self.position(move |line| line.is(name) && line.types().iter().any(|other| other == kind))
        };
        // The main one has no type, or one that no other attribute takes.
        let main = |name: &'static str| {
            let is_other =
                |line: &Line| line.types().iter().any(|kind| kind == "home" || kind == "work" || kind == "fax");
            self.position(move |line| line.is(name) && !is_other(line))
        };
        match field {
            "email" => main("EMAIL"),
            "home_email" => typed("EMAIL", "home"),
            "work_email" => typed("EMAIL", "work"),
            "phone" => main("TEL"),
            "home_phone" => typed("TEL", "home"),
            "work_phone" => typed("TEL", "work"),
            "title" => self.position(|line| line.is("TITLE")),
            "website" => self.position(|line| line.is("URL")),
            "background_info" => self.position(|line| line.is("NOTE")),
            _ => None,
        }
    }

    fn change(&mut self, field: &str, value: &Value) {
        match field {
            "first_name" => self.rename(GIVEN, value),
            "last_name" => self.rename(FAMILY, value),
            "name_prefix" => self.rename(PREFIX, value),
            "address" => self.readdress(value),
            _ => {
                let escaped = value.as_str().map(escape);
                let at = self.line_of(field);
                self.set(at, escaped.as_deref(), |value| new_line(field, value));
            }
        }
    }

    fn rename(&mut self, component: usize, value: &Value) {
        let at = self.position(|line| line.is("N"));
        let mut names = at.and_then(|at| self.lines.get(at)).map(Line::components).unwrap_or_default();
        names.resize(names.len().max(5), String::new());
        // A name that was read from the formatted one is written out.
        for other in [FAMILY, GIVEN] {
            let current = self.name(other);
            if let Some(name) = names.get_mut(other) {
                *name = current;
            }
        }
        if let Some(name) = names.get_mut(component) {
            value.as_str().unwrap_or_default().clone_into(name);
        }
        let value = names.iter().map(|name| escape(name)).collect::<Vec<_>>().join(";");
        self.set(at, Some(&value), |value| Line::new("N", &[], value));
        // The formatted name says the same; name_it makes it anew.
        self.lines.retain(|line| !line.is("FN"));
    }

    fn readdress(&mut self, value: &Value) {
        let at = self.position(|line| line.is("ADR"));
        let mut parts = at.and_then(|at| self.lines.get(at)).map(Line::components).unwrap_or_default();
        parts.resize(parts.len().max(7), String::new());
        for (at, name) in ADDRESS {
            if let Some(part) = parts.get_mut(at) {
                value[name].as_str().unwrap_or_default().clone_into(part);
            }
        }
        let text = parts.iter().map(|part| escape(part)).collect::<Vec<_>>().join(";");
        let has_parts = parts.iter().any(|part| !part.is_empty());
        let text = has_parts.then_some(text);
        self.set(at, text.as_deref(), |value| Line::new("ADR", &["HOME"], value));
    }

    /// Adds the formatted name and the name, which a card of version 3.0 must have.
    fn name_it(&mut self) {
        if self.position(|line| line.is("N")).is_none() {
            self.lines.push(Line::new("N", &[], ";;;;"));
        }
        if self.position(|line| line.is("FN")).is_none() {
            let names = [PREFIX, GIVEN, FAMILY].map(|component| self.name(component));
            let formatted = names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ");
            self.lines.push(Line::new("FN", &[], &escape(&formatted)));
        }
    }
}

fn new_line(field: &str, value: &str) -> Line {
    match field {
        "email" => Line::new("EMAIL", &["INTERNET", "PREF"], value),
        "home_email" => Line::new("EMAIL", &["INTERNET", "HOME"], value),
        "work_email" => Line::new("EMAIL", &["INTERNET", "WORK"], value),
        "phone" => Line::new("TEL", &["CELL"], value),
        "home_phone" => Line::new("TEL", &["HOME", "VOICE"], value),
        "work_phone" => Line::new("TEL", &["WORK", "VOICE"], value),
        "title" => Line::new("TITLE", &[], value),
        "website" => Line::new("URL", &[], value),
        _ => Line::new("NOTE", &[], value),
    }
}

fn text_or_null(text: String) -> Value {
    let text = text.trim();
    if text.is_empty() { Value::Null } else { json!(text) }
}
