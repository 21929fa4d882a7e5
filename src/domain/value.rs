//! The values of attributes. A value that exists is valid and canonical: equal meaning is equal bytes, which is what
//! lets an unchanged write be seen as one.

use serde::{Deserialize, Serialize};

use super::{Field, Kind, Record, Uid};

/// The value of one attribute; `null` is the absence of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after its kind")]
pub enum Value {
    Text(String),
    Role(Role),
    Tags(Vec<String>),
    Address(Address),
    Links(Vec<Link>),
    Person(Person),
}

/// Where a contact or company stands with the account's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its wire name")]
pub enum Role {
    Lead,
    Prospect,
    Client,
}

impl Role {
    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lead => "Lead",
            Self::Prospect => "Prospect",
            Self::Client => "Client",
        }
    }

    /// Reads a role in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Lead, Self::Prospect, Self::Client]
            .into_iter()
            .find(|role| role.name().eq_ignore_ascii_case(text.trim()))
    }
}

/// A postal address; an address with no line at all is no address.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is its wire name")]
pub struct Address {
    pub address_line_1: Option<String>,
    pub address_line_2: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
    pub zip: Option<String>,
}

impl Address {
    /// The parts that are set, in the order of an envelope, joined by commas.
    #[must_use]
    pub fn full(&self) -> Option<String> {
        let parts: Vec<&str> = self.parts().into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// Whether no part is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts().iter().all(Option::is_none)
    }

    fn parts(&self) -> [Option<&str>; 6] {
        [
            self.address_line_1.as_deref(),
            self.address_line_2.as_deref(),
            self.city.as_deref(),
            self.state.as_deref(),
            self.zip.as_deref(),
            self.country.as_deref(),
        ]
    }
}

/// A company that a contact belongs to. The name is the company's name at the time of the link; a reader of the
/// contact is shown the present one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    /// The company.
    pub uid: Uid,
    /// Its name when the link was made.
    pub name: String,
}

/// A renamed company is no change of the contacts that belong to it.
impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
    }
}

impl Eq for Link {}

/// A company's first contact as it was when it became that.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is its wire name")]
pub struct Person {
    pub uid: Uid,
    pub first_name: String,
    pub last_name: String,
    pub email: Option<String>,
}

impl Person {
    /// A contact as a company shows it.
    #[must_use]
    pub fn of(contact: &Record) -> Self {
        let text = |field| contact.text(field).map(str::to_owned);
        Self {
            uid: contact.uid,
            first_name: text(Field::FirstName).unwrap_or_default(),
            last_name: text(Field::LastName).unwrap_or_default(),
            email: text(Field::Email),
        }
    }
}

/// As with [`Link`]: the same contact under another name is the same first contact.
impl PartialEq for Person {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
    }
}

impl Eq for Person {}

impl Value {
    /// Reads a text for a field of this kind; `Err` says in one plain sentence what is wrong with it.
    pub fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        match kind {
            Kind::Text(limit) => plain(text, limit).map(Self::Text),
            Kind::Phone => plain(text, 64).map(Self::Text),
            Kind::Email => email(text).map(Self::Text),
            Kind::Website => website(text).map(Self::Text),
            Kind::Role => {
                Role::parse(text).map(Self::Role).ok_or_else(|| "Must be one of Lead, Prospect, Client.".to_owned())
            }
            Kind::Tags => tags(text.split(',')).map(Self::Tags),
            Kind::Address | Kind::Links | Kind::Person => Err("Must be an object.".to_owned()),
        }
    }

    /// The text inside, where the kind is a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Role(role) => Some(role.name()),
            Self::Tags(_) | Self::Address(_) | Self::Links(_) | Self::Person(_) => None,
        }
    }
}

/// Trims, and refuses what PostgreSQL would refuse (NUL) or nobody means (more than `limit` characters).
pub fn plain(text: &str, limit: usize) -> Result<String, String> {
    let text = text.trim();
    if text.contains('\0') {
        return Err("Must not contain the NUL character.".to_owned());
    }
    // Characters are at most as many as bytes, so the count is taken only of long texts.
    if text.len() > limit && text.chars().count() > limit {
        return Err(format!("Must have at most {limit} characters."));
    }
    Ok(text.to_owned())
}

/// Words of a set: trimmed, without empty ones, sorted, each once.
pub fn tags<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<String>, String> {
    let mut tags = Vec::new();
    for word in words {
        let word = plain(word, 100)?;
        if !word.is_empty() {
            tags.push(word);
        }
    }
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > 200 { Err("Must have at most 200 tags.".to_owned()) } else { Ok(tags) }
}

/// An address in the form `local@domain` of at most 254 bytes (RFC 5321, 4.5.3.1.3), in lower case.
fn email(text: &str) -> Result<String, String> {
    let text = plain(text, 254)?.to_lowercase();
    let well_formed = text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && !local.contains('@')
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
            && domain.split('.').all(|label| !label.is_empty())
    });
    if well_formed && text.len() <= 254 { Ok(text) } else { Err("Must be an email address.".to_owned()) }
}

fn website(text: &str) -> Result<String, String> {
    let text = plain(text, 2_048)?;
    let host = ["https://", "http://"].iter().find_map(|scheme| {
        let head = text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| text.get(scheme.len()..)).flatten()
    });
    match host {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace) => Ok(text),
        _ => Err("Must be a URL that begins with https:// or http://.".to_owned()),
    }
}
