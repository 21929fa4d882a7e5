//! The values of attributes. Every value is valid and canonical: equal meaning is equal bytes, so that an unchanged write is
//! recognised.

mod address;
mod list;
mod number;
mod phone;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field_type::FieldType;
use super::text_enum::text_enum;
use super::visibility::Visibility;
use super::{Field, FieldKind, FieldOwner, Uid};

pub use address::Address;
pub(crate) use address::AddressChange;
pub(crate) use list::{MAX_TAGS, max_read, tags, words};
pub use number::{Money, Number};
pub(super) use phone::is_same_number;
pub(super) use text::{date, email, time_of_day, timestamp, uid, website};
pub(crate) use text::{flag, plain};

/// The value of one attribute; `null` is the absence of a value. Its large variants are boxed, because values are moved
/// between several maps and lists on their way from a body to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after its kind")]
pub enum Value {
    Text(String),
    Role(Role),
    Tags(Vec<String>),
    Address(Box<Address>),
    Links(Vec<Link>),
    Person(Box<Person>),
    Number(Number),
    Flag(bool),
    Money(Money),
    Words(Vec<String>),
    Audiences(Vec<i64>),
    Custom(BTreeMap<Uid, Value>),
    OfField(Box<FieldValue>),
}

/// The value of a field of another record, together with that field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldValue {
    /// The field.
    pub field: Field,
    /// `None` is `null`.
    pub value: Option<Value>,
}

impl FieldValue {
    /// Fields of the same name are one field here, because only the name is on the wire.
    #[must_use]
    pub(crate) fn new(field: Field, value: Option<Value>) -> Self {
        Self { field: Field::of_records(field.name()).unwrap_or(field), value }
    }
}

text_enum! {
    /// The relation of a contact or company to the account's owner.
    #[derive(Serialize, Deserialize)]
    #[expect(missing_docs, reason = "each variant is its wire name")]
    pub enum Role {
        Lead = "Lead",
        Prospect = "Prospect",
        Client = "Client",
    }
}

impl Role {
    /// Reads a role in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(text.trim()))
    }
}

/// A company that a contact belongs to, or a circle that a contact is in. The stored name is that of the time of the link;
/// reads of a contact show the current name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Link {
    /// The company or circle.
    pub uid: Uid,
    /// Its name when the link was made.
    pub name: String,
}

/// Links are equal by their uid, because renaming a company does not change the contacts that belong to it.
impl PartialEq for Link {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
    }
}

impl Eq for Link {}

/// A company's first contact, as it was when the company was created.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is its wire name")]
pub struct Person {
    pub uid: Uid,
    pub first_name: String,
    pub last_name: String,
    #[serde(default)]
    pub name_prefix: Option<String>,
    pub email: Option<String>,
    #[serde(default)]
    pub role: Option<Role>,
}

/// Persons are equal by their uid, as [`Link`]s are.
impl PartialEq for Person {
    fn eq(&self, other: &Self) -> bool {
        self.uid == other.uid
    }
}

impl Eq for Person {}

impl From<Address> for Value {
    fn from(address: Address) -> Self {
        Self::Address(Box::new(address))
    }
}

impl From<Person> for Value {
    fn from(person: Person) -> Self {
        Self::Person(Box::new(person))
    }
}

impl Value {
    /// Reads a text for a field of this kind. The error is one plain sentence.
    pub fn parse(kind: FieldKind, text: &str) -> Result<Self, String> {
        match kind {
            FieldKind::Text(limit) => plain(text, limit).map(Self::Text),
            FieldKind::Phone => plain(text, 64).map(Self::Text),
            FieldKind::Email => email(text).map(Self::Text),
            FieldKind::Website => website(text).map(Self::Text),
            FieldKind::Role => Role::parse(text).map(Self::Role).ok_or_else(|| one_of(Role::ALL.map(Role::name))),
            FieldKind::Tags => tags(text.split(',')).map(Self::Tags),
            FieldKind::Date => date(text).map(Self::Text),
            FieldKind::Time => time_of_day(text).map(Self::Text),
            FieldKind::Owner => match FieldOwner::parse(text) {
                Some(owner) => Ok(Self::Text(owner.name().to_owned())),
                None => Err(one_of(FieldOwner::ALL.map(FieldOwner::name))),
            },
            FieldKind::Type => match FieldType::parse(text) {
                Some(kind) => Ok(Self::Text(kind.name().to_owned())),
                None => Err(one_of(FieldType::ALL.map(FieldType::name))),
            },
            FieldKind::Visibility => match Visibility::parse(text) {
                Some(visibility) => Ok(Self::Text(visibility.name().to_owned())),
                None => Err(one_of(Visibility::ALL.map(Visibility::name))),
            },
            FieldKind::Category => plain(text, 100).map(Self::Text),
            FieldKind::Client | FieldKind::Contact => uid(text).map(Self::Text),
            FieldKind::Words => Err("Must be a list of strings.".to_owned()),
            FieldKind::Audiences => Err("Must be a list of numbers.".to_owned()),
            FieldKind::Id => Err("Must be a number.".to_owned()),
            FieldKind::Address
            | FieldKind::Links
            | FieldKind::Person
            | FieldKind::Circles
            | FieldKind::Custom(_)
            | FieldKind::FieldValue
            | FieldKind::Money => Err("Must be an object.".to_owned()),
        }
    }

    /// An upper bound of its bytes in JSON.
    #[must_use]
    pub fn weight(&self) -> usize {
        let all = |texts: &[String]| texts.iter().map(|text| quoted(text)).sum();
        match self {
            Self::Text(text) => quoted(text),
            Self::Tags(texts) | Self::Words(texts) => all(texts),
            Self::Address(address) => {
                120 + address.parts().into_iter().flatten().map(|part| 2 * quoted(part)).sum::<usize>()
            }
            Self::Links(links) => links.iter().map(|link| 60 + quoted(&link.name)).sum(),
            Self::Person(person) => {
                let nullable = [&person.name_prefix, &person.email].into_iter().flatten();
                let nullable: usize = nullable.map(|text| quoted(text)).sum();
                160 + quoted(&person.first_name) + quoted(&person.last_name) + nullable
            }
            Self::Custom(values) => values.values().map(|value| 40 + value.weight()).sum(),
            Self::Audiences(audiences) => 21 * audiences.len(),
            Self::OfField(held) => 64 + held.value.as_ref().map_or(4, Self::weight),
            Self::Role(_) | Self::Number(_) | Self::Flag(_) | Self::Money(_) => 64,
        }
    }

    /// The text of a text or role.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Role(role) => Some(role.name()),
            Self::Tags(_)
            | Self::Address(_)
            | Self::Links(_)
            | Self::Person(_)
            | Self::Number(_)
            | Self::Flag(_)
            | Self::Money(_)
            | Self::Words(_)
            | Self::Audiences(_)
            | Self::Custom(_)
            | Self::OfField(_) => None,
        }
    }
}

/// The bytes of a text in JSON, with quotes, escapes and a comma.
fn quoted(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    3 + text.bytes().map(escaped).sum::<usize>()
}

/// The error for a text that is none of these words.
#[must_use]
pub(crate) fn one_of<const N: usize>(words: [&str; N]) -> String {
    format!("Must be one of {}.", words.join(", "))
}
